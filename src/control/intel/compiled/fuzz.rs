//! Fuzz entry: any bytes as a compiled set, as they are and with a header that fits them, so that
//! the bodies are reached.

use std::net::IpAddr;

use zerocopy::FromBytes;
use zerocopy::IntoBytes;

use crate::control::intel::compiled::CompiledError;
use crate::control::intel::compiled::layout::Header;
use crate::control::intel::compiled::layout::Section;
use crate::control::intel::compiled::open::open_bytes;
use crate::control::intel::set::IndicatorSet;
use crate::model::address::Address;
use crate::model::flow::FlowKey;
use crate::model::flow::FlowView;
use crate::model::flow::Vlans;
use crate::model::indicator::IndicatorId;
use crate::model::observation::Observation;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::observation::Value;
use crate::model::story::Catalog;
use crate::model::time::Timestamp;
use crate::model::url::UrlBuffer;

/// Stories that are read of one set.
const STORIES: u32 = 64;

/// Texts that traffic could show.
const TEXTS: &[(ObservationKind, &str)] = &[
    (ObservationKind::DnsQuery, "evil.example"),
    (ObservationKind::DnsName, "a.b.c.evil.example"),
    (ObservationKind::TlsSni, "www.evil.example"),
    (ObservationKind::HttpHost, "c2.example"),
    (ObservationKind::HttpUrl, "http://evil.example/a/b/c?d=e/f"),
    (ObservationKind::HttpUrl, "http://evil.example:8080/a"),
    (ObservationKind::HttpUserAgent, "Mozilla/5.0 evil-bot/1.0 (worse)"),
    (ObservationKind::Ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1"),
];

/// Digests that traffic could show, by their length.
const DIGESTS: &[(ObservationKind, usize)] = &[
    (ObservationKind::Ja3, 16),
    (ObservationKind::Ja3s, 16),
    (ObservationKind::CertMd5, 16),
    (ObservationKind::CertSha1, 20),
    (ObservationKind::CertSha256, 32),
];

/// Ends of flows.
const ENDS: &[[&str; 2]] =
    &[["203.0.113.9", "9.1.2.3"], ["2001:db8::ab", "2001:db8::1"], ["0.0.0.0", "255.255.255.255"]];

/// Opens any bytes and asks what is there; errors are one line, no answer is a panic, and the same
/// is answered twice.
pub fn fuzz(data: &[u8]) {
    ask(data);
    if let Some(mended) = mended(data) {
        ask(&mended);
    }
}

fn ask(data: &[u8]) {
    match open_bytes(data) {
        Ok(opened) => {
            assert_eq!(answers(&opened.set), answers(&opened.set));
            if let Err(error) = opened.verify() {
                one_line(&error);
            }
        }
        Err(error) => one_line(&error),
    }
}

fn one_line(error: &CompiledError) {
    assert!(!error.to_string().contains('\n'), "{error:?} is not one line");
}

/// Returns the bytes with a length and a checksum that fit them; `None` where no header fits in.
fn mended(data: &[u8]) -> Option<Vec<u8>> {
    let (header, rest) = Header::read_from_prefix(data).ok()?;
    let sections = header.sections as usize;
    let (sections, _) = <[Section]>::ref_from_prefix_with_elems(rest, sections).ok()?;
    let mut header = Header { file_bytes: data.len() as u64, ..header };
    header.checksum = header.checksum_with(sections);
    let mut bytes = data.to_vec();
    bytes.get_mut(..size_of::<Header>())?.copy_from_slice(header.as_bytes());
    Some(bytes)
}

/// Asks a set for all of the above, and for its first stories.
pub fn answers(set: &IndicatorSet) -> Vec<String> {
    let mut all = Vec::new();
    let mut buffer = UrlBuffer::new();
    let mut flows = Vec::new();
    for ends in ENDS {
        let [orig, resp] = ends.map(|ip| Address::from(ip.parse::<IpAddr>().expect("constant")));
        let (key, opener) = FlowKey::new((orig, 443), (resp, 443), 6, Vlans::default());
        let flow = FlowView { key, opener, first: Timestamp::default() };
        let mut out = Vec::new();
        set.index.flow(&flow, &mut out);
        all.push(format!("{ends:?} {out:?}"));
        flows.push(flow);
    }
    let digest = [0x5a; 32];
    let texts = TEXTS.iter().map(|(kind, text)| (*kind, Value::Text(text.as_bytes())));
    let digests = DIGESTS.iter();
    let digests =
        digests.map(|(kind, n)| (*kind, Value::Digest(digest.get(..*n).unwrap_or_default())));
    for (kind, value) in texts.chain(digests) {
        let observation = Observation { kind, place: Place::Flow, value };
        let mut out = Vec::new();
        for flow in &flows {
            set.index.observe(&observation, flow, &mut buffer, &mut out);
            all.push(format!("{kind:?} {out:?}"));
        }
    }
    for id in (0..STORIES).map(IndicatorId) {
        let told = (set.indicator(id), Catalog::canonical(set, id), Catalog::sources(set, id));
        all.push(format!("{told:?}"));
    }
    all.push(format!("{:?} {:?}", set.indicators_by_type(), set.bytes_by_part()));
    all
}
