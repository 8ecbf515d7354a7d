//! `--filter`: a BPF expression in the language of pcap-filter(7), compiled for each link type that is met.

use pcap::BpfProgram;
use pcap::Capture;
use pcap::Linktype;

use crate::model::block::Block;
use crate::model::bytes::index;
use crate::model::packet::Frame;

/// Link types of which one must understand an expression: Ethernet, raw IP, loopback, Linux cooked.
const LINKS: &[u16] = &[1, 12, 0, 113, 276];

/// LINKTYPE_RAW, and what libpcap's compiler calls it here.
const RAW: (u16, i32) = (101, 12);

/// Keeps the frames that an expression wants. It looks at captured bytes: `len` and `greater` do not see what was cut.
pub struct Filter {
    expression: String,
    /// The link types met; `None`: the expression makes no sense there, and wants none of its frames.
    programs: Vec<(u16, Option<BpfProgram>)>,
}

/// An expression that libpcap does not understand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter “{expression}”: {why}; see pcap-filter(7)")]
pub struct BadFilter {
    /// The expression as given.
    pub expression: String,
    /// libpcap's words.
    pub why: String,
}

impl Filter {
    /// Checks an expression.
    ///
    /// # Errors
    /// When it compiles for no link type that we read.
    pub fn new(expression: &str) -> Result<Self, BadFilter> {
        let expression = String::from(expression);
        let mut first = None;
        for link in LINKS {
            match compile(*link, &expression) {
                Ok(program) => {
                    let programs = vec![(*link, Some(program))];
                    return Ok(Self { expression, programs });
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(BadFilter { expression, why: first.map(words).unwrap_or_default() })
    }

    /// Drops the frames of a block that are not wanted; returns how many.
    pub(super) fn sieve(&mut self, block: &mut Block) -> u64 {
        let before = block.frames.len();
        let Block { bytes, frames, .. } = block;
        frames.retain(|frame| self.wants(frame, bytes));
        u64::try_from(before.saturating_sub(frames.len())).unwrap_or(u64::MAX)
    }

    fn wants(&mut self, frame: &Frame, bytes: &[u8]) -> bool {
        let end = frame.at.saturating_add(frame.captured_bytes);
        let frame_bytes = bytes.get(index(frame.at)..index(end)).unwrap_or_default();
        let known = self.programs.iter().position(|(link, _)| *link == frame.link);
        let at = known.unwrap_or_else(|| {
            self.programs.push((frame.link, compile(frame.link, &self.expression).ok()));
            self.programs.len().saturating_sub(1)
        });
        match self.programs.get(at) {
            Some((_, Some(program))) => program.filter(frame_bytes),
            _ => false,
        }
    }
}

fn compile(link: u16, expression: &str) -> Result<BpfProgram, pcap::Error> {
    let kind = if link == RAW.0 { RAW.1 } else { i32::from(link) };
    Capture::dead(Linktype(kind))?.compile(expression, true)
}

#[allow(clippy::disallowed_methods, reason = "once, before anything is read")]
fn words(error: pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(why) => why,
        other => other.to_string(),
    }
}
