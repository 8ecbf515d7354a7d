//! The one integration test binary: laws, goldens, the command line, and the world.

mod tidy;
mod run;
mod golden;
mod same;
mod command;
mod differential;
mod corpus;
mod corpus_intel;
mod compiled;
mod meaning;
mod schema;
mod lab;
mod live;
mod sensor;
mod sinks;
mod swap;
mod confine;
mod systemd;
mod doctor;
mod deploy;
mod bench_live;
mod misp;
