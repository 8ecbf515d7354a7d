//! Frames that are prepared before a trial and sent round and round: of one size, mixed, or
//! recorded.

use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::control::bench::live::LiveBenchError;
use crate::control::bench::live::conversation;
use crate::control::bench::live::frame;
use crate::control::bench::live::frame::CHECK_BYTES;
use crate::control::bench::live::frame::End;
use crate::control::bench::live::frame::Marker;
use crate::control::bench::live::frame::Segment;
use crate::control::bench::live::planted::Looks;
use crate::control::bench::live::planted::Planted;
use crate::control::bench::live::planted::next;
use crate::control::output;
use crate::model::block::Block;
use crate::pipeline::capture::Source;
use crate::pipeline::capture::State;
use crate::pipeline::capture::file::Files;

/// Frame sizes of RFC 2544 section 9.1, in octets, check sequence included.
pub(super) const SIZES: [u16; 7] = [64, 128, 256, 512, 1_024, 1_280, 1_518];

/// Bytes of recorded frames that are held in memory to be sent; the rest of a capture is left out.
const RECORDED_BYTES_MAX: usize = 2 << 30;

/// Link type of Ethernet (`LINKTYPE_ETHERNET`).
const ETHERNET: u16 = 1;

/// Frames of one flow that are on their way together in the mix.
const ROUNDS: usize = 16;

/// Frames ready to be sent.
pub(super) struct Traffic {
    /// Name in tables.
    pub(super) name: String,
    /// The frames, without check sequences.
    pub(super) frames: Vec<Vec<u8>>,
    /// What is sent between them.
    pub(super) planted: Planted,
    /// They are somebody's, and may be what indicators name.
    pub(super) is_recorded: bool,
    /// Recorded frames that cannot be sent.
    pub(super) left_out: u64,
    /// A recording went beyond what is held.
    pub(super) is_cut: bool,
}

impl Traffic {
    /// Makes frames of one size, half UDP and half TCP, one for each of `flows` flows.
    pub(super) fn sized(size: u16, flows: u32, marker: Marker) -> Self {
        let noise = noise(usize::from(size));
        let make = |n: u32| {
            let (from, to) = ends(n, 9);
            if n.is_multiple_of(2) {
                frame::udp(from, to, &noise[..frame::udp_room(size)], marker)
            } else {
                let segment = Segment { seq: 1, ack: 1, ..Segment::default() };
                frame::tcp(from, to, segment, &noise[..frame::tcp_room(size)], marker)
            }
        };
        Self::new(size.to_string(), (0..flows).map(make).collect(), Looks::Sized(size), marker)
    }

    /// Makes a mix of conversations, each opened and closed, so that it is a new one every time
    /// round.
    pub(super) fn mixed(flows: u32, marker: Marker) -> Self {
        let all = (0..flows).map(|n| conversation_frames(n, marker)).collect();
        Self::new("mixed".to_owned(), interleaved(all), Looks::Mixed, marker)
    }

    /// Reads recorded frames, marks them, and leaves out what an interface with `mtu` cannot send.
    ///
    /// # Errors
    ///
    /// When nothing in the capture can be sent.
    pub(super) fn recorded(
        path: &Path,
        mtu: usize,
        marker: Marker,
    ) -> Result<Self, LiveBenchError> {
        let mut files = Files::open(&[path], None);
        let mut block = Block::new(1);
        let mut traffic = Self::new("recorded".to_owned(), Vec::new(), Looks::Mixed, marker);
        traffic.is_recorded = true;
        let mut held = 0;
        let mut state = State::More;
        while state == State::More && !traffic.is_cut {
            block.clear();
            state = files.fill(&mut block);
            for frame in &block.frames {
                let at = frame.at as usize;
                let bytes = block.bytes.get(at..at + frame.captured_bytes as usize);
                // a VLAN tag is no part of the payload
                let fits = |bytes: &&[u8]| {
                    let tags = if bytes.get(12..14) == Some(&[0x81, 0x00]) { 4 } else { 0 };
                    bytes.len() >= 14 && bytes.len() <= 14 + tags + mtu
                };
                let whole = frame.captured_bytes == frame.wire_bytes && frame.link == ETHERNET;
                let Some(bytes) = bytes.filter(fits).filter(|_| whole) else {
                    traffic.left_out += 1;
                    continue;
                };
                held += bytes.len();
                traffic.is_cut |= held > RECORDED_BYTES_MAX;
                let mut bytes = bytes.to_vec();
                marker.put(&mut bytes);
                traffic.frames.push(bytes);
            }
        }
        if traffic.frames.is_empty() {
            let nothing = || LiveBenchError::NothingToSend(path.display().to_string());
            return Err(files
                .damages()
                .last()
                .map_or_else(nothing, |damage| LiveBenchError::Capture(damage.to_string())));
        }
        output::say_all(files.damages());
        Ok(traffic)
    }

    fn new(name: String, frames: Vec<Vec<u8>>, looks: Looks, marker: Marker) -> Self {
        let planted = Planted { looks, marker };
        Self { name, frames, planted, is_recorded: false, left_out: 0, is_cut: false }
    }

    /// Returns the frames as the sender hands them to the kernel.
    pub(super) fn slices(&self) -> Vec<[IoSlice<'_>; 1]> {
        self.frames.iter().map(|frame| [IoSlice::new(frame)]).collect()
    }

    /// Returns the mean size of a frame, check sequence included.
    pub(super) fn mean_octets(&self) -> f64 {
        let bytes: usize = self.frames.iter().map(|frame| frame.len() + CHECK_BYTES).sum();
        bytes as f64 / self.frames.len().max(1) as f64
    }
}

/// Ends of flow `n`, in the range for benchmarks (RFC 2544 appendix C.2.2).
fn ends(n: u32, port: u16) -> (End, End) {
    let [_, _, high, low] = (n / 64).to_be_bytes();
    let own = u16::try_from(10_000 + n % 50_000).unwrap_or(10_000);
    let from = End(Ipv4Addr::new(198, 18, high % 64, low), own);
    let to = End(Ipv4Addr::new(198, 19, 1 + low % 64, 1), port);
    (from, to)
}

/// Bytes of no protocol.
fn noise(len: usize) -> Vec<u8> {
    let mut random = 0x6e6f_6973;
    (0..len).map(|_| next(&mut random).to_le_bytes()[0] | 0x80).collect()
}

/// The frames of conversation `n`: of ten, three are look-ups, three TLS, two HTTP, and two bulk.
fn conversation_frames(n: u32, marker: Marker) -> Vec<Vec<u8>> {
    let name = format!("host-{n}.bench.tapsieve.example");
    match n % 10 {
        0..=2 => {
            let (from, to) = ends(n, 53);
            let id = u16::try_from(n % 65_536).unwrap_or(0);
            let question = conversation::question(&name, id);
            let answer = conversation::answer(&name, id, [198, 19, 2, 1]);
            vec![frame::udp(from, to, &question, marker), frame::udp(to, from, &answer, marker)]
        }
        3..=5 => {
            let said = [conversation::hello(&name), conversation::server_hello()];
            stream(ends(n, 443), said, 8, marker)
        }
        6..=7 => {
            let said = [conversation::request(&name), conversation::response()];
            stream(ends(n, 80), said, 6, marker)
        }
        _ => {
            let (from, to) = ends(n, 4_433);
            (0..16).map(|_| frame::udp(from, to, &noise(1_250), marker)).collect()
        }
    }
}

/// A TCP connection: what each side says first, then `bulk` full segments of the answerer, each
/// acknowledged.
fn stream(
    (from, to): (End, End),
    [asked, answered]: [Vec<u8>; 2],
    bulk: u32,
    marker: Marker,
) -> Vec<Vec<u8>> {
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0);
    let (mut own, mut others) = (1_001, 5_001);
    let say = |seq, ack| Segment { seq, ack, ..Segment::default() };
    let mut frames = vec![
        frame::tcp(from, to, Segment { syn: true, ..say(1_000, 0) }, &[], marker),
        frame::tcp(to, from, Segment { syn: true, ..say(5_000, 1_001) }, &[], marker),
        frame::tcp(from, to, say(own, others), &asked, marker),
    ];
    own += len(&asked);
    let full = noise(1_440);
    for said in std::iter::once(&answered).chain((0..bulk).map(|_| &full)) {
        frames.push(frame::tcp(to, from, say(others, own), said, marker));
        others += len(said);
        frames.push(frame::tcp(from, to, say(own, others), &[], marker));
    }
    frames.push(frame::tcp(from, to, Segment { fin: true, ..say(own, others) }, &[], marker));
    frames.push(frame::tcp(to, from, Segment { fin: true, ..say(others, own + 1) }, &[], marker));
    frames.push(frame::tcp(from, to, say(own + 1, others + 1), &[], marker));
    frames
}

/// Puts conversations side by side: of each group one frame in turn.
fn interleaved(conversations: Vec<Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut waiting = conversations.into_iter().map(Vec::into_iter);
    let mut open: Vec<_> = waiting.by_ref().take(ROUNDS).collect();
    while !open.is_empty() {
        open.retain_mut(|conversation| match conversation.next() {
            Some(frame) => {
                frames.push(frame);
                true
            }
            None => false,
        });
        open.extend(waiting.by_ref().take(ROUNDS - open.len()));
    }
    frames
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn sized_traffic_has_one_size_and_all_flows() {
        let marker = Marker::of_this_run();
        for size in SIZES {
            let traffic = Traffic::sized(size, 2_000, marker);
            let sizes: HashSet<usize> = traffic.frames.iter().map(Vec::len).collect();
            assert_eq!(sizes, HashSet::from([usize::from(size) - CHECK_BYTES]));
            let heads: HashSet<&[u8]> = traffic.frames.iter().map(|f| &f[23..38]).collect();
            assert_eq!(heads.len(), 2_000);
        }
    }

    #[test]
    fn the_mix_holds_every_frame_of_every_conversation() {
        let traffic = Traffic::mixed(100, Marker::of_this_run());
        // of ten: 3 look-ups of 2, 3 of TLS of 24, 2 of HTTP of 20, 2 bulk of 16
        assert_eq!(traffic.frames.len(), 10 * (3 * 2 + 3 * 24 + 2 * 20 + 2 * 16));
        let mean = traffic.mean_octets();
        assert!((500.0..900.0).contains(&mean), "{mean}");
    }
}
