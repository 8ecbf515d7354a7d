//! Flow table, TCP reassembly, expiry.
