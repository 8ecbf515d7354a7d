//! Our fields against those of an independent dissector.
