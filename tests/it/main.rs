//! The one integration test binary: laws, goldens, the command line, and the world.

mod tidy;
mod run;
mod golden;
mod same;
mod command;
mod differential;
mod corpus;
mod corpus_intel;
mod schema;
mod lab;
mod sensor;
mod bench_live;
