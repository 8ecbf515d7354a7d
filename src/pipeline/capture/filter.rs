//! `--filter`: a BPF expression in the language of pcap-filter(7), compiled for each link type that
//! is met.

use pcap::BpfProgram;
use pcap::Capture;
use pcap::Linktype;

use crate::model::block::Block;
use crate::model::bytes::index;
use crate::model::limits::FILTER_BYTES_MAX;
use crate::model::packet::Frame;

/// Link types of which one must understand an expression: Ethernet, raw IP, loopback, Linux cooked.
const LINKS: &[u16] = &[1, 12, 0, 113, 276];

/// LINKTYPE_RAW, and what libpcap's compiler calls it here.
const RAW: (u16, i32) = (101, 12);

/// Characters of an expression that is too long that are told.
const TOLD_CHARS: usize = 40;

const TOO_LONG: &str = "over 2048 bytes, which take too long to compile: name networks and port \
                        ranges instead of each host and port";
const _: () = assert!(FILTER_BYTES_MAX == 2_048);

/// Keeps the frames that an expression wants. It looks at captured bytes: `len` and `greater` do
/// not see what was cut.
pub struct Filter {
    expression: String,
    /// The link types met; `None`: the expression makes no sense there, and wants none of its
    /// frames.
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
    /// When it compiles for no link type that we read, or is longer than is compiled in good time.
    pub fn new(expression: &str) -> Result<Self, BadFilter> {
        if expression.len() > FILTER_BYTES_MAX {
            let expression = expression.chars().take(TOLD_CHARS).chain(['…']).collect();
            return Err(BadFilter { expression, why: String::from(TOO_LONG) });
        }
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

#[cfg(test)]
mod tests {
    use super::Filter;
    use crate::model::block::Block;
    use crate::model::packet::Frame;
    use crate::model::packet::FrameId;
    use crate::model::time::Timestamp;

    /// version 4, 20 bytes, UDP, 10.0.0.1 to 10.0.0.2, port 53 to 4000
    const PACKET: [u8; 28] = [
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IP
        0, 53, 15, 160, 0, 8, 0, 0, // UDP
    ];

    fn check(expression: &str, link: u16, link_header: &[u8], wanted: bool) {
        let mut filter = Filter::new(expression).unwrap();
        let mut block = Block::new(0);
        let frame_bytes = [link_header, &PACKET].concat();
        block.bytes[5..5 + frame_bytes.len()].copy_from_slice(&frame_bytes);
        let bytes = frame_bytes.len() as u32;
        block.frames.push(Frame {
            time: Timestamp::default(),
            id: FrameId::new(0, 1),
            at: 5,
            captured_bytes: bytes,
            wire_bytes: bytes,
            link,
        });
        let dropped = filter.sieve(&mut block);
        assert_eq!((dropped, block.frames.len()), if wanted { (0, 1) } else { (1, 0) });
    }

    #[test]
    fn each_link_type_has_its_program() {
        let ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        let cooked = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0];
        for (expression, wanted) in [
            ("udp port 53", true),
            ("host 10.0.0.2 and not tcp", true),
            ("port 80", false),
            ("ip6", false),
        ] {
            check(expression, 1, &ethernet, wanted);
            check(expression, 101, &[], wanted);
            check(expression, 12, &[], wanted);
            check(expression, 228, &[], wanted);
            check(expression, 113, &cooked, wanted);
            check(expression, 0, &[2, 0, 0, 0], wanted);
        }
        check("ether src 02:00:00:00:00:02", 1, &ethernet, true);
        check("ether src 02:00:00:00:00:02", 101, &[], false);
    }

    #[test]
    fn a_bad_expression_is_told_with_its_reason() {
        let bad = Filter::new("porrt 53").err().unwrap();
        assert!(bad.to_string().starts_with("filter “porrt 53”: "), "{bad}");
        assert!(Filter::new("host 10.0.0.1 and").is_err());
        assert!(Filter::new("\0").is_err());
        assert!(Filter::new("").is_ok());
        let long = vec!["port 53"; 400].join(" or ");
        let told = Filter::new(&long).err().unwrap().to_string();
        assert!(told.contains("over 2048 bytes") && told.len() < 250, "{told}");
    }
}
