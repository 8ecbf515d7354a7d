//! Plain lists: one address, prefix, name, URL or end point a line, told apart by its form.
//!
//! Spec:   none; hosts(5), ipsum's `address<TAB>count`, maltrail's trails are the usages
//! Reads:  a whole file, in blocks, on all cores
//! Yields: attributes of the types `ip-dst`, `ip-dst|port`, `domain`, `hostname|port`, `url`,
//!         `uri`, `ja4`
//! Bounds: one block, 1 MiB (`lines`)
//! Leaves: digests (a list does not say of what), regular expressions, mail addresses

use std::net::IpAddr;
use std::net::Ipv4Addr;

use crate::control::intel::Attribute;
use crate::control::intel::Fault;
use crate::control::intel::Format;
use crate::control::intel::gate::LeftOut;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::input::Stream;
use crate::control::intel::ledger::Spot;
use crate::control::intel::lines::each_block;
use crate::control::intel::lines::line_border;
use crate::control::intel::list_form::ListForm;
use crate::model::refang::refang;
use crate::model::refusal::Refusal;

/// A plain list: anything that is text.
pub const FORMAT: Format = Format { name: "list", knows: |_| true, read };

fn read(stream: Stream, gather: &Gather<'_>) -> Result<(), Fault> {
    let lists = gather.options.list_form(&gather.file.path);
    each_block(stream, 1, line_border, gather.parallel(), |block| {
        let mut harvest = gather.begin();
        let event = harvest.event(&EventParts::default());
        for (line, number) in block.bytes.split(|&byte| byte == b'\n').zip(block.line..) {
            let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            let line = String::from_utf8_lossy(line);
            let mut take = |value: Entry<'_>| take(value, number, event, &mut harvest);
            match lists {
                ListForm::Lines => entries(&line).map(sole).for_each(take),
                lists => lists.each_value(&line, &mut |value| {
                    take(value.map_err(|line| (line, Refusal::NoColumn)));
                }),
            }
        }
        gather.end(harvest);
    })
}

/// An entry, or what is none and why.
type Entry<'e> = Result<&'e str, (&'e str, Refusal)>;

fn take(entry: Entry<'_>, number: u64, event: u32, harvest: &mut Harvest<'_>) {
    let (value, refused) = entry.map_or_else(|(text, why)| (text, Some(why)), |text| (text, None));
    let (kind, spot) = (form(value), Spot::Line(number));
    let left_out = refused.map(LeftOut::Refused);
    harvest.take(&Attribute { kind, value, spot, left_out, ..Attribute::default() }, event);
}

/// Refuses a URL that has something beside it.
fn sole(entry: &str) -> Entry<'_> {
    let may_be = entry.contains(|c: char| c.is_whitespace() || "\"|,;".contains(c));
    match may_be && form(entry) == "url" && is_several(entry) {
        true => Err((entry, Refusal::SeveralValues)),
        false => Ok(entry),
    }
}

/// Returns the entries of a line: none of a comment, several of a hosts line, else one; words that
/// say neither are one entry, which no reader takes.
fn entries(line: &str) -> impl Iterator<Item = &str> {
    let line = without_comment(line).trim();
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let (whole, names) = match words.clone().next() {
        None => (line, None),
        Some(_) if is_sink(first) => ("", Some(words)),
        Some(_) if words.all(is_count) => (first, None),
        Some(_) => (line, None),
    };
    Some(whole).filter(|whole| !whole.is_empty()).into_iter().chain(names.into_iter().flatten())
}

/// Returns a line up to its comment.
pub(super) fn without_comment(line: &str) -> &str {
    let line = line.trim_start();
    if line.starts_with(['#', ';']) || line.starts_with("//") {
        return "";
    }
    let comment = |(at, c): (usize, char)| {
        let spaced = line.get(..at)?.ends_with(char::is_whitespace);
        (matches!(c, '#' | ';') && spaced).then_some(at)
    };
    let end = line.char_indices().find_map(comment).unwrap_or(line.len());
    line.get(..end).unwrap_or_default()
}

/// Tells whether names after this address are blocked by a hosts file.
fn is_sink(word: &str) -> bool {
    word.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified() || ip.is_loopback())
}

fn is_count(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the MISP type that an entry's form tells; the value's own reader judges the rest.
pub fn form(entry: &str) -> &'static str {
    let bare = refang(entry);
    let text = bare.as_ref();
    if text.contains("://") {
        return "url";
    }
    if text.starts_with('/') {
        return "uri";
    }
    let (host, after) = match text.split_once('/') {
        Some((host, after)) => (host, Some(after)),
        None => (text, None),
    };
    if host.contains('@') {
        return "email";
    }
    if let Some(kind) = fingerprint(text) {
        return kind;
    }
    match after {
        Some(after) if is_address(host) && is_bits(after) => return "ip-dst",
        Some(_) => return "url",
        None => {}
    }
    if is_address(text) || is_numbers(text) {
        return "ip-dst";
    }
    match text.rsplit_once([':', '|']) {
        Some((host, _)) if is_address(host) || is_numbers(host) => "ip-dst|port",
        Some(_) => "hostname|port",
        None => "domain",
    }
}

/// Tells whether a URL has something beside it: another value, a column or a comment. A URL cannot
/// hold white space, double quotes or `|` (RFC 3986 §2), and where a feed's does, nobody can tell;
/// commas it can.
fn is_several(entry: &str) -> bool {
    let bare = refang(entry);
    let is_value = |part: &str| {
        let scheme = part.split_once("://").map(|(scheme, _)| scheme);
        let is_scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_address(part) || scheme.is_some_and(is_scheme)
    };
    bare.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '|'))
        || bare.split([',', ';']).skip(1).any(is_value)
}

/// Tells whether what follows an address and a slash is meant as the length of a prefix or a mask,
/// also where another value follows that.
fn is_bits(after: &str) -> bool {
    let first = after.split([',', ';', '-']).next().unwrap_or_default();
    (is_count(first) && !first.is_empty()) || first.parse::<Ipv4Addr>().is_ok()
}

/// A list does not say what a digest is of; only JA4 shows it.
fn fingerprint(text: &str) -> Option<&'static str> {
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if matches!(text.len(), 32 | 40 | 64) && hex(text) {
        return Some("digest");
    }
    let parts = text.split('_').collect::<Vec<_>>();
    match parts.as_slice() {
        [a, b, c] if a.len() == 10 && b.len() == 12 && c.len() == 12 && hex(b) && hex(c) => {
            Some("ja4")
        }
        _ => None,
    }
}

fn is_address(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().is_ok()
}

/// Tells whether the text can only be meant as an IPv4 address or a range of them, however wrong.
fn is_numbers(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    digits && text.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, want: &[(&str, &str)]) {
        let got = entries(line).map(|entry| (form(entry), entry)).collect::<Vec<_>>();
        assert_eq!(got, want, "{line:?}");
    }

    #[test]
    fn entries_are_told_apart_by_form() {
        check("198.51.100.7", &[("ip-dst", "198.51.100.7")]);
        check(" 198.51.100.0/25\r", &[("ip-dst", "198.51.100.0/25")]);
        check("2001:db8::/32", &[("ip-dst", "2001:db8::/32")]);
        check("2001:db8::1", &[("ip-dst", "2001:db8::1")]);
        check("198.51.100.7:443", &[("ip-dst|port", "198.51.100.7:443")]);
        check("[2001:db8::1]:443", &[("ip-dst|port", "[2001:db8::1]:443")]);
        check("198.51.100.7|443", &[("ip-dst|port", "198.51.100.7|443")]);
        check("999.1.1.1", &[("ip-dst", "999.1.1.1")]);
        check("198.51.100.7-198.51.100.9", &[("ip-dst", "198.51.100.7-198.51.100.9")]);
        check("evil.example", &[("domain", "evil.example")]);
        check("*.evil.example", &[("domain", "*.evil.example")]);
        check("evil[.]example", &[("domain", "evil[.]example")]);
        check("evil.example:8080", &[("hostname|port", "evil.example:8080")]);
        check("http://evil.example/a", &[("url", "http://evil.example/a")]);
        check("hxxp://evil[.]example/a", &[("url", "hxxp://evil[.]example/a")]);
        check("evil.example/a", &[("url", "evil.example/a")]);
        check("198.51.100.7:80/a", &[("url", "198.51.100.7:80/a")]);
        check("198.51.100.7/cfg/", &[("url", "198.51.100.7/cfg/")]);
        check("198.51.100.7/", &[("url", "198.51.100.7/")]);
        check("198.51.100.0/255.255.255.0", &[("ip-dst", "198.51.100.0/255.255.255.0")]);
        let several = "198.51.100.0/24,203.0.113.0/24";
        check(several, &[("ip-dst", several)]);
        check("evil.example/@eaDir/x", &[("url", "evil.example/@eaDir/x")]);
        check("x@evil.example/a", &[("email", "x@evil.example/a")]);
        check("/gate.php", &[("uri", "/gate.php")]);
        check("x@evil.example", &[("email", "x@evil.example")]);
        check(
            "e7d705a3286e19ea42f587b344ee6865",
            &[("digest", "e7d705a3286e19ea42f587b344ee6865")],
        );
        let ja4 = "t13d1516h2_8daaf6152771_e5627efa2ab1";
        check(ja4, &[("ja4", ja4)]);
    }

    #[test]
    fn comments_hosts_lines_and_counts() {
        check("# evil.example", &[]);
        check("; evil.example", &[]);
        check("// evil.example", &[]);
        check("", &[]);
        check("evil.example # why", &[("domain", "evil.example")]);
        check("http://evil.example/#frag", &[("url", "http://evil.example/#frag")]);
        check("0.0.0.0 evil.example", &[("domain", "evil.example")]);
        check(
            "127.0.0.1\tevil.example other.example # x",
            &[("domain", "evil.example"), ("domain", "other.example")],
        );
        check(":: evil.example", &[("domain", "evil.example")]);
        check("0.0.0.0", &[("ip-dst", "0.0.0.0")]);
        check("71.6.135.131\t8", &[("ip-dst", "71.6.135.131")]);
        check("http://evil.example/a\t8", &[("url", "http://evil.example/a")]);
        check("two words", &[("domain", "two words")]);
        for two in ["198.51.100.7 198.51.100.8", "evil.example 203.0.113.9", "9.9.9.9 0.5"] {
            check(two, &[("domain", two)]);
        }
    }

    #[test]
    fn a_url_with_more_beside_it_is_several_values() {
        for several in [
            "http://evil.example/x\t2026-01-01",
            "http://evil.example/x | c2",
            "http://evil.example/x|c2",
            "\"http://evil.example/x\",\"2026\",\"exe\"",
            "http://evil.example/x http://evil.example/y",
            "http://evil.example/x,http://evil.example/y,",
            "hxxp://evil[.]example/x;hxxp[:]//evil[.]example/y",
            "http://evil.example/x,198.51.100.7",
            "evil.example/x // c",
        ] {
            check(several, &[("url", several)]);
            assert!(is_several(several), "{several}");
        }
        for one in [
            "http://evil.example/x,y;z=1,2",
            "http://evil.example/?u=http://other.example/,a",
            "http://evil.example/?a=1,2&u=http://other.example/",
            "\"http://evil.example/x\"",
            " http://evil.example/x\r",
        ] {
            assert!(!is_several(one), "{one}");
        }
    }
}
