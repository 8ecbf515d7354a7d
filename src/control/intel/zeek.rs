//! Zeek's `intel.dat`: indicators with a `#fields` line, tab-separated unless `#separator` says
//! otherwise.
//!
//! Spec:   Zeek intel framework, `base/frameworks/intel/main.zeek` (Intel::Type), input framework's
//!         ASCII reader
//! Reads:  a whole file, in blocks, on all cores
//! Yields: `ip-dst`, `url`, `hostname`, `x509-fingerprint-*`, `ja3-fingerprint-md5`, `ja3s`, `ja4`,
//!         `hassh*`
//! Bounds: one block, 1 MiB (`lines`)
//! Leaves: mail, user names, files, software: told as unsupported
//!
//! `Intel::DOMAIN` becomes `hostname`: Zeek compares a seen name as a whole and knows no
//! subdomains.

use std::borrow::Cow;

use crate::control::intel::Attribute;
use crate::control::intel::Fault;
use crate::control::intel::Format;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::input::Stream;
use crate::control::intel::input::trimmed;
use crate::control::intel::ledger::Spot;
use crate::control::intel::lines::Block;
use crate::control::intel::lines::each_block;
use crate::control::intel::lines::line_border;

/// Zeek's intelligence files.
pub const FORMAT: Format = Format { name: "Zeek intel", knows, read };

/// Where the columns are.
#[derive(Clone, Copy, Debug)]
struct Fields {
    indicator: Option<usize>,
    kind: Option<usize>,
    source: Option<usize>,
    desc: Option<usize>,
    /// What is between columns.
    separator: u8,
}

impl Fields {
    /// Reads the `#fields` line of a file's first bytes.
    fn parse(head: &[u8]) -> Option<Self> {
        let lines = trimmed(head).split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
        let comments = lines.take_while(|line| line.is_empty() || line.starts_with(b"#"));
        let told = comments.clone().find_map(|line| line.strip_prefix(b"#separator"));
        let separator = told.and_then(separator).unwrap_or(b'\t');
        let line = comments.clone().find_map(|line| line.strip_prefix(b"#fields"))?;
        let names = std::str::from_utf8(line.strip_prefix(&[separator]).unwrap_or(line)).ok()?;
        let names = names.split(char::from(separator)).map(str::trim).collect::<Vec<_>>();
        let at = |name: &str| names.iter().position(|known| *known == name);
        let fields = Self {
            indicator: at("indicator"),
            kind: at("indicator_type"),
            source: at("meta.source"),
            desc: at("meta.desc"),
            separator,
        };
        (fields.indicator.is_some() && fields.kind.is_some()).then_some(fields)
    }
}

/// Reads a separator as it is, or escaped, as `\x2c`; one of several bytes is none that is known.
fn separator(text: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(text.get(1..)?).ok()?;
    match unescaped(text).as_bytes() {
        [only] if only.is_ascii() => Some(*only),
        _ => None,
    }
}

fn knows(head: &[u8]) -> bool {
    Fields::parse(head).is_some()
}

fn read(stream: Stream, gather: &Gather<'_>) -> Result<(), Fault> {
    let fields = Fields::parse(&stream.head);
    let fields = fields.ok_or(Fault { spot: Spot::Line(1), what: "no fields".to_owned() })?;
    each_block(stream, 1, line_border, gather.parallel(), |block| {
        let mut harvest = gather.begin();
        read_block(&block, fields, &mut harvest);
        gather.end(harvest);
    })
}

fn read_block(block: &Block, fields: Fields, harvest: &mut Harvest<'_>) {
    for (line, number) in block.bytes.split(|&byte| byte == b'\n').zip(block.line..) {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let line = String::from_utf8_lossy(line.trim_ascii_end());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let columns = line.split(char::from(fields.separator)).collect::<Vec<_>>();
        let column = |at: Option<usize>| {
            let text = at.and_then(|at| columns.get(at)).copied().unwrap_or_default();
            if text == "-" { "" } else { text }
        };
        let value = unescaped(column(fields.indicator));
        let event = harvest.event(&EventParts {
            info: column(fields.desc),
            provider: column(fields.source),
            ..EventParts::default()
        });
        let kind = kind_of(column(fields.kind), &value);
        let spot = Spot::Line(number);
        harvest.take(&Attribute { kind, value: &value, spot, ..Attribute::default() }, event);
    }
}

/// Returns the MISP type of a Zeek type, or the Zeek type itself where nothing here matches it.
fn kind_of<'t>(zeek: &'t str, value: &str) -> &'t str {
    match zeek.strip_prefix("Intel::").unwrap_or(zeek) {
        "ADDR" | "SUBNET" => "ip-dst",
        "URL" => "url",
        "DOMAIN" => "hostname",
        "CERT_HASH" => match value.bytes().filter(u8::is_ascii_hexdigit).count() {
            32 => "x509-fingerprint-md5",
            64 => "x509-fingerprint-sha256",
            _ => "x509-fingerprint-sha1",
        },
        "JA3" => "ja3-fingerprint-md5",
        "JA3S" => "ja3s",
        "JA4" => "ja4",
        "HASSH" => "hassh-md5",
        "HASSHSERVER" | "HASSH_SERVER" => "hasshserver-md5",
        _ => zeek,
    }
}

/// Undoes the reader's `\xNN` escapes.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains("\\x") {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.strip_prefix(b"x").and_then(|hex| hex.split_at_checked(2));
        let escaped = digits.filter(|_| byte == b'\\').and_then(|(hex, after)| {
            let hex = std::str::from_utf8(hex).ok()?;
            Some((u8::from_str_radix(hex, 16).ok()?, after))
        });
        let (byte, after) = escaped.unwrap_or((byte, after));
        bytes.push(byte);
        rest = after;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_line_says_where_columns_are() {
        let fields = Fields::parse(
            b"#separator \\x09\n#fields\tmeta.source\tindicator\tindicator_type\r\n1",
        );
        let fields = fields.expect("a header");
        assert_eq!((fields.source, fields.indicator, fields.kind), (Some(0), Some(1), Some(2)));
        let fields =
            Fields::parse(b"\xef\xbb\xbf#separator \\x2c\n#fields,indicator,indicator_type\n");
        let fields = fields.expect("a header");
        let at = (fields.indicator, fields.kind, fields.separator);
        assert_eq!(at, (Some(0), Some(1), b','));
        assert!(!knows(b"#fields\tts\tuid\n"));
        assert!(!knows(b"evil.example\n#fields\tindicator\tindicator_type\n"));
    }

    #[test]
    fn types_map_to_misp() {
        for (zeek, value, misp) in [
            ("Intel::ADDR", "192.0.2.1", "ip-dst"),
            ("Intel::SUBNET", "192.0.2.0/24", "ip-dst"),
            ("Intel::DOMAIN", "evil.example", "hostname"),
            ("Intel::URL", "evil.example/a", "url"),
            ("Intel::CERT_HASH", "f49c", "x509-fingerprint-sha1"),
            ("Intel::JA3", "", "ja3-fingerprint-md5"),
            ("Intel::FILE_HASH", "", "Intel::FILE_HASH"),
        ] {
            assert_eq!(kind_of(zeek, value), misp);
        }
    }

    #[test]
    fn escapes_are_undone() {
        for (text, want) in
            [("a\\x20b", "a b"), ("a\\xzz", "a\\xzz"), ("a\\x2", "a\\x2"), ("plain", "plain")]
        {
            assert_eq!(unescaped(text), want);
        }
    }
}
