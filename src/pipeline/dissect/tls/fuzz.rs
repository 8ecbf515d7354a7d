//! Fuzz entry, and the way bytes are shown to the dissector in tests: in pieces, as reassembly does.

use crate::model::flow::Side;
use crate::model::limits::VALUE_BYTES_MAX;
use crate::model::observation::Observation;
use crate::model::observation::ObservationKind;
use crate::model::observation::Seen;
use crate::model::observation::Value;
use crate::pipeline::dissect::Dissect;
use crate::pipeline::dissect::Guess;
use crate::pipeline::dissect::Verdict;
use crate::pipeline::dissect::tls::Tls;

/// Bytes that the dissector may pass over unseen at a time: the longest record, which is one of SSL 2.0.
const UNSEEN_BYTES_MAX: u64 = 0x7fff + 2;

/// What was told, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told(pub Vec<(ObservationKind, Vec<u8>)>);

impl Seen for Told {
    fn note(&mut self, observation: Observation<'_>) {
        let (Value::Text(value) | Value::Digest(value)) = observation.value else { return };
        assert!(!value.is_empty() && value.len() <= VALUE_BYTES_MAX);
        self.0.push((observation.kind, value.to_vec()));
    }
}

/// Shows one side's bytes to `tls` in pieces of the given lengths; returns what was told and the last verdict.
pub fn show(
    tls: &mut Tls,
    side: Side,
    bytes: &[u8],
    pieces: impl IntoIterator<Item = usize>,
) -> (Told, Verdict) {
    let mut told = Told::default();
    let mut verdict = Verdict::More;
    let (mut unread, mut end) = (0_usize, 0_usize);
    for piece in pieces {
        end = end.saturating_add(piece).min(bytes.len());
        if let Some(given) = bytes.get(unread..end)
            && !given.is_empty()
        {
            let step = tls.feed(side, given, &mut told);
            let most = u64::try_from(given.len()).unwrap_or(u64::MAX);
            assert!(step.consumed <= most.saturating_add(UNSEEN_BYTES_MAX));
            unread = unread.saturating_add(usize::try_from(step.consumed).unwrap_or(usize::MAX));
            verdict = step.verdict;
        }
        if verdict != Verdict::More || end == bytes.len() {
            break;
        }
    }
    (told, verdict)
}

/// Checks for any bytes: no panic, no wild step, the same observations whole and byte by byte, and no change of mind
/// about what they are.
pub fn fuzz(data: &[u8]) {
    let (whole, _) = show(&mut Tls::default(), Side::Orig, data, [data.len()]);
    let (single, _) = show(&mut Tls::default(), Side::Resp, data, std::iter::repeat(1));
    assert_eq!(whole, single);
    let cut = data.get(..data.len() / 2).unwrap_or_default();
    let (early, late) = (Tls::probe(cut), Tls::probe(data));
    assert!(early == Guess::Maybe || early == late);
}
