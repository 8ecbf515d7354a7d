//! The JSON line of an observation (contract §3).

use std::net::IpAddr;

use serde::Serialize;

use crate::model::batch::Batch;
use crate::model::batch::Sighting;
use crate::model::community_id::CommunityId;
use crate::model::flow::FlowView;
use crate::model::flow::Side;
use crate::model::packet::protocol;
use crate::report::render::rfc3339;
use crate::report::render::text;
use crate::report::render::transport_name;

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    kind: &'static str,
    value: String,
    place: &'static str,
    src: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sport: Option<u16>,
    dst: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dport: Option<u16>,
    proto: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    community_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vlan: Vec<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    packet: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
}

/// Appends the line of an observation, with its line end.
pub fn write_line(out: &mut Vec<u8>, sighting: &Sighting, batch: &Batch, files: &[String]) {
    let flow = &sighting.flow;
    let (src, sport) = flow.end(sighting.side);
    let (dst, dport) = flow.end(sighting.side.opposite());
    let ports = protocol::has_ports(flow.key.protocol);
    let file = usize::try_from(sighting.frame.file()).ok().and_then(|index| files.get(index));
    let number = flow.key.protocol;
    let line = Line {
        time: rfc3339(sighting.time),
        kind: sighting.kind.name(),
        value: match sighting.totals {
            Some(_) => flow_value(flow),
            None => text(batch.bytes(sighting.value)),
        },
        place: sighting.place.name(),
        src: src.to_string(),
        sport: ports.then_some(sport),
        dst: dst.to_string(),
        dport: ports.then_some(dport),
        proto: transport_name(number).map_or_else(|| number.to_string(), str::to_owned),
        community_id: CommunityId::of(&flow.key).map(|id| id.to_string()),
        vlan: flow.key.vlans.ids().collect(),
        file: file.map(String::as_str),
        packet: sighting.frame.number(),
        packets: sighting.totals.map(|totals| totals.packets),
        bytes: sighting.totals.map(|totals| totals.bytes),
        end: sighting.totals.map(|totals| rfc3339(totals.end)),
    };
    // writing to a Vec fails for maps with keys that are no strings alone; there is none here
    let _cannot_fail = serde_json::to_writer(&mut *out, &line);
    out.push(b'\n');
}

/// Returns `src:sport-dst:dport`, IPv6 addresses in brackets, the opener first.
pub fn flow_value(flow: &FlowView) -> String {
    let end = |side| {
        let (address, port) = flow.end(side);
        match address.to_ip() {
            IpAddr::V4(v4) => format!("{v4}:{port}"),
            IpAddr::V6(v6) => format!("[{v6}]:{port}"),
        }
    };
    format!("{}-{}", end(Side::Orig), end(Side::Resp))
}
