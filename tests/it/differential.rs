//! Our fields against those of an independent dissector: the same captures through tshark and
//! through `observe`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::process::Command;

use sha1::Digest;
use sha1::Sha1;

use crate::golden::Case;
use crate::golden::cases;
use crate::run::has_program;
use crate::run::run;

/// Values by kind.
type Seen = BTreeMap<&'static str, BTreeSet<String>>;

/// One of tshark's fields, the kind that it is to us, and how its text becomes ours.
struct Field {
    name: &'static str,
    kind: &'static str,
    ours: fn(&str) -> String,
}

const FIELDS: &[Field] = &[
    Field { name: "dns.qry.name", kind: "dns_query", ours: name },
    Field { name: "dns.a", kind: "dns_answer", ours: str::to_owned },
    Field { name: "dns.aaaa", kind: "dns_answer", ours: str::to_owned },
    Field { name: "dns.cname", kind: "dns_name", ours: name },
    Field { name: "dns.ptr.domain_name", kind: "dns_name", ours: name },
    Field { name: "dns.mx.mail_exchange", kind: "dns_name", ours: name },
    Field { name: "dns.ns", kind: "dns_name", ours: name },
    Field { name: "dns.srv.target", kind: "dns_name", ours: name },
    Field { name: "tls.handshake.extensions_server_name", kind: "tls_sni", ours: name },
    Field { name: "tls.handshake.ja3", kind: "ja3", ours: str::to_owned },
    Field { name: "tls.handshake.ja3s", kind: "ja3s", ours: str::to_owned },
    Field { name: "tls.handshake.certificate", kind: "cert_sha1", ours: fingerprint },
    Field { name: "http.host", kind: "http_host", ours: host },
    Field { name: "http.request.full_uri", kind: "http_url", ours: str::to_owned },
    Field { name: "http.user_agent", kind: "http_user_agent", ours: str::to_owned },
];

/// A difference that we intend.
struct Difference {
    case: &'static str,
    kind: &'static str,
    value: &'static str,
    why: &'static str,
}

/// The differences that we intend, by the end of the case's folder; an empty value is any.
const INTENDED: &[Difference] = &[
    Difference {
        case: "dns/records",
        kind: "dns_name",
        value: "doh.svcb-drop.test",
        why: "no tshark of ours has a field for the target of SVCB",
    },
    Difference {
        case: "dns/records",
        kind: "dns_name",
        value: "front.svcb-drop.test",
        why: "no tshark of ours has a field for the target of HTTPS",
    },
    Difference {
        case: "http/pipelined",
        kind: "http_host",
        value: "pipe.lined.example  ",
        why: "white space behind a header's value is no part of it (RFC 9112 §5.1)",
    },
    Difference {
        case: "http/proxy",
        kind: "http_url",
        value: "stage.drop-zone.invalid:8443",
        why: "the target of CONNECT is no URL",
    },
    Difference {
        case: "intel/url",
        kind: "http_url",
        value: "http://B.urls.example/gate.php",
        why: "the host of our URLs is lower-case",
    },
    Difference {
        case: "intel/url",
        kind: "http_url",
        value: "http://b.urls.example/gate.php",
        why: "the host of our URLs is lower-case",
    },
];

#[test]
fn our_fields_are_tsharks() {
    if !has_program("tshark") {
        return;
    }
    let (mut wrong, mut compared) = (Vec::new(), Seen::new());
    let mut needed = BTreeSet::new();
    for case in cases() {
        let (ours, theirs) = (observed(&case), dissected(&case));
        for kind in FIELDS.iter().map(|field| field.kind).collect::<BTreeSet<_>>() {
            let of = |seen: &Seen| seen.get(kind).cloned().unwrap_or_default();
            let (ours, theirs) = (of(&ours), of(&theirs));
            for (value, who) in ours.symmetric_difference(&theirs).map(|value| {
                (value, if ours.contains(value) { "only ours" } else { "only tshark's" })
            }) {
                match intended(&case, kind, value) {
                    Some(row) => drop(needed.insert(row)),
                    None => wrong.push(format!("{}: {kind} {value}: {who}", case.folder.display())),
                }
            }
            compared.entry(kind).or_default().extend(ours);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    for (row, difference) in INTENDED.iter().enumerate() {
        let Difference { case, kind, value, why } = difference;
        assert!(
            needed.contains(&row),
            "no such difference any more: {case} {kind} {value} ({why})"
        );
    }
    for (kind, values) in compared {
        assert!(!values.is_empty(), "no case shows {kind}");
    }
}

/// The row that allows a difference.
fn intended(case: &Case, kind: &str, value: &str) -> Option<usize> {
    INTENDED.iter().position(|difference| {
        case.folder.ends_with(difference.case)
            && difference.kind == kind
            && (difference.value.is_empty() || difference.value == value)
    })
}

/// What we see in the case's capture.
fn observed(case: &Case) -> Seen {
    let run = run(&case.folder, &["observe", &case.input]);
    assert_eq!(run.code, 0, "{}: {}", case.folder.display(), run.stderr);
    let mut seen = Seen::new();
    for line in run.lines() {
        let kind = FIELDS.iter().map(|field| field.kind).find(|kind| line["kind"] == *kind);
        if let Some(kind) = kind {
            let value = line["value"].as_str().expect("a value").to_owned();
            seen.entry(kind).or_default().insert(value);
        }
    }
    seen
}

/// What tshark sees there.
fn dissected(case: &Case) -> Seen {
    let mut command = Command::new("tshark");
    command.current_dir(&case.folder).args(["-n", "-r", &case.input, "-T", "fields"]);
    command.args(["-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=\u{1}"]);
    command.args(["-o", "tcp.reassemble_out_of_order:TRUE"]);
    for field in FIELDS {
        command.args(["-e", field.name]);
    }
    let output = command.output().expect("tshark starts");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {why}", case.folder.display());
    let mut seen = Seen::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        for (column, field) in line.split('\t').zip(FIELDS) {
            for text in column.split('\u{1}').filter(|text| !text.is_empty()) {
                seen.entry(field.kind).or_default().insert((field.ours)(text));
            }
        }
    }
    seen
}

fn name(text: &str) -> String {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text == "<Root>" { String::new() } else { text.to_ascii_lowercase() }
}

fn host(text: &str) -> String {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let host = if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { text };
    host.trim_matches(['[', ']']).to_ascii_lowercase()
}

/// SHA-1 of a certificate in hexadecimal digits.
fn fingerprint(text: &str) -> String {
    let digit = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("hexadecimal digits");
        u8::from_str_radix(pair, 16).expect("hexadecimal digits")
    };
    let bytes: Vec<u8> = text.as_bytes().chunks(2).map(digit).collect();
    Sha1::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
