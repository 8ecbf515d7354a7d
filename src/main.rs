//! The command line: exit codes, and the one place where errors are printed.

use std::process::ExitCode;

use clap::Parser;
use tapsieve::control::cli::Command;
use tapsieve::control::cli::Failure;
use tapsieve::control::memory;
use tapsieve::control::output;

#[derive(Parser)]
#[command(name = "tapsieve", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    memory::give_back_at_once();
    // clap prints its own errors, and exits 2 for wrong usage
    match Arguments::parse().command.run() {
        Ok(code) => code,
        Err(failure) => {
            if !failure.is_quiet() {
                tell(&failure);
            }
            ExitCode::from(failure.code())
        }
    }
}

/// Tells the one line that says why the program could not do it.
fn tell(failure: &Failure) {
    output::say(&format!("tapsieve: {failure}\n"));
}
