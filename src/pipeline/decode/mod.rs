//! Bytes to packets: link layers, IP, transport.
