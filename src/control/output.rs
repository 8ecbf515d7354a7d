//! What commands say and write: lines for people on standard error, files through a temporary name.

use crate::control::cli::Failure;
use crate::control::replay::InputArguments;
use crate::pipeline::capture::file::Files;
use crate::pipeline::capture::filter::Filter;
use crate::report::reporter::Reported;
use crate::report::sink::Sink;
use crate::report::sink::SinkError;
use crate::report::sink::file::FileSink;
use crate::report::sink::stdout::Stdout;
use std::fmt::Display;
use std::path::Path;

/// Prints text for people.
#[allow(clippy::print_stderr, reason = "standard error is where people read")]
pub fn say(text: &str) {
    eprint!("{text}");
}

/// Prints one line for each.
pub fn say_all<T: Display>(lines: &[T]) {
    for line in lines {
        say(&format!("tapsieve: {line}\n"));
    }
}

/// Opens the captures.
///
/// # Errors
///
/// `Usage` when the filter does not compile, `NoInput` when nothing is a capture.
pub fn open(arguments: &InputArguments) -> Result<Files, Failure> {
    let filter = match &arguments.filter {
        Some(text) => Some(Filter::new(text).map_err(|error| Failure::Usage(error.to_string()))?),
        None => None,
    };
    let files = Files::open(&arguments.inputs, filter);
    if !files.names().is_empty() {
        return Ok(files);
    }
    // one line for each input that is of no use; the last is the error
    match files.damages().split_last() {
        Some((last, others)) => {
            say_all(others);
            Err(Failure::NoInput(last.to_string()))
        }
        None => Err(Failure::NoInput("no input is a capture: give pcap or pcapng".to_owned())),
    }
}

/// Opens a sink: `-` is standard output.
///
/// # Errors
///
/// When the file cannot be written.
pub fn sink(path: &Path, append: bool) -> Result<Box<dyn Sink>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(Stdout));
    }
    if !append {
        return Ok(Box::new(FileSink::create(path)?));
    }
    let (sink, cut) = FileSink::append(path)?;
    if cut > 0 {
        say(&format!("tapsieve: {}: cut {cut} bytes of a half-written line\n", path.display()));
    }
    Ok(Box::new(sink))
}

/// Writes a whole file through a temporary name; `-` is standard output.
///
/// # Errors
///
/// When it cannot be written.
pub fn write_anew(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let mut out = sink(path, false)?;
    out.deliver(text)?;
    Ok(out.finish()?)
}

/// Returns what stopped a reporter, if it was worth an error.
pub fn failure(reported: Reported) -> Option<Failure> {
    reported.failure.filter(|error| matches!(error, SinkError::Broken { .. })).map(Failure::Sink)
}
