//! The mirror of a MISP server on disk: a base file that a full pull writes, and a small delta
//! beside it with what has changed since. Where both have something, the delta's counts.
//!
//! Both are replaced by a rename, the base first: a delta of an older base is passed over, as the
//! newer base has all of it.

use std::collections::HashMap;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::ops::Range;
use std::path::Path;

use crate::control::intel::misp::record::EventLine;
use crate::control::intel::misp::record::FORM;
use crate::control::intel::misp::record::Header;
use crate::control::intel::misp::record::LineOf;
use crate::control::intel::misp::record::MAGIC;
use crate::control::intel::remote::mirror::open_plain;
use crate::control::intel::uuid::Uuid;

/// The file with everything.
pub const BASE: &str = "base.misp";

/// The file with what has changed since.
pub const DELTA: &str = "delta.misp";

/// Bytes of a line; `lines` leaves longer ones out.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Bytes at the end of a base in which its last line is: fewer than the shortest header has.
const END_BYTES_MAX: i64 = 32;

/// Bytes of a delta that are read: pulling makes a base of a larger one.
pub const DELTA_BYTES_MAX: u64 = 256 << 20;

/// Events of one server that are kept in memory while its attributes are read.
pub const EVENTS_MAX: usize = 4_000_000;

/// Events by UUID.
pub type Events = HashMap<Uuid, EventLine, foldhash::fast::RandomState>;

/// What has changed since the base was pulled.
#[derive(Debug, Default)]
pub struct Delta {
    /// The base's number; 0: there is no delta.
    pub id: u64,
    /// The changed events.
    pub events: Events,
    text: Vec<u8>,
    lines: HashMap<Uuid, Range<usize>, foldhash::fast::RandomState>,
}

/// A base whose header was read; the events follow.
pub struct Base {
    /// Its header.
    pub header: Header,
    /// The rest.
    pub rest: BufReader<Box<dyn Read + Send>>,
}

impl Base {
    /// Reads the header.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn new(read: impl Read + Send + 'static) -> io::Result<Self> {
        let mut rest = BufReader::with_capacity(1 << 16, Box::new(read) as Box<dyn Read + Send>);
        let mut line = Vec::new();
        line_of(&mut rest, &mut line)?;
        let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        if !line.starts_with(MAGIC) {
            return wrong("no mirror of a MISP server".to_owned());
        }
        match serde_json::from_slice::<Header>(&line) {
            Ok(header) if header.form == FORM => Ok(Self { header, rest }),
            Ok(header) => {
                let form = header.form;
                wrong(format!("a mirror of form {form}, {FORM} is read: pull again"))
            }
            Err(error) => wrong(format!("the header of a mirror is damaged: {error}")),
        }
    }

    /// Opens the base in a folder; `None`: there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn open(folder: &Path) -> io::Result<Option<Self>> {
        match open_plain(&folder.join(BASE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(file) => Self::new(file).map(Some),
        }
    }

    /// Opens the base in a folder, where it has its end; `None`: there is none.
    ///
    /// # Errors
    /// It is there and cannot be read, or was cut.
    pub fn open_whole(folder: &Path) -> io::Result<Option<Self>> {
        let Some(base) = Self::open(folder)? else { return Ok(None) };
        let mut file = open_plain(&folder.join(BASE))?;
        let mut end = Vec::new();
        file.seek(SeekFrom::End(-END_BYTES_MAX))?;
        file.read_to_end(&mut end)?;
        let last = end.strip_suffix(b"\n").and_then(|end| end.rsplit(|byte| *byte == b'\n').next());
        match last.and_then(LineOf::read) {
            Some(LineOf::End(_)) => Ok(Some(base)),
            _ => Err(cut()),
        }
    }

    /// Reads the events; the attributes follow.
    ///
    /// # Errors
    /// They are damaged, or too many.
    pub fn events(&mut self) -> io::Result<Events> {
        let count = usize::try_from(self.header.events).unwrap_or(usize::MAX);
        if count > EVENTS_MAX {
            return Err(io::Error::other(format!("over {EVENTS_MAX} events: pull again")));
        }
        let mut events = Events::default();
        let mut line = Vec::new();
        for _ in 0..count {
            line_of(&mut self.rest, &mut line)?;
            let event = serde_json::from_slice::<EventLine>(&line)?;
            events.insert(Uuid::from_text(&event.uuid), event);
        }
        Ok(events)
    }

    /// Gives each line of an attribute, its end included; lines that are none are passed over.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn each_attribute(&mut self, mut each: impl FnMut(Uuid, &[u8])) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.rest.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if let Some(LineOf::Attribute(uuid)) = LineOf::read(&line) {
                each(uuid, &line);
            }
        }
    }
}

impl Delta {
    /// Reads the delta in a folder; an empty one where there is none.
    ///
    /// # Errors
    /// It is damaged.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let file = match open_plain(&folder.join(DELTA)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
            Ok(file) => file,
        };
        let mut base = Base::new(file.take(DELTA_BYTES_MAX))?;
        let mut delta = Self { id: base.header.id, events: base.events()?, ..Self::default() };
        base.rest.read_to_end(&mut delta.text)?;
        let mut at = 0;
        for line in delta.text.split_inclusive(|byte| *byte == b'\n') {
            let range = at..at + line.len();
            at = range.end;
            match LineOf::read(line) {
                Some(LineOf::Attribute(uuid)) => drop(delta.lines.insert(uuid, range)),
                Some(LineOf::End(count)) if count == delta.lines.len() as u64 => return Ok(delta),
                _ => return Err(cut()),
            }
        }
        Err(cut())
    }

    /// Tells whether it has an attribute.
    pub fn has(&self, uuid: Uuid) -> bool {
        self.lines.contains_key(&uuid)
    }

    /// Returns the line of an attribute.
    pub fn line(&self, uuid: Uuid) -> Option<&[u8]> {
        self.lines.get(&uuid).and_then(|range| self.text.get(range.clone()))
    }

    /// Returns all lines of attributes, in no order.
    pub fn lines(&self) -> impl Iterator<Item = (Uuid, &[u8])> {
        self.lines.iter().filter_map(|(uuid, range)| Some((*uuid, self.text.get(range.clone())?)))
    }

    /// Returns the bytes of its attributes.
    pub fn bytes(&self) -> u64 {
        self.text.len() as u64
    }
}

/// Reads one whole line.
fn line_of(read: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    read.take(LINE_BYTES_MAX).read_until(b'\n', line)?;
    match line.pop() {
        Some(b'\n') => Ok(()),
        _ => Err(cut()),
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "damaged or cut")
}
