//! Per hit: may allocate and wait; can never hold the pipeline up.
