//! Tests of DNS.
