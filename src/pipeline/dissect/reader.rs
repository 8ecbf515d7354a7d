//! Which protocol a TCP stream speaks, found by content, and its dissector.

use crate::model::flow::Side;
use crate::model::observation::Seen;
use crate::model::step::Step;
use crate::model::step::Verdict;
use crate::pipeline::dissect::Dissect;
use crate::pipeline::dissect::Guess;
use crate::pipeline::dissect::dns::Dns;
use crate::pipeline::dissect::http::Http;
use crate::pipeline::dissect::proxy;
use crate::pipeline::dissect::tls::Tls;

/// Makes the enum that a stream holds: no box, no virtual call.
macro_rules! protocols {
    ($($protocol:ident,)*) => {
        #[derive(Debug, Default)]
        enum Speaks {
            #[default]
            Unknown,
            $($protocol($protocol),)*
        }

        /// Judges the first bytes of a side: the protocol, or whether more bytes may tell.
        fn probe(bytes: &[u8]) -> Result<Speaks, Guess> {
            let mut guess = Guess::No;
            $(match $protocol::probe(bytes) {
                Guess::Yes => return Ok(Speaks::$protocol($protocol::default())),
                Guess::Maybe => guess = Guess::Maybe,
                Guess::No => {}
            })*
            Err(guess)
        }

        impl Speaks {
            fn feed(&mut self, side: Side, bytes: &[u8], seen: &mut impl Seen) -> Option<Step> {
                match self {
                    Self::Unknown => None,
                    $(Self::$protocol(dissector) => Some(dissector.feed(side, bytes, seen)),)*
                }
            }
        }
    };
}

protocols! {
    Tls,
    Http,
    Dns,
}

/// Reads one TCP stream: probes the first bytes of each side, then feeds the dissector that knows
/// them.
#[derive(Debug, Default)]
pub struct Reader {
    speaks: Speaks,
    /// Sides whose first bytes no protocol knows, by `Side`: opener, other end.
    strange: [bool; 2],
}

const _: () = assert!(size_of::<Reader>() <= 64);

impl Reader {
    /// Reads the unread bytes of one side, as `Dissect::feed` does.
    pub fn feed(&mut self, side: Side, bytes: &[u8], seen: &mut impl Seen) -> Step {
        let mut consumed = 0_u64;
        loop {
            let read = usize::try_from(consumed).unwrap_or(usize::MAX);
            let rest = bytes.get(read..).unwrap_or_default();
            let Some(step) = self.speaks.feed(side, rest, seen) else {
                if let Some(bytes) = proxy::preamble(rest) {
                    let len = u64::try_from(bytes).unwrap_or(u64::MAX);
                    consumed = consumed.saturating_add(len);
                    if bytes >= rest.len() {
                        return Step { consumed, verdict: Verdict::More };
                    }
                    continue;
                }
                match self.meet(side, rest) {
                    None => continue,
                    Some(verdict) => return Step { consumed, verdict },
                }
            };
            consumed = consumed.saturating_add(step.consumed);
            if step.verdict != Verdict::Another {
                return Step { consumed, verdict: step.verdict };
            }
            *self = Self::default();
            if u64::try_from(bytes.len()).is_ok_and(|len| consumed >= len) {
                return Step { consumed, verdict: Verdict::More };
            }
        }
    }

    /// Tells whether the first bytes of a side are of no protocol we know.
    pub fn is_strange(&self, side: Side) -> bool {
        let [orig, resp] = self.strange;
        match side {
            Side::Orig => orig,
            Side::Resp => resp,
        }
    }

    /// Probes; `None`: the protocol is known now.
    fn meet(&mut self, side: Side, bytes: &[u8]) -> Option<Verdict> {
        match probe(bytes) {
            Ok(speaks) => {
                self.speaks = speaks;
                None
            }
            Err(Guess::Maybe) => Some(Verdict::More),
            Err(Guess::No) if proxy::may_begin(bytes) => Some(Verdict::More),
            Err(_) => {
                let [orig, resp] = &mut self.strange;
                match side {
                    Side::Orig => *orig = true,
                    Side::Resp => *resp = true,
                }
                let both = *orig && *resp;
                Some(if both { Verdict::Alien } else { Verdict::SideDone })
            }
        }
    }
}
