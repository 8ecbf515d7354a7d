//! Digests in one canonical form.
