//! URLs in one canonical form.
