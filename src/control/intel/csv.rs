//! CSV with a header: MISP's export, or anything that names at least `type` and `value`.
//!
//! Spec:   MISP CsvExport (restSearch `returnFormat: csv`, with and without `includeContext`); RFC
//!         4180 §2
//! Reads:  a whole file, in blocks, on all cores
//! Yields: attributes with event, tags and object names as far as the columns say
//! Bounds: one record and one block, 1 MiB each; quotes that never close are left out (`lines`)
//! Leaves: columns it does not know

use csv::ByteRecord;

use crate::control::intel::Attribute;
use crate::control::intel::Fault;
use crate::control::intel::Format;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::input::Stream;
use crate::control::intel::ledger::Spot;
use crate::control::intel::lines::Block;
use crate::control::intel::lines::each_block;
use crate::control::intel::lines::line_border;
use crate::control::intel::lines::lines_in;
use crate::control::intel::uuid::Uuid;

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
}

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
];

/// Where the columns are.
#[derive(Clone, Debug)]
struct Header {
    delimiter: u8,
    at: [Option<usize>; 17],
    bytes: usize,
    lines: u64,
}

impl Header {
    /// Reads the header line, which may follow comments and empty lines.
    fn parse(head: &[u8]) -> Option<Self> {
        let mut at = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        loop {
            let rest = head.get(at..)?;
            let len = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |n| n + 1);
            let line = rest.get(..len)?;
            let bare = line.trim_ascii();
            if bare.is_empty() || bare.starts_with(b"#") {
                if len == 0 {
                    return None;
                }
                at += len;
                continue;
            }
            let text = std::str::from_utf8(bare).ok()?;
            let (delimiter, columns) =
                b",;\t".iter().find_map(|d| Some((*d, columns(text, *d)?)))?;
            let bytes = at + len;
            return Some(Self {
                delimiter,
                at: columns,
                bytes,
                lines: lines_in(head.get(..bytes)?),
            });
        }
    }

    fn field<'r>(&self, record: &'r ByteRecord, column: Column) -> &'r str {
        let bytes = self.at[column as usize].and_then(|at| record.get(at)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

fn columns(line: &str, delimiter: u8) -> Option<[Option<usize>; 17]> {
    let mut at = [None; 17];
    for (i, name) in line.split(char::from(delimiter)).enumerate() {
        let name = name.trim().trim_matches('"').to_ascii_lowercase();
        if let Some((_, column)) = COLUMNS.iter().find(|(known, _)| *known == name) {
            at[*column as usize].get_or_insert(i);
        }
    }
    (at[Column::Type as usize].is_some() && at[Column::Value as usize].is_some()).then_some(at)
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
    let value = header.at[Column::Value as usize].and_then(|at| record.get(at)).unwrap_or_default();
    let event_tags = harvest.tag_list(split_tags(field(Column::EventTag)));
    let event = harvest.event(&EventParts {
        uuid: Uuid::from_text(field(Column::EventUuid)),
        id: field(Column::EventId).trim().parse().unwrap_or(0),
        info: field(Column::EventInfo),
        org: field(Column::EventOrg),
        provider: field(Column::EventOrg),
        tags: event_tags,
        ..EventParts::default()
    });
    let tags = harvest.tag_list(split_tags(field(Column::AttributeTag)));
    let attribute = Attribute {
        kind: field(Column::Type).trim(),
        value: &String::from_utf8_lossy(value),
        relation: field(Column::Relation),
        object: field(Column::ObjectName),
        to_ids: !is_no(field(Column::ToIds)),
        deleted: is_yes(field(Column::Deleted)),
        uuid: Uuid::from_text(field(Column::Uuid)),
        timestamp_secs: field(Column::Date).trim().parse().unwrap_or(0),
        first_seen: field(Column::FirstSeen),
        last_seen: field(Column::LastSeen),
        comment: field(Column::Comment),
        tags,
        spot: Spot::Line(line),
        ..Attribute::default()
    };
    harvest.take(&attribute, event);
}

/// Splits a list of tags at the commas outside quotes, as galaxy tags hold some.
fn split_tags(list: &str) -> impl Iterator<Item = &str> + Clone {
    let mut quoted = false;
    let outside = move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    list.split(outside).map(str::trim).filter(|tag| !tag.is_empty())
}

fn is_no(text: &str) -> bool {
    matches!(text.trim(), "0" | "false" | "False" | "FALSE" | "no")
}

fn is_yes(text: &str) -> bool {
    matches!(text.trim(), "1" | "true" | "True" | "TRUE" | "yes")
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
