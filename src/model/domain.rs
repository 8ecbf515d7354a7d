//! Domain names in one canonical form.
