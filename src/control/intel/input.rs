//! Input files: what `--intel PATH` names, opened, decompressed, and told apart by content.

use std::fs;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Cursor;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::control::intel::ALL;
use crate::control::intel::Fault;
use crate::control::intel::Format;
use crate::control::intel::compiled;
use crate::control::intel::csv;
use crate::control::intel::feed;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Spot;
use crate::control::intel::list;
use crate::control::intel::uuid::Uuid;
use crate::control::intel::zeek;

/// First bytes that tell a format; a CSV header of MISP has about 300.
const HEAD_BYTES: usize = 64 * 1024;

/// Folders within folders that are read.
const DEPTH_MAX: usize = 16;

/// Formats that have a record in each line.
const OF_LINES: [&str; 3] = [zeek::FORMAT.name, csv::FORMAT.name, list::FORMAT.name];

/// What the inputs name.
#[derive(Debug, Default)]
pub struct Plan {
    /// The files in order.
    pub files: Vec<Listed>,
    /// Inputs that name nothing readable.
    pub damage: Vec<Damage>,
}

/// One file to read.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Where it is.
    pub path: PathBuf,
    /// Who provides it, where its content does not say.
    pub provider: String,
    /// The event's time as a feed's manifest says; 0 where none does.
    pub published_secs: u32,
    /// Which event it is by the manifest; nil where none says.
    pub event: Uuid,
    /// Tags of the event there, each with `TAG_END`; they count where the event has none.
    pub tags: String,
}

/// A file's content, decompressed.
pub struct Stream {
    /// Its first bytes.
    pub head: Vec<u8>,
    /// The bytes after them.
    pub rest: Box<dyn Read + Send>,
}

impl Plan {
    /// Looks at each input; what cannot be read becomes damage.
    pub fn new(inputs: &[PathBuf]) -> Self {
        let mut plan = Self::default();
        for input in inputs {
            plan.add(input);
        }
        plan
    }

    fn add(&mut self, input: &Path) {
        let provider = provider_of(input);
        match fs::metadata(input) {
            Err(error) => self.damage.push(Damage::unread(input, Spot::File, error.to_string())),
            Ok(meta) if !meta.is_dir() => self.list_file(input.to_owned(), &provider),
            Ok(_) => {
                let before = self.files.len() + self.damage.len();
                self.walk(input, &provider, 0);
                let is_empty = self.files.len() + self.damage.len() == before;
                // a feed may have no event
                if is_empty && !input.join(feed::MANIFEST).is_file() {
                    let what = "no file in it: give a feed directory or a file".to_owned();
                    self.damage.push(Damage::unread(input, Spot::File, what));
                }
            }
        }
    }

    /// Lists one file.
    pub fn list(&mut self, file: Listed) {
        self.files.push(file);
    }

    fn list_file(&mut self, path: PathBuf, provider: &str) {
        self.list(Listed { path, provider: provider.to_owned(), ..Listed::default() });
    }

    fn walk(&mut self, folder: &Path, provider: &str, depth: usize) {
        if folder.join(feed::MANIFEST).is_file() {
            return feed::plan(folder, provider, self);
        }
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut paths = match entries {
            Ok(entries) => entries.iter().map(fs::DirEntry::path).collect::<Vec<_>>(),
            Err(error) => {
                return self.damage.push(Damage::unread(folder, Spot::File, error.to_string()));
            }
        };
        paths.retain(|path| !hidden(path));
        paths.sort();
        for path in paths {
            if path.is_file() {
                self.list_file(path, provider);
                continue;
            }
            let what = match path.is_dir() {
                true if path.is_symlink() => "a link to a folder is not followed: name it",
                true if depth == DEPTH_MAX => "too many folders deep: name it",
                true => {
                    self.walk(&path, provider, depth + 1);
                    continue;
                }
                false => "neither a file nor a folder",
            };
            self.damage.push(Damage::new(&path, Spot::File, what.to_owned()));
        }
    }
}

impl Stream {
    /// Opens a file; gzip, zstd and lz4 are seen through.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(open(path)?)
    }

    /// Takes any bytes as a file's.
    ///
    /// # Errors
    /// The bytes cannot be read.
    pub fn new(read: impl Read + Send + 'static) -> io::Result<Self> {
        let raw = Self::peek(Box::new(read))?;
        let packed = |head: &[u8]| match head {
            [0x1f, 0x8b, ..] => Some(Packed::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packed::Zstd),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Packed::Lz4),
            _ => None,
        };
        match packed(&raw.head) {
            None => Ok(raw),
            Some(Packed::Gzip) => {
                Self::peek(Box::new(flate2::bufread::MultiGzDecoder::new(raw.into_read())))
            }
            Some(Packed::Zstd) => {
                Self::peek(Box::new(zstd::Decoder::with_buffer(raw.into_read())?))
            }
            Some(Packed::Lz4) => {
                Self::peek(Box::new(lz4_flex::frame::FrameDecoder::new(raw.into_read())))
            }
        }
    }

    /// Returns all bytes from the first.
    pub fn into_read(self) -> BufReader<Box<dyn Read + Send>> {
        let all: Box<dyn Read + Send> = Box::new(Cursor::new(self.head).chain(self.rest));
        BufReader::with_capacity(HEAD_BYTES, all)
    }

    /// Returns the format that knows the content.
    ///
    /// # Errors
    /// No format can: the file is empty, binary, or a capture.
    pub fn format(&self) -> Result<&'static Format, Fault> {
        let fault = |what: &str| Err(Fault { spot: Spot::File, what: what.to_owned() });
        match self.head.as_slice() {
            [] => fault("empty file"),
            [0xd4, 0xc3, 0xb2 | 0xcd, 0xa1, ..]
            | [0xa1, 0xb2 | 0xcd, 0xc3 | 0xb2, 0xd4, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..]
            | [0x0a, 0x0d, 0x0d, 0x0a, ..] => {
                fault("a capture, not indicators: give it as INPUT, not to --intel")
            }
            head if (compiled::FORMAT.knows)(head) => Ok(&compiled::FORMAT),
            head if let Some(what) = unreadable(head) => fault(what),
            head => match ALL.iter().find(|format| (format.knows)(head)) {
                Some(format) if OF_LINES.contains(&format.name) && is_without_lines(head) => {
                    fault("its lines end with CR alone: give it with LF, or CR and LF")
                }
                Some(format) => Ok(format),
                None => fault("no known format"),
            },
        }
    }

    fn peek(mut rest: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        match rest.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head) {
            Err(error) if head.is_empty() => Err(error),
            Err(error) => Ok(Self { head, rest: Box::new(Broken::new(error)) }),
            Ok(_) => Ok(Self { head, rest }),
        }
    }
}

/// The end of what could be read: an error, once; by default none.
#[derive(Debug, Default)]
pub struct Broken(Option<io::Error>);

impl Broken {
    /// Takes the error.
    pub fn new(error: io::Error) -> Self {
        Self(Some(error))
    }
}

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

enum Packed {
    Gzip,
    Zstd,
    Lz4,
}

/// Opens a regular file, or what is open already, as standard input is. To open another pipe, or to
/// read a device, could wait for ever.
///
/// # Errors
/// It is none of these, or cannot be read.
pub fn open(path: &Path) -> io::Result<File> {
    const OPEN_ALREADY: [&str; 3] = ["/dev/stdin", "/dev/fd/", "/proc/self/fd/"];
    let text = path.as_os_str().to_string_lossy();
    let about = fs::metadata(path)?;
    if about.is_file() || about.is_dir() || OPEN_ALREADY.iter().any(|open| text.starts_with(open)) {
        return File::open(path);
    }
    let what = "a pipe, socket or device, which could wait for ever: give a regular file, a folder \
                or /dev/stdin";
    Err(io::Error::other(what))
}

/// Says what a file is that no format reads.
fn unreadable(head: &[u8]) -> Option<&'static str> {
    Some(match head {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "text in UTF-16: give it in UTF-8",
        [b'P', b'K', 3 | 5, 4 | 6, ..] => "a zip archive: unpack it",
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => "a 7z archive: unpack it",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            "compressed with xz: unpack it, or use gzip, zstd or lz4"
        }
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..] => {
            "compressed with bzip2: unpack it, or use gzip, zstd or lz4"
        }
        head if head.contains(&0) => "binary data, not indicators",
        head if is_hashes(trimmed(head)) => {
            "hashes.csv of a MISP feed, which tells of no indicator: give the feed's folder"
        }
        _ => return None,
    })
}

/// Tells whether a text begins as the `hashes.csv` of a MISP feed: the MD5 of a value, and the UUID
/// of its event.
fn is_hashes(head: &[u8]) -> bool {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let Some((digest, uuid)) = line.split_at_checked(32) else { return false };
    let is_uuid = |uuid: &[u8]| uuid.len() == 36 && uuid.split(|&byte| byte == b'-').count() == 5;
    let is_hex = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    digest.iter().all(u8::is_ascii_hexdigit)
        && uuid.strip_prefix(b",").is_some_and(|uuid| is_uuid(uuid) && uuid.iter().all(is_hex))
}

/// Tells whether the lines of a text, or most of them, end with CR alone.
fn is_without_lines(head: &[u8]) -> bool {
    let is_alone = |pair: &&[u8]| matches!(pair, [b'\r', next] if *next != b'\n');
    let alone = head.windows(2).filter(is_alone).count();
    alone > head.iter().filter(|&&byte| byte == b'\n').count()
}

/// Returns the bytes after a byte order mark and white space.
pub fn trimmed(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start()
}

fn provider_of(input: &Path) -> String {
    let whole = input.canonicalize();
    let path = whole.as_deref().unwrap_or(input);
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn format(bytes: &[u8]) -> Result<&'static str, String> {
        let stream = Stream::new(Cursor::new(bytes.to_vec())).map_err(|e| e.to_string())?;
        stream.format().map(|format| format.name).map_err(|fault| fault.what)
    }

    #[test]
    fn formats_are_found_by_content() {
        let cases: &[(&[u8], &str)] = &[
            (b"{\"Event\":{}}", "MISP JSON"),
            (b"\xef\xbb\xbf \n[{\"Event\":{}}]", "MISP JSON"),
            (b"[]", "MISP JSON"),
            (b"{\"type\":\"bundle\",\"objects\":[]}", "STIX"),
            (b"[2001:db8::1]:443\n", "list"),
            (b"#fields\tindicator\tindicator_type\tmeta.source\n", "Zeek intel"),
            (b"\xef\xbb\xbf#fields\tindicator\tindicator_type\n", "Zeek intel"),
            (b"#separator \\x2c\n#fields,indicator,indicator_type\n", "Zeek intel"),
            (b"sep=;\ntype;value\n", "CSV"),
            (b"evil.example\r", "list"),
            (b"evil.example\r\r\n9.9.9.9\r\r\n", "list"),
            (b"{}\r[]\r", "MISP JSON"),
            (b"uuid,event_id,category,type,value\n", "CSV"),
            (b"# a comment\n\"Type\";\"VALUE\"\nip-dst;192.0.2.1\n", "CSV"),
            (b"type evil.example\n", "list"),
            (b"# list\nevil.example\n", "list"),
        ];
        for (bytes, name) in cases {
            assert_eq!(format(bytes), Ok(*name), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_could_wait_for_ever_is_not_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).expect("a link");
        for path in [&pipe, &link, Path::new("/dev/zero")] {
            let told = open(path).expect_err("refused").to_string();
            assert!(told.starts_with("a pipe, socket or device"), "{told}");
        }
        let list = folder.path().join("list");
        fs::write(&list, "evil.example\n").expect("a file");
        assert!(open(&list).is_ok());
    }

    #[test]
    fn what_is_no_feed_says_so() {
        assert_eq!(format(b""), Err("empty file".to_owned()));
        assert!(format(b"\xd4\xc3\xb2\xa1\x02\x00").is_err_and(|e| e.starts_with("a capture")));
        for (bytes, what) in [
            (&b"\xff\xfee\0v\0"[..], "text in UTF-16"),
            (b"\xfe\xff\0e\0v", "text in UTF-16"),
            (b"PK\x03\x04\x14\0", "a zip archive"),
            (b"\xfd7zXZ\0\0\x04", "compressed with xz"),
            (b"BZh91AY&SY\x01", "compressed with bzip2"),
            (b"evil.example\r9.9.9.9\r", "its lines end with CR alone"),
            (b"evil.example\r9.9.9.9\r9.9.9.8\n", "its lines end with CR alone"),
            (b"type,value\rdomain,evil.example\r", "its lines end with CR alone"),
            (
                b"744c07e886497f7b68f6f7fe57b7ab54,a026bf22-4e30-5550-9e1b-2bcd36288d04\n",
                "hashes.csv of a MISP feed",
            ),
        ] {
            assert!(format(bytes).is_err_and(|e| e.starts_with(what)), "{what}");
        }
        assert_eq!(format(b"\x7fELF\0\0"), Err("binary data, not indicators".to_owned()));
    }

    #[test]
    fn compression_is_seen_through() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"type,value\n").expect("memory");
        assert_eq!(format(&gz.finish().expect("memory")), Ok("CSV"));
        let zst = zstd::encode_all(&b"{}"[..], 1).expect("memory");
        assert_eq!(format(&zst), Ok("MISP JSON"));
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(b"evil.example").expect("memory");
        assert_eq!(format(&lz4.finish().expect("memory")), Ok("list"));
    }
}
