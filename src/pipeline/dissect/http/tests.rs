//! Tests of HTTP/1.
