//! CSV with a header: MISP's export, or anything that names at least `type` and `value`.
//!
//! Spec:   MISP CsvExport (restSearch `returnFormat: csv`, with and without `includeContext`); RFC
//!         4180 §2
//! Reads:  a whole file, in blocks, on all cores
//! Yields: attributes with event, tags and object names as far as the columns say
//! Bounds: one record and one block, 1 MiB each; quotes that never close are left out (`lines`)
//! Leaves: columns it does not know

use std::borrow::Cow;

use csv::ByteRecord;

use crate::control::intel::Attribute;
use crate::control::intel::Fault;
use crate::control::intel::Format;
use crate::control::intel::Unread;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::input::Stream;
use crate::control::intel::ledger::Spot;
use crate::control::intel::lines::Block;
use crate::control::intel::lines::each_block;
use crate::control::intel::lines::line_border;
use crate::control::intel::lines::lines_in;
use crate::control::intel::said;
use crate::control::intel::uuid::Uuid;
use crate::model::marking::Pap;
use crate::model::marking::Tlp;
use crate::model::time::Timestamp;

/// CSV with a header.
pub const FORMAT: Format = Format { name: "CSV", knows, read };

/// A column that we read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
enum Column {
    Type,
    Value,
    Uuid,
    ToIds,
    Deleted,
    Date,
    FirstSeen,
    LastSeen,
    Comment,
    Relation,
    ObjectName,
    AttributeTag,
    EventId,
    EventUuid,
    EventInfo,
    EventOrg,
    EventTag,
    EventTime,
    /// The last.
    Decayed,
}

/// Columns that we read.
const READ: usize = Column::Decayed as usize + 1;

const COLUMNS: &[(&str, Column)] = &[
    ("type", Column::Type),
    ("value", Column::Value),
    ("uuid", Column::Uuid),
    ("to_ids", Column::ToIds),
    ("deleted", Column::Deleted),
    ("date", Column::Date),
    ("timestamp", Column::Date),
    ("first_seen", Column::FirstSeen),
    ("last_seen", Column::LastSeen),
    ("comment", Column::Comment),
    ("object_relation", Column::Relation),
    ("object_name", Column::ObjectName),
    ("attribute_tag", Column::AttributeTag),
    ("event_id", Column::EventId),
    ("event_uuid", Column::EventUuid),
    ("event_info", Column::EventInfo),
    ("event_source_org", Column::EventOrg),
    ("event_tag", Column::EventTag),
    ("event_timestamp", Column::EventTime),
    ("decay_score_decayed", Column::Decayed),
];

/// Where the columns are.
#[derive(Clone, Debug)]
struct Header {
    delimiter: u8,
    at: [Option<usize>; READ],
    bytes: usize,
    lines: u64,
}

impl Header {
    /// Reads the header line, which may follow comments, empty lines and Excel's `sep=;`.
    fn parse(head: &[u8]) -> Option<Self> {
        let mut at = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        loop {
            let rest = head.get(at..)?;
            let len = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |n| n + 1);
            let line = rest.get(..len)?;
            let bare = line.trim_ascii();
            if bare.is_empty() || bare.starts_with(b"#") || is_separator(bare) {
                if len == 0 {
                    return None;
                }
                at += len;
                continue;
            }
            let text = String::from_utf8_lossy(bare);
            let (delimiter, columns) =
                b",;\t".iter().find_map(|d| Some((*d, columns(&text, *d)?)))?;
            let bytes = at + len;
            return Some(Self {
                delimiter,
                at: columns,
                bytes,
                lines: lines_in(head.get(..bytes)?),
            });
        }
    }

    /// Returns a field; one byte that is no UTF-8 costs no more than itself.
    fn field<'r>(&self, record: &'r ByteRecord, column: Column) -> Cow<'r, str> {
        let bytes = self.at[column as usize].and_then(|at| record.get(at)).unwrap_or_default();
        String::from_utf8_lossy(bytes)
    }
}

fn columns(line: &str, delimiter: u8) -> Option<[Option<usize>; READ]> {
    let mut at = [None; READ];
    for (i, name) in line.split(char::from(delimiter)).enumerate() {
        let name = name.trim().trim_matches('"').to_ascii_lowercase();
        if let Some((_, column)) = COLUMNS.iter().find(|(known, _)| *known == name) {
            at[*column as usize].get_or_insert(i);
        }
    }
    (at[Column::Type as usize].is_some() && at[Column::Value as usize].is_some()).then_some(at)
}

fn is_separator(line: &[u8]) -> bool {
    let bare = line.strip_prefix(b"\"").unwrap_or(line);
    bare.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"sep=")) && bare.len() <= 6
}

fn knows(head: &[u8]) -> bool {
    Header::parse(head).is_some()
}

fn read(stream: Stream, gather: &Gather<'_>) -> Result<(), Fault> {
    let header = Header::parse(&stream.head);
    let header = header.ok_or(Fault { spot: Spot::Line(1), what: "no header".to_owned() })?;
    let Stream { mut head, rest } = stream;
    let body = head.split_off(header.bytes.min(head.len()));
    let border = match header.delimiter {
        b';' => border_semicolon,
        b'\t' => border_tab,
        _ => border_comma,
    };
    let line = header.lines + 1;
    each_block(Stream { head: body, rest }, line, border, gather.parallel(), |block| {
        let mut harvest = gather.begin();
        read_block(&block, &header, &mut harvest);
        gather.end(harvest);
    })
}

fn read_block(block: &Block, header: &Header, harvest: &mut Harvest<'_>) {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(header.delimiter)
        .buffer_capacity(8 * 1024)
        .from_reader(block.bytes.as_slice());
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        let line = block.line + record.position().map_or(0, |at| lines_before(&block.bytes, at));
        if record.len() == 1
            && record.get(0).is_some_and(|only| only.trim_ascii().starts_with(b"#"))
        {
            continue;
        }
        take(&record, header, line, harvest);
    }
}

/// Returns the lines before a record; its position is where the one before ended, perhaps before
/// empty lines.
fn lines_before(bytes: &[u8], at: &csv::Position) -> u64 {
    let at_byte = usize::try_from(at.byte()).unwrap_or(usize::MAX);
    let ends = bytes.get(at_byte..).unwrap_or_default().iter();
    let ends = ends.take_while(|byte| matches!(byte, b'\r' | b'\n'));
    at.line() - 1 + ends.filter(|&&byte| byte == b'\n').count() as u64
}

fn take(record: &ByteRecord, header: &Header, line: u64, harvest: &mut Harvest<'_>) {
    let field = |column| header.field(record, column);
    let org = field(Column::EventOrg);
    let event_time = said::time(&field(Column::EventTime));
    let event_tags = harvest.tag_list(split_tags(&field(Column::EventTag)));
    let event = harvest.event(&EventParts {
        uuid: Uuid::from_text(&field(Column::EventUuid)),
        id: field(Column::EventId).trim().parse().unwrap_or(0),
        info: &field(Column::EventInfo),
        org: &org,
        provider: &org,
        tags: event_tags,
        timestamp_secs: event_time.map_or(0, Timestamp::secs),
        ..EventParts::default()
    });
    let tags = harvest.tag_list(split_tags(&field(Column::AttributeTag)));
    let (kind, changed) = (field(Column::Type), said::time(&field(Column::Date)));
    let flags = [Column::ToIds, Column::Deleted, Column::Decayed].map(field);
    let [to_ids, deleted, decayed] = [&flags[0], &flags[1], &flags[2]].map(|word| said::flag(word));
    let is_odd = |word: &Cow<'_, str>| !word.trim().is_empty() && said::flag(word).is_none();
    let attribute = Attribute {
        kind: kind.trim(),
        value: &field(Column::Value),
        relation: &field(Column::Relation),
        object: &field(Column::ObjectName),
        to_ids: to_ids != Some(false),
        deleted: deleted == Some(true),
        decayed: decayed == Some(true),
        uuid: Uuid::from_text(&field(Column::Uuid)),
        timestamp_secs: changed.map_or(0, Timestamp::secs),
        first_seen: &field(Column::FirstSeen),
        last_seen: &field(Column::LastSeen),
        comment: &field(Column::Comment),
        tags,
        spot: Spot::Line(line),
        unread: Unread {
            time: changed.is_none() || event_time.is_none(),
            flag: flags.iter().any(is_odd),
        },
        ..Attribute::default()
    };
    harvest.take(&attribute, event);
}

/// Splits a list of tags at the commas outside quotes, as galaxy tags hold some. Whatever the
/// quotes, what reads as a marking is one, too: none may be lost in an odd tag.
fn split_tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    let tags = std::iter::from_fn(move || {
        let (tag, after) = rest.split_at_checked(tag_len(rest)).filter(|_| !rest.is_empty())?;
        rest = after.strip_prefix(',').unwrap_or_default();
        Some(tag)
    });
    let is_light =
        |tag: &&str| Tlp::strictest([*tag]).is_some() || Pap::strictest([*tag]).is_some();
    let is_around = |c: char| c.is_whitespace() || c == '"';
    let lights = list.split(',').map(move |part| part.trim_matches(is_around)).filter(is_light);
    tags.map(str::trim).filter(|tag| !tag.is_empty()).chain(lights)
}

/// Returns the length of the first tag of a list. A quote opens where a tag begins and after `=`,
/// and only where another one closes it.
fn tag_len(list: &str) -> usize {
    let mut before = b'=';
    let mut at = 0;
    while let Some(&byte) = list.as_bytes().get(at) {
        at += 1;
        match byte {
            b',' => return at - 1,
            b'"' if before == b'=' => {
                let quoted = list.get(at..).and_then(|rest| rest.find('"'));
                at += quoted.map_or(0, |len| len + 1);
            }
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
    }
    list.len()
}

fn border_comma(bytes: &[u8]) -> Option<usize> {
    border(bytes, b',')
}

fn border_semicolon(bytes: &[u8]) -> Option<usize> {
    border(bytes, b';')
}

fn border_tab(bytes: &[u8]) -> Option<usize> {
    border(bytes, b'\t')
}

/// Returns the length up to the last line end outside quotes, quotes opening only where a field
/// begins.
fn border(bytes: &[u8], delimiter: u8) -> Option<usize> {
    if !bytes.contains(&b'"') {
        return line_border(bytes);
    }
    let mut last = None;
    let mut begins = true;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if begins && byte == b'"' {
            let Some(len) = quoted_len(bytes.get(at..).unwrap_or_default()) else { break };
            at += len;
            begins = false;
            continue;
        }
        begins = byte == delimiter || byte == b'\n';
        if byte == b'\n' {
            last = Some(at);
        }
    }
    last
}

/// Returns the length of a quoted field after its opening quote, with the closing one.
fn quoted_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == b'"')? + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::border_comma;
    use super::split_tags;

    #[test]
    fn tags_are_split_outside_quotes_and_markings_never_lost() {
        for (list, want) in [
            (
                "tlp:red,misp-galaxy:a=\"b, c\"",
                &["tlp:red", "misp-galaxy:a=\"b, c\"", "tlp:red"][..],
            ),
            ("\"a, b\", c", &["\"a, b\"", "c"]),
            ("foo\"bar,tlp:red", &["foo\"bar", "tlp:red", "tlp:red"]),
            ("foo=\"bar,x,TLP:RED", &["foo=\"bar", "x", "TLP:RED", "TLP:RED"]),
            ("foo=\"bar,tlp:red,a=\"b\"", &["foo=\"bar,tlp:red,a=\"b\"", "tlp:red"]),
            ("a=\"b, PAP:RED\"", &["a=\"b, PAP:RED\"", "PAP:RED"]),
            (" ,é\",, b ", &["é\"", "b"]),
            ("", &[]),
        ] {
            assert_eq!(split_tags(list).collect::<Vec<_>>(), want, "{list}");
        }
    }

    #[test]
    fn a_record_ends_at_a_line_end_outside_quotes() {
        for (text, want) in [
            ("a,b\nc", Some(4)),
            ("a,\"b\nc\"\nd,\"", Some(8)),
            ("a,\"b\nc", None),
            ("a,b\nc,\"d\ne\nf", Some(4)),
            ("a,b\"\nc,\"\"\"\n\"\n", Some(13)),
            ("a,\"b", None),
        ] {
            assert_eq!(border_comma(text.as_bytes()), want, "{text:?}");
        }
    }
}
