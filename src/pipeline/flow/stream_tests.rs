//! Tests of reassembly: its words one by one, and any segmentation against the whole stream.

use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;

use crate::model::counters::Counters;
use crate::model::flow::Side;
use crate::model::limits::SIDE_BYTES_MAX;
use crate::model::limits::SIDE_SEGMENTS_MAX;
use crate::model::step::Step;
use crate::model::step::Verdict;
use crate::pipeline::flow::segment::Segment;
use crate::pipeline::flow::stream::Outcome;
use crate::pipeline::flow::stream::StreamId;
use crate::pipeline::flow::stream::Streams;

/// Close under the wrap, so that every test passes it.
const ISN: u32 = u32::MAX - 2;

/// Reads words: `x` + digit skips so many bytes, `.` ends the side, `!` ends both, `?` is alien;
/// others are noted, a letter at a time, an upper-case one only with the byte behind it.
#[derive(Debug, Default)]
struct Letters {
    seen: [String; 2],
}

impl Letters {
    fn feed(&mut self, side: Side, mut bytes: &[u8]) -> Step {
        let given = bytes.len();
        let seen = &mut self.seen[usize::from(side == Side::Resp)];
        let mut step = Step { consumed: 0, verdict: Verdict::More };
        while step.verdict == Verdict::More {
            let taken = match bytes {
                [] | [b'x' | b'A'..=b'Z'] => return step,
                [b'x', digit, ..] => 2 + usize::from(digit - b'0'),
                [b'A'..=b'Z', ..] => 2,
                _ => 1,
            };
            match bytes[0] {
                b'.' => step.verdict = Verdict::SideDone,
                b'!' => step.verdict = Verdict::Done,
                b'?' => step.verdict = Verdict::Alien,
                b'x' => seen.push('_'),
                _ => seen.push_str(std::str::from_utf8(&bytes[..taken]).unwrap()),
            }
            step.consumed += u64::try_from(taken).unwrap();
            bytes = &bytes[taken.min(bytes.len())..];
        }
        assert!(given > 0, "nothing to show");
        step
    }
}

struct Bed {
    streams: Streams<Letters>,
    id: StreamId,
    counters: Counters,
    seen: [String; 2],
    outcome: Outcome,
}

impl Bed {
    fn new() -> Self {
        let mut streams = Streams::new(4);
        let id = streams.open();
        let seen = Default::default();
        Self { streams, id, counters: Counters::default(), seen, outcome: Outcome::Open }
    }

    fn segment(&mut self, segment: &Segment<'_>) {
        let seen = &mut self.seen;
        self.outcome = self.streams.segment(
            self.id,
            segment,
            &mut self.counters,
            |letters: &mut Letters, side, bytes| {
                let step = letters.feed(side, bytes);
                seen.clone_from(&letters.seen);
                step
            },
        );
    }
}

fn segment(side: Side, offset: u32, payload: &[u8]) -> Segment<'_> {
    let start = Some(ISN.wrapping_add(1));
    let seq = ISN.wrapping_add(1).wrapping_add(offset);
    Segment { side, seq, ack: None, fin: false, start, probe: false, payload, missing_bytes: 0 }
}

/// Words: `>` or `<` (who sends), offset, `:`, payload; then `|` ends it (FIN), `-n` n bytes cut
/// off, `^n` acknowledges n.
fn run(script: &str) -> Bed {
    let mut bed = Bed::new();
    for word in script.split_whitespace() {
        let side = if word.starts_with('>') { Side::Orig } else { Side::Resp };
        let (offset, rest) = word[1..].split_once(':').unwrap();
        let end = rest.find(['|', '-', '^']).unwrap_or(rest.len());
        let (payload, marks) = rest.split_at(end);
        let mut next = segment(side, offset.parse().unwrap(), payload.as_bytes());
        let number = |mark: char| marks.split_once(mark).map(|(_, n)| n.parse::<u32>().unwrap());
        next.fin = marks == "|";
        next.missing_bytes = number('-').unwrap_or(0);
        next.ack = number('^').map(|n| ISN.wrapping_add(1).wrapping_add(n));
        bed.segment(&next);
    }
    bed
}

fn check(script: &str, seen: [&str; 2], outcome: Outcome, gaps: u64) {
    let bed = run(script);
    assert_eq!((bed.outcome, bed.counters.gaps), (outcome, gaps), "{script}");
    assert_eq!(bed.seen, seen, "{script}");
}

#[test]
fn bytes_come_in_order_once() {
    use Outcome::Open;
    check(">0:abc >3:def <0:gh <2:i", ["abcdef", "ghi"], Open, 0);
    check(">3:def >0:abc", ["abcdef", ""], Open, 0);
    check(">4:ef >2:cd >8:ij >6:gh >0:ab", ["abcdefghij", ""], Open, 0);
    check(">0:abc >0:abc >1:bc >3:d", ["abcd", ""], Open, 0);
    check(">0:abc >1:bcde >4:efg", ["abcdefg", ""], Open, 0);
    check(">2:cd >1:bcdef >0:abc", ["abcdef", ""], Open, 0);
    check(">0:abA >3:bC >5:d", ["abAbCd", ""], Open, 0);
    check(">0:abA >5:d >3:bC", ["abAbCd", ""], Open, 0);
}

#[test]
fn of_two_copies_the_first_counts() {
    use Outcome::Open;
    check(">0:abc >0:YYYd", ["abcd", ""], Open, 0);
    check(">2:cd >1:bYYe >0:a", ["abcde", ""], Open, 0);
    check(">2:cd >6:gh >1:bYYefYYi >0:a", ["abcdefghi", ""], Open, 0);
    check(">0:A >0:Yb", ["Ab", ""], Open, 0);
}

#[test]
fn keep_alives_and_ends_do_no_harm() {
    use Outcome::Open;
    check(">0:abc >2:x >2:c >3:d", ["abcd", ""], Open, 0);
    check(">0:abc >2:^0 <0:^3 >3:d", ["abcd", ""], Open, 0);
    check(">3:def| >0:abc <0:g|", ["abcdef", "g"], Open, 0);
    check(">0:a| >1:| >0:a|", ["a", ""], Open, 0);
}

#[test]
fn verdicts_end_a_side_or_all() {
    check(">0:ab. >3:cd <0:e", ["ab", "e"], Outcome::Open, 0);
    check(">0:ab. <0:c.", ["ab", "c"], Outcome::Done, 0);
    check(">0:A >2:b. >1:x", ["Axb", ""], Outcome::Open, 0);
    check(">0:ab!", ["ab", ""], Outcome::Done, 0);
    check(">0:ab <0:c?", ["ab", "c"], Outcome::Alien, 0);
}

#[test]
fn skipped_bytes_are_not_missed() {
    use Outcome::Open;
    check(">0:ax4 >3:1234b", ["a_b", ""], Open, 0);
    check(">0:ax4 >6:4b", ["a_b", ""], Open, 0);
    check(">0:ax4 >7:b", ["a_b", ""], Open, 0);
    check(">0:ax4 >8:c >3:1234b", ["a_bc", ""], Open, 0);
    check(">0:ax4 >8:c >5:3 >7:b", ["a_bc", ""], Open, 0);
    check(">3:1 >5:34b >0:ax4", ["a_b", ""], Open, 0);
    check(">3:1 >5:3 >8:c >0:ax4 >7:b", ["a_bc", ""], Open, 0);
    check(">0:ax >4:2 >2:4", ["a_", ""], Open, 0);
    check(">5:34x1 >0:ax4 >9:1b", ["a__b", ""], Open, 0);
}

#[test]
fn a_gap_ends_its_side_when_the_other_end_has_the_bytes_and_three_segments_came() {
    use Outcome::Open;
    check(">0:a >2:c >3:d >4:e", ["a", ""], Open, 0);
    check(">0:a >2:c >3:d <0:^5", ["a", ""], Open, 0);
    check(">0:a >2:c >3:d >4:e <0:^1 >1:b", ["abcde", ""], Open, 0);
    check(">0:a >2:c >3:d >4:e <0:^5 >1:b", ["a", ""], Open, 1);
    check(">0:a >2:c >3:d <0:^5 >4:e >1:b", ["a", ""], Open, 1);
    check(">0:a >2:c >2:c >2:c >2:c <0:^3 >1:b", ["abc", ""], Open, 0);
    check(">0:a >2:c| <0:^4 >1:b", ["a", ""], Open, 1);
    check(">0:a >2:c >3:| <0:^4 >1:b", ["a", ""], Open, 1);
    check(">0:a >2:c| <0:^4 <0:z <1:.", ["a", "z"], Outcome::Lost, 1);
    check(">1:b >2:c >3:d >0:a >5:f <0:^6 >6:g >4:e", ["abcdefg", ""], Open, 0);
}

#[test]
fn a_cut_segment_is_a_gap_unless_it_is_skipped() {
    use Outcome::Open;
    check(">0:ab-3 >5:f", ["ab", ""], Open, 1);
    check(">0:-3 >3:d", ["", ""], Open, 1);
    check(">0:A-1 >2:b", ["", ""], Open, 1);
    check(">0:ax4-3 >6:4b", ["a_b", ""], Open, 0);
    check(">0:ax4-4 >7:b", ["a_b", ""], Open, 0);
    check(">0:ax4-5 >8:b", ["a_", ""], Open, 1);
    check(">2:c-2 >0:ab >5:f", ["abc", ""], Open, 0);
    check(">0:a-1 <0:b-1", ["a", "b"], Outcome::Lost, 2);
}

#[test]
fn a_flow_picked_up_begins_with_its_first_segment() {
    let mut bed = Bed::new();
    for (seq, payload) in [(500, "ab"), (499, "z"), (502, "c")] {
        let payload = payload.as_bytes();
        bed.segment(&Segment { seq, start: None, ..segment(Side::Resp, 0, payload) });
    }
    assert_eq!(bed.seen, ["", "abc"]);
    assert_eq!(bed.counters.segments_repeated, 1);
}

#[test]
fn a_keep_alive_probe_does_not_begin_a_side_that_is_picked_up() {
    for (start, seen) in [(None, "abc"), (Some(499), "zabc")] {
        let mut bed = Bed::new();
        for (seq, payload) in [(499, "z"), (500, "abc"), (502, "z")] {
            let probe = payload == "z";
            let payload = payload.as_bytes();
            bed.segment(&Segment { seq, start, probe, ..segment(Side::Resp, 0, payload) });
        }
        assert_eq!(bed.seen, ["", seen]);
    }
}

#[test]
fn a_hole_left_at_the_end_is_counted_once() {
    let mut bed = run(">1:b <0:a");
    bed.streams.release(bed.id, &mut bed.counters);
    assert_eq!(bed.counters.gaps, 1);
    assert_eq!(bed.counters.segments_reordered, 1);
    bed.id = bed.streams.open();
    bed.segment(&segment(Side::Orig, 0, b"c"));
    assert_eq!(bed.seen, ["c", ""]);
}

#[test]
fn unread_bytes_are_bounded() {
    // an upper-case letter at the end of a stretch of upper-case ones leaves all unread when it is
    // odd
    for (len, refused) in [(SIDE_BYTES_MAX - 1, 0), (SIDE_BYTES_MAX, 0), (SIDE_BYTES_MAX + 1, 1)] {
        for piece in [len, 1_000] {
            let mut streams: Streams<()> = Streams::new(1);
            let (id, mut counters) = (streams.open(), Counters::default());
            let mut offset = 0;
            for payload in vec![b'a'; len].chunks(piece) {
                let next = segment(Side::Orig, offset, payload);
                let keep = |_: &mut (), _, _: &[u8]| Step { consumed: 0, verdict: Verdict::More };
                let _ = streams.segment(id, &next, &mut counters, keep);
                offset += u32::try_from(payload.len()).unwrap();
            }
            assert_eq!(counters.streams_refused, refused, "{len} by {piece}");
        }
    }
}

#[test]
fn early_segments_are_bounded() {
    let max = u32::try_from(SIDE_SEGMENTS_MAX).unwrap();
    for (count, gaps) in [(max - 1, 0), (max, 1), (max + 1, 1)] {
        let mut bed = Bed::new();
        for n in 1..=count {
            bed.segment(&segment(Side::Orig, n * 2, b"b"));
        }
        assert_eq!(bed.counters.gaps, gaps, "{count}");
    }
    let far = u32::try_from(SIDE_BYTES_MAX).unwrap();
    let mut bed = Bed::new();
    bed.segment(&segment(Side::Orig, far, b"far"));
    bed.segment(&segment(Side::Orig, far - 1, b"abc"));
    bed.segment(&segment(Side::Orig, 0, &vec![b'a'; SIDE_BYTES_MAX - 1]));
    bed.segment(&segment(Side::Orig, far, b"bc"));
    assert_eq!(bed.seen[0].len(), SIDE_BYTES_MAX + 2);
    assert_eq!(bed.counters.gaps, 0);
}

#[test]
fn the_side_that_keeps_longest_goes_when_memory_is_short() {
    let mut streams: Streams<Letters> = Streams::with_bytes(8, 2 * SIDE_BYTES_MAX);
    let mut counters = Counters::default();
    let ids: Vec<StreamId> = (0..40).map(|_| streams.open()).collect();
    let mut outcomes = Vec::new();
    for id in &ids {
        let keep = segment(Side::Orig, 0, b"A");
        let none = |_: &mut Letters, _, _: &[u8]| Step { consumed: 0, verdict: Verdict::More };
        let _ = streams.segment(*id, &keep, &mut counters, none);
    }
    // 32 holds of 2 KiB leave 64 KiB; the first 7 had to go
    assert_eq!(counters.streams_refused_memory, 7);
    for id in &ids {
        let next = segment(Side::Orig, 1, b"b.");
        let mut fed = false;
        let _ = streams.segment(*id, &next, &mut counters, |letters, side, bytes| {
            fed = true;
            letters.feed(side, bytes)
        });
        outcomes.push(fed);
    }
    let expected: Vec<bool> = (0..40).map(|n| n >= 8).collect();
    assert_eq!(outcomes, expected);
}

/// A stream of letters and skips, cut into segments that come in any order within the window, some
/// twice, some longer.
fn segments() -> impl Strategy<Value = (String, Vec<(usize, usize)>)> {
    let word = "[a-w]{1,3}|[A-Z][a-w]|x[0-9]0123456789";
    (vec(word, 1..60), vec((1_usize..30, 0_usize..8, 0_usize..12), 1..60)).prop_map(
        |(words, cuts)| {
            let text = words.concat();
            let mut at = 0;
            let mut pieces = Vec::new();
            for (turn, (len, overlap, delay)) in cuts.iter().cycle().enumerate() {
                if at >= text.len() {
                    break;
                }
                let end = (at + len).min(text.len());
                pieces.push((turn + delay, at.saturating_sub(*overlap), end));
                if delay % 4 == 1 {
                    pieces.push((turn + overlap * 2, at, end));
                }
                at = end;
            }
            pieces.sort_by_key(|piece| piece.0);
            (text, pieces.into_iter().map(|(_, from, to)| (from, to)).collect())
        },
    )
}

proptest! {
    #[test]
    fn any_segmentation_and_order_is_the_whole_stream((text, pieces) in segments()) {
        let mut whole = Bed::new();
        whole.segment(&segment(Side::Orig, 0, text.as_bytes()));
        let mut bed = Bed::new();
        for (from, to) in pieces {
            let offset = u32::try_from(from).unwrap();
            bed.segment(&segment(Side::Orig, offset, &text.as_bytes()[from..to]));
        }
        prop_assert_eq!(&bed.seen, &whole.seen);
        prop_assert_eq!(bed.counters.gaps + bed.counters.streams_refused, 0);
        let mut bytewise = Bed::new();
        for (offset, byte) in (0_u32..).zip(text.as_bytes().chunks(1)) {
            bytewise.segment(&segment(Side::Orig, offset, byte));
        }
        prop_assert_eq!(&bytewise.seen, &whole.seen);
    }

    #[test]
    fn anything_is_survived_and_freed(
        steps in vec(
            (any::<bool>(), 0_u32..300_000, 0_usize..5_000, any::<bool>(), 0_u32..9),
            0..80,
        ),
        far in any::<u32>(),
    ) {
        let payload: Vec<u8> = (0..5_000).map(|n| b"aAbBx9cdX8"[n % 10]).collect();
        let mut bed = Bed::new();
        for (orig, at, len, fin, kind) in steps {
            let side = if orig { Side::Orig } else { Side::Resp };
            let at = if kind == 0 { far } else { at % (1 << (kind * 2)) };
            let mut next = segment(side, at, &payload[..len]);
            next.fin = fin && kind == 1;
            next.ack = fin.then_some(next.seq);
            next.missing_bytes = if kind == 2 { 10 } else { 0 };
            let feed = |_: &mut Letters, _: Side, bytes: &[u8]| {
                let consumed = u64::try_from(bytes.len()).unwrap() * u64::from(kind) / 4;
                Step { consumed, verdict: Verdict::More }
            };
            bed.outcome = bed.streams.segment(bed.id, &next, &mut bed.counters, feed);
            prop_assert!(matches!(bed.outcome, Outcome::Open | Outcome::Lost));
        }
        bed.streams.release(bed.id, &mut bed.counters);
        prop_assert!(bed.streams.keeps_nothing());
    }
}
