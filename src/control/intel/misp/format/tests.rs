//! Reading mirrors: base and delta, and what the settings of a server leave out.
