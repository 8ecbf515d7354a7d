//! Fuzz entries of the dissectors, by the name that `PROTO` gives them.

use crate::model::flow::Side;
use crate::model::observation::Seen;
use crate::model::step::Step;
use crate::pipeline::dissect::Dissect;
use crate::pipeline::dissect::Guess;
use crate::pipeline::dissect::dns;
use crate::pipeline::dissect::drive::however_cut;
use crate::pipeline::dissect::http;
use crate::pipeline::dissect::reader::Reader;
use crate::pipeline::dissect::tls;

/// A fuzz entry: any bytes, no panic.
pub type Entry = fn(&[u8]);

/// Every protocol, and `any`: the content decides.
pub const PROTOCOLS: &[(&str, Entry)] =
    &[("any", any), ("dns", dns::fuzz), ("http", http::fuzz), ("tls", tls::fuzz)];

/// The reader of any protocol as if it were a dissector.
#[derive(Default)]
struct Any(Reader);

impl Dissect for Any {
    fn probe(_: &[u8]) -> Guess {
        Guess::Yes
    }

    fn feed(&mut self, side: Side, bytes: &[u8], seen: &mut impl Seen) -> Step {
        self.0.feed(side, bytes, seen)
    }
}

/// Reads any bytes as the two sides of a flow in turns; what is told does not depend on how they
/// were cut.
fn any(data: &[u8]) {
    however_cut::<Any>(&[(Side::Orig, data)]);
    let (head, tail) = data.split_at(data.len() / 2);
    however_cut::<Any>(&[(Side::Orig, head), (Side::Resp, tail)]);
}
