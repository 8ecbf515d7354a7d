//! HTTP/1 requests.
