//! The one integration test binary: laws, goldens, the command line, and the world.

mod tidy;
