//! What commands say and write: lines for people on standard error, files through a temporary name.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;
use std::path::PathBuf;

use crate::control::cli::Failure;
use crate::control::intel;
use crate::control::replay::InputArguments;
use crate::model::path::folder_of;
use crate::model::plain::plain;
use crate::model::plain::plain_lines;
use crate::pipeline::capture::file::FileId;
use crate::pipeline::capture::file::Files;
use crate::pipeline::capture::filter::Filter;
use crate::report::reporter::Reported;
use crate::report::sink::Sink;
use crate::report::sink::SinkError;
use crate::report::sink::file::FileSink;
use crate::report::sink::stdout::Stdout;

/// Prints text for people: what in it would steer their terminal is escaped.
#[allow(clippy::print_stderr, reason = "standard error is where people read")]
pub fn say(text: &str) {
    eprint!("{}", plain_lines(text));
}

/// Prints one line for each.
pub fn say_all<T: Display>(lines: &[T]) {
    for line in lines {
        say(&format!("tapsieve: {}\n", plain(&line.to_string())));
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
    for name in files.repeated() {
        say(&format!("tapsieve: {name}: given twice: read once\n"));
    }
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

/// Refuses outputs that would overwrite an input or each other, or share standard output; devices
/// may be given to several.
///
/// # Errors
///
/// `Usage`, with the output's name.
pub fn distinct(
    outputs: &[&Path],
    captures: &BTreeSet<FileId>,
    intel: &[PathBuf],
) -> Result<(), Failure> {
    let listed = intel::input::Plan::new(intel).files.into_iter().map(|file| file.path);
    let manifests = intel.iter().map(|folder| folder.join("manifest.json"));
    let ids = listed.chain(manifests).filter_map(|path| id(&path));
    let mut taken: BTreeSet<FileId> = captures.iter().copied().chain(ids).collect();
    let mut names: BTreeSet<PathBuf> = BTreeSet::new();
    for output in outputs {
        let new = match id(output) {
            Some(id) => taken.insert(id),
            None if std::fs::metadata(output).is_ok() => true,
            None => names.insert(full_name(output)),
        };
        if !new {
            let name = output.display();
            return Err(Failure::Usage(format!("{name}: an input or another output: not written")));
        }
    }
    Ok(())
}

/// Returns the id of a plain file that is there.
fn id(path: &Path) -> Option<FileId> {
    std::fs::metadata(path).ok().filter(|about| about.is_file()).map(|about| FileId::of(&about))
}

/// Returns the name that a file will have, wherever the path to its folder leads.
fn full_name(path: &Path) -> PathBuf {
    let folder = folder_of(path);
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.join(path.file_name().unwrap_or_default())
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
        say(&format!("tapsieve: {}: cut {cut} bytes of a half-written alert\n", path.display()));
    }
    Ok(Box::new(sink))
}

/// Returns what stopped a reporter, if it was worth an error.
pub fn failure(reported: Reported) -> Option<Failure> {
    reported.failure.filter(|error| matches!(error, SinkError::Broken { .. })).map(Failure::Sink)
}
