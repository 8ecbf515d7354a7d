//! Measures compiling, storing, opening and asking indicator sets: `cargo bench --bench intel --
//! --indicators 10000000`.
//!
//! 60 % IPv4, 5 % IPv6, 25 % domains, 5 % digests, 5 % URLs, each from a list of its own. Look-ups
//! of what is and is not there are compared with a linear scan of the lists; a wrong answer fails
//! the bench, however fast it was.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod cost;
#[allow(dead_code, reason = "other benches are asked more")]
mod options;
#[allow(dead_code, reason = "captures need more of it")]
#[path = "generator/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use cost::cpu_secs;
use cost::peak_mebibytes;
use nix::sys::resource::UsageWho;
use random::Random;
use tapsieve::control::intel::IntelOptions;
use tapsieve::control::intel::compile::compile;
use tapsieve::control::intel::compiled;
use tapsieve::control::intel::set::IndicatorSet;
use tapsieve::model::address::Address;
use tapsieve::model::flow::FlowKey;
use tapsieve::model::flow::FlowView;
use tapsieve::model::flow::Vlans;
use tapsieve::model::observation::Observation;
use tapsieve::model::observation::ObservationKind;
use tapsieve::model::observation::Place;
use tapsieve::model::observation::Value;
use tapsieve::model::time::Timestamp;
use tapsieve::model::url::UrlBuffer;
use tapsieve::pipeline::matcher::table::Item;
use tapsieve::pipeline::matcher::table::Name;
use tapsieve::pipeline::matcher::table::Shelf;
use tapsieve::pipeline::matcher::table::Table;

const SEED: u64 = 1;

/// Look-ups of each form that are checked, half of them of what is not there.
const CHECKED: u64 = 1_000;

/// Openings, of which the median counts.
const OPENINGS: usize = 9;

/// Hot bytes that an address and a domain may take on average.
const ADDRESS_BYTES_MAX: f64 = 24.0;
const DOMAIN_BYTES_MAX: f64 = 40.0;
/// Milliseconds that opening may take, and seconds of processor that ten million may.
const OPEN_MILLIS_MAX: f64 = 50.0;
const COMPILE_SECS_MAX: f64 = 40.0;

/// Compiles lists that are made here, and prints Markdown.
#[derive(Parser)]
struct Options {
    /// How many indicators.
    #[arg(long, default_value_t = 1_000_000)]
    indicators: u64,
    /// Where lists and sets are kept.
    #[arg(long, default_value = "benches/data")]
    data: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is in a list: its name, its share in percent, and what its lines are.
const FORMS: &[(Form, u64)] =
    &[(Form::V4, 60), (Form::V6, 5), (Form::Domain, 25), (Form::Digest, 5), (Form::Url, 5)];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    V4,
    V6,
    Domain,
    Digest,
    Url,
}

impl Form {
    /// The value with a number; of another stream it is, but for chance, not in the list.
    fn value(self, stream: u64, number: u64) -> String {
        let mut random = Random::of(SEED, stream * 8 + self as u64, number);
        match self {
            Self::V4 => {
                let [_, b, c, d] = (random.draw() as u32).to_be_bytes();
                Ipv4Addr::new(random.within(16, 95) as u8, b, c, d).to_string()
            }
            Self::V6 => {
                let low = u128::from(random.draw()) | (u128::from(random.draw() >> 32) << 64);
                Ipv6Addr::from((0x2a00_u128 << 112) | low).to_string()
            }
            Self::Domain => name(&mut random),
            Self::Digest => random.hex(40),
            Self::Url => {
                let host = name(&mut random);
                format!("http://{host}/{}/{}.php", random.hex(6), random.hex(4))
            }
        }
    }

    fn kind(self) -> ObservationKind {
        match self {
            Self::V4 | Self::V6 => ObservationKind::DnsAnswer,
            Self::Domain => ObservationKind::DnsQuery,
            Self::Digest => ObservationKind::CertSha1,
            Self::Url => ObservationKind::HttpUrl,
        }
    }
}

/// A name of eleven to twenty bytes.
fn name(random: &mut Random) -> String {
    let len = random.within(7, 16) as usize;
    let letters = (0..len).map(|_| char::from(b'a' + random.below(26) as u8)).collect::<String>();
    format!("{letters}.{}", random.pick(&["com", "net", "org", "info", "xyz"]))
}

fn main() -> ExitCode {
    cost::bench(|| run(&Options::parse()))
}

fn run(options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    let folder = options.data.join(format!("intel-{}", options.indicators));
    std::fs::create_dir_all(&folder)?;
    let lists = write_lists(options.indicators, &folder)?;
    let (started, cpu) = (Instant::now(), cpu_secs(UsageWho::RUSAGE_SELF));
    let made = compile(&lists, &IntelOptions::default())?;
    let (compile_secs, compile_cpu) =
        (started.elapsed().as_secs_f64(), cpu_secs(UsageWho::RUSAGE_SELF) - cpu);
    let peak = peak_mebibytes(UsageWho::RUSAGE_SELF);
    let path = folder.join("set");
    let started = Instant::now();
    let bytes = compiled::store(&made.set, &path)?;
    let store_secs = started.elapsed().as_secs_f64();
    let hot = hot_bytes(&made.set);
    let (indicators, by_type) = (made.set.catalog.len(), made.set.indicators_by_type());
    drop(made);

    let mut openings = (0..OPENINGS).map(|_| opening(&path)).collect::<Result<Vec<_>, _>>()?;
    openings.sort_by(f64::total_cmp);
    let open_millis = openings[OPENINGS / 2];
    let opened = compiled::open(&path)?;
    let started = Instant::now();
    opened.verify()?;
    let verify_secs = started.elapsed().as_secs_f64();
    let wrong = check(&opened.set, options.indicators);
    let nanos = time_look_ups(&opened.set, options.indicators);

    let each = |group: &[&str], n: u64| {
        group.iter().map(|name| hot.get(name).copied().unwrap_or(0)).sum::<usize>() as f64
            / n.max(1) as f64
    };
    let of = |types: &[&str]| types.iter().map(|ty| by_type.get(ty).copied().unwrap_or(0)).sum();
    let address = each(&["v4", "v6"], of(&["ip-dst"]));
    let domain = each(&["names"], of(&["domain"]));
    let (sum, all) = (hot.values().sum::<usize>(), bytes as f64 / (1024.0 * 1024.0));
    println!("| indicators | compile | processor | peak | store | file | hot | address | domain |");
    println!("|---|---|---|---|---|---|---|---|---|");
    println!(
        "| {indicators} | {compile_secs:.1} s | {compile_cpu:.1} s | {peak} MiB | \
         {store_secs:.1} s | {all:.0} MiB | {} MiB | {address:.1} bytes | {domain:.1} bytes |\n",
        sum >> 20
    );
    println!("| open | verify | look-up, there | look-up, not there |");
    println!("|---|---|---|---|");
    println!("| {open_millis:.2} ms | {verify_secs:.1} s | {} ns | {} ns |\n", nanos[0], nanos[1]);
    let compile_secs_max = COMPILE_SECS_MAX * (options.indicators as f64 / 1e7).max(0.1);
    let mut short = 0;
    for (what, seen, limit) in [
        ("bytes an address", address, ADDRESS_BYTES_MAX),
        ("bytes a domain", domain, DOMAIN_BYTES_MAX),
        ("milliseconds to open", open_millis, OPEN_MILLIS_MAX),
        ("seconds of processor to compile", compile_cpu, compile_secs_max),
    ] {
        if seen > limit {
            short += 1;
            println!("SHORT: {seen:.1} {what}: {limit:.1} at most");
        }
    }
    wrong.iter().take(20).for_each(|what| println!("WRONG: {what}"));
    if wrong.is_empty() {
        println!("Every answer was right.");
    }
    Ok(wrong.is_empty() && short == 0)
}

/// Writes a list of each form; digests say in CSV what they are of.
fn write_lists(indicators: u64, folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (form, percent) in FORMS {
        let path = folder.join(format!("{form:?}"));
        let mut out = BufWriter::new(File::create(&path)?);
        let before = if *form == Form::Digest { "x509-fingerprint-sha1," } else { "" };
        if !before.is_empty() {
            writeln!(out, "type,value")?;
        }
        for number in 0..indicators * percent / 100 {
            writeln!(out, "{before}{}", form.value(0, number))?;
        }
        out.flush()?;
        paths.push(path);
    }
    Ok(paths)
}

/// Compares what is found with what a scan of all lists finds; returns what differs.
fn check(set: &IndicatorSet, indicators: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    for (form, percent) in FORMS {
        let n = indicators * percent / 100;
        let mut asked = HashMap::new();
        for pick in 0..CHECKED / 2 {
            asked.insert(form.value(0, pick * n / (CHECKED / 2)), false);
            asked.insert(form.value(1, pick), false);
        }
        for number in 0..n {
            if let Some(there) = asked.get_mut(&form.value(0, number)) {
                *there = true;
            }
        }
        for (value, there) in asked {
            let found = found(set, *form, &value);
            if found.contains(&value) != there || found.len() > 1 {
                wrong.push(format!("{form:?} {value}: {there}, found {found:?}"));
            }
        }
    }
    wrong
}

/// Returns the values of the indicators that name a value.
fn found(set: &IndicatorSet, form: Form, value: &str) -> Vec<String> {
    let mut out = Vec::new();
    let digest;
    let value = match form {
        Form::V4 | Form::V6 => Value::Address(Address::from(ip(value))),
        Form::Digest => {
            digest = bytes_of(value);
            Value::Digest(&digest)
        }
        _ => Value::Text(value.as_bytes()),
    };
    let observation = Observation { kind: form.kind(), place: Place::Flow, value };
    set.index.observe(&observation, &flow(), &mut UrlBuffer::new(), &mut out);
    out.iter().map(|found| set.catalog.value(found.indicator).to_owned()).collect()
}

/// Nanoseconds that an address and a name take together, where both are there and where neither is.
fn time_look_ups(set: &IndicatorSet, indicators: u64) -> [u64; 2] {
    let (rounds, flow) = (200_000, flow());
    [0, 1].map(|stream| {
        let asked = (0..rounds).map(|n| {
            let at = |percent: u64| n * 7_919 % (indicators * percent / 100).max(1);
            let address = Address::from(ip(&Form::V4.value(stream, at(60))));
            (address, Form::Domain.value(stream, at(25)))
        });
        let asked = asked.collect::<Vec<_>>();
        let (mut out, mut buffer) = (Vec::new(), UrlBuffer::new());
        let (started, mut hits) = (Instant::now(), 0);
        for (address, name) in &asked {
            for (kind, value) in [
                (ObservationKind::DnsAnswer, Value::Address(*address)),
                (ObservationKind::DnsQuery, Value::Text(name.as_bytes())),
            ] {
                let observation = Observation { kind, place: Place::Flow, value };
                set.index.observe(&observation, &flow, &mut buffer, &mut out);
                hits += out.len() as u64;
            }
        }
        let nanos = started.elapsed().as_nanos() as u64;
        assert!((hits > rounds) == (stream == 0), "{hits} hits");
        nanos / rounds
    })
}

/// Bytes of the index by group of tables.
fn hot_bytes(set: &IndicatorSet) -> BTreeMap<&'static str, usize> {
    struct Scales(BTreeMap<&'static str, usize>);
    impl Shelf for Scales {
        fn table<T: Item>(&mut self, [group, _]: Name, table: &mut Table<T>) {
            *self.0.entry(group).or_default() += size_of_val::<[T]>(table);
        }
        fn seed(&self) -> u64 {
            0
        }
    }
    let mut scales = Scales(BTreeMap::new());
    set.index.store(&mut scales);
    scales.0
}

fn opening(path: &Path) -> Result<f64, compiled::CompiledError> {
    let started = Instant::now();
    let opened = compiled::open(path)?;
    let millis = started.elapsed().as_secs_f64() * 1_000.0;
    assert!(!opened.set.index.is_empty());
    Ok(millis)
}

fn flow() -> FlowView {
    let end = |text| (Address::from(ip(text)), 53);
    let (key, opener) = FlowKey::new(end("10.0.0.1"), end("10.0.0.2"), 17, Vlans::default());
    FlowView { key, opener, first: Timestamp::default() }
}

fn ip(text: &str) -> std::net::IpAddr {
    text.parse().expect("an address")
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}
