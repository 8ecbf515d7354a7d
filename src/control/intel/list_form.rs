//! How the lines of a list are read: one value each, columns of CSV without a header, or whatever
//! is in a text.
//!
//! Spec:   the feed formats `csv` and `freetext` of MISP (`Feed::getFreetextFeed`, its settings
//!         `value` and `delimiter`; `ComplexTypeTool::checkFreeText`); RFC 4180 §2
//! Reads:  one line
//! Yields: values as they are written; `list` tells their types by their forms
//! Bounds: `COLUMNS_MAX`; a quoted field ends with its line
//! Leaves: expressions that leave lines out

use std::net::IpAddr;

use ipnet::IpNet;

use crate::control::intel::list::form;
use crate::control::intel::list::without_comment;
use crate::model::refang::refang;

/// Columns of one feed; the largest of MISP's default feeds has 20.
const COLUMNS_MAX: usize = 1_000;

/// How a list is read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ListForm {
    /// One value a line.
    #[default]
    Lines,
    /// CSV whose columns have no names that we know.
    Columns(Columns),
    /// Text with values in it.
    FreeText,
}

/// The columns of CSV that hold values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Columns {
    /// Which, counted from 0.
    at: Vec<usize>,
    delimiter: u8,
}

impl ListForm {
    /// Reads `lines`, `freetext` or `csv:COLUMNS[:DELIMITER]`, the columns counted from 1 and with
    /// commas between; the delimiter is one character, or `tab`.
    ///
    /// # Errors
    /// It is none of them.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let what = "lines, freetext, or csv:COLUMNS[:DELIMITER] is wanted, as csv:2 or csv:1,3:;";
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        match (name, rest) {
            ("lines", "") => Ok(Self::Lines),
            ("freetext", "") => Ok(Self::FreeText),
            ("csv", rest) => Columns::from_text(rest).map(Self::Columns).ok_or(what.to_owned()),
            _ => Err(what.to_owned()),
        }
    }

    /// Gives each value of a line, or the line where it has not the columns.
    pub fn each_value(&self, line: &str, each: &mut dyn FnMut(Result<&str, &str>)) {
        match self {
            Self::Lines => {}
            Self::FreeText => {
                let words = words(without_comment(line)).filter(|word| is_value(word));
                words.for_each(|word| each(Ok(word)));
            }
            Self::Columns(columns) => columns.each_field(line, each),
        }
    }
}

impl Columns {
    fn from_text(text: &str) -> Option<Self> {
        let (columns, delimiter) = text.split_once(':').unwrap_or((text, ","));
        let delimiter = match delimiter.as_bytes() {
            b"tab" => b'\t',
            [one] if one.is_ascii() && !one.is_ascii_alphanumeric() && *one != b'"' => *one,
            _ => return None,
        };
        let column = |text: &str| {
            let number = text.trim().parse::<usize>().ok()?;
            (1..=COLUMNS_MAX).contains(&number).then(|| number - 1)
        };
        let at = columns.split(',').map(column).collect::<Option<Vec<_>>>()?;
        Some(Self { at, delimiter })
    }

    fn each_field(&self, line: &str, each: &mut dyn FnMut(Result<&str, &str>)) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return;
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .buffer_capacity(line.len())
            .from_reader(line.as_bytes());
        let mut record = csv::StringRecord::new();
        // a line is a record, whatever its quotes say
        let is_read = reader.read_record(&mut record).unwrap_or(false);
        let fields = self.at.iter().map(|at| record.get(*at).map(str::trim));
        let fields = fields.collect::<Option<Vec<_>>>().filter(|_| is_read);
        match fields {
            Some(fields) => {
                fields.into_iter().filter(|field| !field.is_empty()).map(Ok).for_each(each);
            }
            None => each(Err(line)),
        }
    }
}

/// Returns the words of a text, without what is around them in prose.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || "\"'`<>,;|".contains(c);
    line.split(ends).map(bare).filter(|word| !word.is_empty())
}

/// Returns a word without the marks of its sentence, and the brackets that it stands in.
fn bare(word: &str) -> &str {
    let mut word = word;
    loop {
        let ended = word.trim_end_matches(['.', ',', ':', '!', '?', '*', '_']);
        let opened = ended.trim_start_matches(['*', '_']);
        let pairs = [('(', ')'), ('[', ']'), ('{', '}')];
        let inner = pairs.into_iter().find_map(|(open, close)| {
            let begins = opened.strip_prefix(open).filter(|rest| {
                // an IPv6 address with a port begins so, too
                !rest.contains(close) || rest.ends_with(close)
            });
            let ends = opened.strip_suffix(close).filter(|rest| !rest.contains(open));
            begins.or(ends)
        });
        let next = inner.unwrap_or(opened);
        if next == word {
            return word;
        }
        word = next;
    }
}

/// Tells whether a word can only be meant as a value: its form says so, and for a name its
/// top-level domain.
fn is_value(word: &str) -> bool {
    let clean = refang(word);
    let host = clean.split(['/', '|']).next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    match form(word) {
        "url" => clean.contains("://") || is_name(host) || host.parse::<IpAddr>().is_ok(),
        "domain" | "hostname|port" => is_name(host),
        "ip-dst" => clean.parse::<IpAddr>().is_ok() || clean.parse::<IpNet>().is_ok(),
        "email" => clean.rsplit_once('@').is_some_and(|(_, host)| is_name(host)),
        "ip-dst|port" | "digest" | "ja4" => true,
        _ => false,
    }
}

/// Tells whether a name is under a suffix that ICANN has let in.
fn is_name(name: &str) -> bool {
    let name = name.trim_start_matches("*.").to_ascii_lowercase();
    let is_known = |suffix: psl::Suffix<'_>| {
        suffix.typ() == Some(psl::Type::Icann) && suffix.as_bytes().len() < name.len()
    };
    let may_be = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    may_be && name.contains('.') && psl::suffix(name.as_bytes()).is_some_and(is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: &str, line: &str, want: &[&str]) {
        let form = ListForm::from_text(form).expect(form);
        let mut values = Vec::new();
        form.each_value(line, &mut |value| match value {
            Ok(value) => values.push(value.to_owned()),
            Err(line) => values.push(format!("no column: {line}")),
        });
        assert_eq!(values, want, "{line}");
    }

    #[test]
    fn columns_are_taken_as_they_are_asked_for() {
        let urlhaus =
            "\"3708765\",\"2026-11-30 16:12:07\",\"http://198.51.100.7:8080/a,b\",\"online\"";
        check("csv:3", urlhaus, &["http://198.51.100.7:8080/a,b"]);
        check("csv:1,2:;", "9.9.9.9; evil.example ;x", &["9.9.9.9", "evil.example"]);
        check("csv:2:tab", "a\tevil.example\tb", &["evil.example"]);
        check("csv:1:|", "9.9.9.9   |  AS1", &["9.9.9.9"]);
        check("csv:2", "# id,url", &[]);
        check("csv:2", "a,", &[]);
        check("csv:3", "Error, no data", &["no column: Error, no data"]);
        for wrong in ["csv", "csv:", "csv:0", "csv:x", "csv:1:ab", "csv:1:\"", "text", "lines:1"] {
            assert!(ListForm::from_text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_a_text_what_can_only_be_a_value_is_taken() {
        let prose = "On 1.2 we saw evil-ft.com (and www[.]worse.co[.]uk) contact 45[.]83[.]31[.]10:443, \
                     then hxxp://evil[.]org/a.php. \"9.9.9.9\";[2001:db8::1]:443 <10.0.0.0/8> e.g. v2.0 \
                     end.of sentence... a@evil.com d41d8cd98f00b204e9800998ecf8427e evil.com/x/y";
        let want = [
            "evil-ft.com",
            "www[.]worse.co[.]uk",
            "45[.]83[.]31[.]10:443",
            "hxxp://evil[.]org/a.php",
            "9.9.9.9",
            "[2001:db8::1]:443",
            "10.0.0.0/8",
            "a@evil.com",
            "d41d8cd98f00b204e9800998ecf8427e",
            "evil.com/x/y",
        ];
        check("freetext", prose, &want);
        check("freetext", "# evil.com is what https://feed.example/ calls so", &[]);
    }
}
