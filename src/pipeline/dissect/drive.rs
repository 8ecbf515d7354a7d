//! Drives a dissector as the worker does, in pieces of any size: for tests and fuzzing alone.

use crate::model::flow::Side;
use crate::model::observation::Notes;
use crate::model::observation::Observation;
use crate::model::observation::Value;
use crate::model::step::Verdict;
use crate::pipeline::dissect::Dissect;

/// What a drive made of a flow.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Drive {
    /// The observations: kind, a space, value.
    pub lines: Vec<String>,
    /// How the reading of the opener's and the other side ended; `None`: it waits for more.
    pub ended: [Option<Verdict>; 2],
}

/// Feeds `turns` in pieces of at most `piece` bytes.
pub fn drive<D: Dissect>(turns: &[(Side, &[u8])], piece: usize) -> Drive {
    let mut dissector = D::default();
    let mut unread = [Vec::new(), Vec::new()];
    let mut skip = [0_u64; 2];
    let mut drive = Drive::default();
    let mut notes = Notes::new();
    for (side, bytes) in turns {
        let i = usize::from(*side == Side::Resp);
        for piece in bytes.chunks(piece.max(1)) {
            let skipped = piece.len().min(usize::try_from(skip[i]).unwrap_or(usize::MAX));
            skip[i] -= skipped as u64;
            unread[i].extend_from_slice(&piece[skipped..]);
            if drive.ended[i].is_some() || unread[i].is_empty() || skipped == piece.len() {
                continue;
            }
            notes.clear();
            let step = dissector.feed(*side, &unread[i], &mut notes);
            drive.lines.extend(notes.iter().map(|observation| line(&observation)));
            let consumed =
                unread[i].len().min(usize::try_from(step.consumed).unwrap_or(usize::MAX));
            skip[i] = step.consumed - consumed as u64;
            unread[i].drain(..consumed);
            match step.verdict {
                Verdict::More => {}
                Verdict::SideDone => drive.ended[i] = Some(step.verdict),
                Verdict::Done | Verdict::Alien | Verdict::Another => {
                    drive.ended = [Some(step.verdict); 2];
                }
            }
        }
    }
    drive
}

/// Asserts that a flow cut anyhow gives what it gives whole, and returns that.
pub fn however_cut<D: Dissect>(turns: &[(Side, &[u8])]) -> Drive {
    let whole = drive::<D>(turns, usize::MAX);
    for piece in [1, 2, 7, 100] {
        assert_eq!(drive::<D>(turns, piece), whole, "in pieces of {piece}");
    }
    whole
}

/// Returns an observation as one line.
pub fn line(observation: &Observation<'_>) -> String {
    let value = match observation.value {
        Value::Text(text) | Value::Absolute(text) => text.escape_ascii().to_string(),
        Value::Digest(digest) => digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        Value::Address(address) => address.to_string(),
    };
    format!("{} {value}", observation.kind.name())
}
