//! Indicators as MISP hands them out: its CSV export, and an event in JSON for what only objects
//! can say.
//!
//! Spec: MISP `events/csv` columns; MISP object templates `ja4-plus` v2 and `ja3s` v5

use std::collections::HashSet;
use std::fs::File;
use std::io::BufWriter;
use std::io::Result;
use std::io::Write;
use std::path::Path;

use serde_json::Value;
use serde_json::json;

use super::population;
use super::population::Tribe;
use super::random::Random;

const HEADER: &str = "uuid,event_id,category,type,value,comment,to_ids,date,object_relation,\
                      attribute_tag,object_uuid,object_name,object_meta_category\n";
const TAGS: [&str; 4] =
    ["tlp:green", "tlp:amber", "tlp:clear", "tlp:amber,misp-galaxy:threat-actor=\"\"Unnamed 7\"\""];
const COMMENTS: [&str; 4] = ["", "C2", "seen in a mail campaign, second stage", "from sandbox"];
const EVENT_ATTRIBUTES: usize = 50;

/// An indicator of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Indicator {
    /// The MISP attribute type; for what MISP has only as an object, the object's name.
    pub(crate) kind: &'static str,
    pub(crate) value: String,
    /// False: for context only, never matched.
    pub(crate) to_ids: bool,
}

impl Indicator {
    /// An indicator that is to be matched.
    pub(crate) fn new(kind: &'static str, value: impl Into<String>) -> Self {
        Self { kind, value: value.into(), to_ids: true }
    }

    /// Whether MISP has no attribute type for it.
    pub(crate) fn is_object(&self) -> bool {
        matches!(self.kind, "ja4-plus" | "ja3s")
    }
}

/// Writes `total` rows: the planted indicators, scattered among others that the traffic does not
/// show.
pub(crate) fn write_csv(path: &Path, seed: u64, planted: &[Indicator], total: usize) -> Result<()> {
    let rows: Vec<&Indicator> = planted.iter().filter(|one| !one.is_object()).collect();
    let mut random = Random::of(seed, 41, 0);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(HEADER.as_bytes())?;
    let total = total.max(rows.len());
    let mut left = rows.iter();
    for row in 0..total {
        let is_planted = random.below(total - row) < left.len();
        let absent;
        let planted = if is_planted { left.next() } else { None };
        let indicator = match planted {
            Some(planted) => planted,
            None => {
                absent = self::absent(&mut random);
                &absent
            }
        };
        write_row(&mut file, &mut random, row, indicator)?;
    }
    file.flush()
}

/// Writes the indicators that only objects can carry, as one event.
pub(crate) fn write_event(path: &Path, seed: u64, planted: &[Indicator]) -> Result<()> {
    let mut random = Random::of(seed, 42, 0);
    let mut objects = Vec::new();
    let mut written = HashSet::new();
    for indicator in planted.iter().filter(|one| one.is_object() && written.insert(*one)) {
        let fingerprint = match indicator.kind {
            "ja3s" => attribute(
                &mut random,
                ("ja3s-fingerprint-md5", "ja3-fingerprint-md5"),
                &indicator.value,
                true,
            ),
            _ => attribute(&mut random, ("ja4-fingerprint", "text"), &indicator.value, false),
        };
        let mut attributes = vec![fingerprint];
        if indicator.kind == "ja4-plus" {
            attributes.push(attribute(&mut random, ("ja4-type", "text"), "JA4", false));
        }
        objects.push(json!({
            "name": indicator.kind, "meta-category": "network", "uuid": uuid(&mut random),
            "template_version": "2", "timestamp": "1718000000", "deleted": false, "comment": "",
            "Attribute": attributes,
        }));
    }
    let event = json!({"Event": {
        "id": "1", "uuid": uuid(&mut random), "info": "Fingerprints of the generator",
        "date": "2024-06-10", "published": true, "analysis": "2", "threat_level_id": "2",
        "timestamp": "1718000000", "distribution": "0",
        "Orgc": {"name": "generator", "uuid": uuid(&mut random)}, "Tag": [{"name": "tlp:green"}],
        "Attribute": [], "Object": objects,
    }});
    std::fs::write(path, serde_json::to_vec_pretty(&event)?)
}

fn attribute(random: &mut Random, kind: (&str, &str), value: &str, to_ids: bool) -> Value {
    json!({
        "uuid": uuid(random), "object_relation": kind.0, "type": kind.1,
        "category": "Network activity", "value": value, "to_ids": to_ids, "deleted": false,
        "timestamp": "1718000000", "comment": "",
    })
}

/// An indicator of nothing in the traffic: mostly addresses and names.
fn absent(random: &mut Random) -> Indicator {
    let addr = |random: &mut Random, v6| match v6 {
        true => population::v6_addr(random, Tribe::Absent),
        false => population::v4_addr(random, Tribe::Absent),
    };
    let domain = |random: &mut Random| population::domain(random, Tribe::Absent);
    match random.below(100) {
        0..52 => Indicator::new("ip-dst", addr(random, false).to_string()),
        52..56 => Indicator::new("ip-src", addr(random, false).to_string()),
        56..58 => Indicator::new(
            "ip-dst|port",
            format!("{}|{}", addr(random, false), random.within(1, 65_535)),
        ),
        58..60 => {
            let text = addr(random, false).to_string();
            let net = text.rsplit_once('.').map_or(text.as_str(), |(net, _)| net);
            Indicator::new("ip-dst", format!("{net}.0/24"))
        }
        60..78 => Indicator::new("domain", domain(random)),
        78..85 => {
            Indicator::new("hostname", format!("{}.{}", population::label(random), domain(random)))
        }
        85..90 => {
            let query =
                if random.percent(40) { format!("?id={}", random.hex(4)) } else { String::new() };
            let text =
                format!("http://{}/{}/{}.php{query}", domain(random), random.hex(4), random.hex(8));
            Indicator::new("url", text)
        }
        90..95 => Indicator::new("ip-dst", addr(random, true).to_string()),
        95 => Indicator::new("ja3-fingerprint-md5", random.hex(32)),
        96 => Indicator::new("x509-fingerprint-md5", random.hex(32)),
        97 => Indicator::new("x509-fingerprint-sha256", random.hex(64)),
        _ => Indicator::new("x509-fingerprint-sha1", random.hex(40)),
    }
}

fn write_row(
    file: &mut impl Write,
    random: &mut Random,
    row: usize,
    one: &Indicator,
) -> Result<()> {
    let event = row / EVENT_ATTRIBUTES + 1;
    let date = 1_700_000_000 + row * 7 % 18_000_000;
    let category =
        if one.kind.starts_with("x509") { "Payload delivery" } else { "Network activity" };
    let comment = random.pick(&COMMENTS);
    let tag = random.pick(&TAGS);
    let uuid = uuid(random);
    let Indicator { kind, value, to_ids } = one;
    writeln!(
        file,
        "\"{uuid}\",{event},\"{category}\",\"{kind}\",\"{value}\",\"{comment}\",{},{date},\
         \"\",\"{tag}\",\"\",\"\",\"\"",
        u8::from(*to_ids),
    )
}

fn uuid(random: &mut Random) -> String {
    let (a, b) = (random.draw(), random.draw());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 48 & 0x3fff | 0x8000,
        b & 0xffff_ffff_ffff
    )
}
