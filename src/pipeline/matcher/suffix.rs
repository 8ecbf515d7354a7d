//! Suffix look-ups: a name, and every parent on label borders.

use crate::model::domain::parents;
use crate::model::hit::Found;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::Match;
use crate::pipeline::matcher::exact::Row;
use crate::pipeline::matcher::exact::Tag;
use crate::pipeline::matcher::exact::Texts;
use crate::pipeline::matcher::table::Shelf;

/// Most labels of a name (RFC 1035 §3.1: 127 of one octet).
const LABELS_MAX: usize = 127;

/// Look-ups that are under way at once; a name has seldom more parents.
const PROBES_MAX: usize = 6;

const DOMAIN: Tag = Tag(0);
const HOSTNAME: Tag = Tag(1);
const PAIR: Tag = Tag(2);
const WITH_PORT: Tag = Tag(3);

/// Names: those that stand for all under them, and those that stand for themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    texts: Texts,
    /// Bit `n` is set where a name of `n` labels stands for all under it, so parents of other
    /// lengths are not looked up.
    labels: u128,
}

impl Names {
    /// Adds a name that stands for all under it.
    pub(super) fn add_domain(&mut self, name: &str, id: IndicatorId) {
        self.labels |= label_bit(parents(name.as_bytes()).count());
        self.texts.add(name, id, DOMAIN, 0);
    }

    /// Adds a name that stands for all under it, as half of a pair.
    pub(super) fn add_pair(&mut self, name: &str, id: IndicatorId) {
        self.labels |= label_bit(parents(name.as_bytes()).count());
        self.texts.add(name, id, PAIR, 0);
    }

    /// Adds a name that stands for itself.
    pub(super) fn add_hostname(&mut self, name: &str, id: IndicatorId) {
        self.texts.add(name, id, HOSTNAME, 0);
    }

    /// Adds a name that stands for itself with a port.
    pub(super) fn add_with_port(&mut self, name: &str, port: u16, id: IndicatorId) {
        self.texts.add(name, id, WITH_PORT, port);
    }

    /// Builds the table.
    pub(super) fn finish(&mut self, seed: u64) {
        self.texts.finish(seed);
    }

    /// Finds what names `name`; `port` goes with it, 0 where none is known.
    pub(super) fn find(&self, name: &[u8], port: u16, out: &mut Vec<Found>) {
        if self.texts.is_empty() {
            return;
        }
        // every look-up's load is under way before the first is waited for
        let mut probes = [None; PROBES_MAX];
        let mut suffixes = self.suffixes(name);
        let whole_probe = self.texts.probe(name);
        loop {
            let mut taken = 0_usize;
            for (probe, suffix) in probes.iter_mut().zip(&mut suffixes) {
                *probe = Some((suffix, self.texts.probe(suffix)));
                taken = taken.saturating_add(1);
            }
            for (suffix, probe) in probes.iter_mut().filter_map(Option::take) {
                if probe.is_some() {
                    out.extend(self.texts.find_probed(suffix, probe).filter_map(under));
                }
            }
            if taken < PROBES_MAX {
                break;
            }
        }
        if whole_probe.is_some() {
            let rows = self.texts.find_probed(name, whole_probe);
            out.extend(rows.filter_map(|row| whole(row, port)));
        }
    }

    /// Returns the parents of a name, the shortest first, of as many labels as some indicator has.
    fn suffixes<'a>(&self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let labels_wanted = self.labels;
        let mut labels = 0_usize;
        let mut end = name.len();
        std::iter::from_fn(move || {
            loop {
                if labels >= LABELS_MAX || labels_wanted >> labels <= 1 {
                    return None;
                }
                let dot = name.get(..end)?.iter().rposition(|&byte| byte == b'.')?;
                end = dot;
                if is_escaped(name, dot) {
                    continue;
                }
                labels = labels.saturating_add(1);
                if labels_wanted & label_bit(labels) != 0 {
                    return name.get(dot.saturating_add(1)..);
                }
            }
        })
    }

    /// Finds the names that only count with a port.
    pub(super) fn find_with_port(&self, name: &[u8], port: u16, out: &mut Vec<Found>) {
        let rows = self.texts.find(name).filter(|row| row.tag == WITH_PORT);
        out.extend(rows.filter_map(|row| whole(row, port)));
    }

    /// Puts its tables on a shelf, or takes them from there.
    pub(super) fn visit(&mut self, name: &'static str, shelf: &mut impl Shelf) {
        self.texts.visit(name, shelf);
        shelf.value([name, "labels"], &mut self.labels);
    }

    /// Checks that all entries can be found and name one of `ids` indicators.
    pub(super) fn verify(&self, ids: u32) -> Result<(), &'static str> {
        self.texts.verify(ids)?;
        let mut rows = self.texts.rows().filter(|(_, row)| [DOMAIN, PAIR].contains(&row.tag));
        let whole = rows.all(|(name, _)| self.labels & label_bit(parents(name).count()) != 0);
        whole.then_some(()).ok_or("an entry's parent is not looked for")
    }
}

/// Grades an indicator of the very name.
fn whole(row: Row, port: u16) -> Option<Found> {
    let grade = match row.tag {
        PAIR => Match::OneHalf,
        WITH_PORT if row.port != port => return None,
        _ => Match::Exact,
    };
    Some(Found { indicator: row.id, grade })
}

/// Grades an indicator of a parent.
fn under(row: Row) -> Option<Found> {
    let grade = match row.tag {
        DOMAIN => Match::Subdomain,
        PAIR => Match::OneHalf,
        _ => return None,
    };
    Some(Found { indicator: row.id, grade })
}

/// A name has at most 127 labels (RFC 1035 §3.1); what claims more has no bit.
fn label_bit(labels: usize) -> u128 {
    u32::try_from(labels).ok().and_then(|n| 1_u128.checked_shl(n)).unwrap_or(0)
}

/// Tells whether an odd number of backslashes stands before a dot.
fn is_escaped(name: &[u8], dot: usize) -> bool {
    let before = name.get(..dot).unwrap_or_default();
    let slashes = before.iter().rev().take_while(|&&byte| byte == b'\\').count();
    slashes & 1 == 1
}
