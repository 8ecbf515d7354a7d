//! Planted URLs: exact, with a query, as a prefix, and of a whole host.

use super::Carrier;
use super::Plan;
use crate::generator::indicator::Indicator;

/// A URL without a query.
pub(super) fn exact(plan: &mut Plan, round: usize) {
    let host = host(plan, round);
    let path = path(plan);
    let scheme = if round % 4 == 3 { "" } else { "http://" };
    let indicator = [Indicator::new("url", format!("{scheme}{host}{path}"))];
    let (header, target) = match round % 5 {
        2 => (host.to_ascii_uppercase(), path.clone()),
        4 => (host.clone(), format!("http://{host}{path}")),
        _ => (host.clone(), path.clone()),
    };
    plan.hit("http_url", &indicator, Carrier::http(&header, Some(&target)));
    let target = match round % 4 {
        0 => self::path(plan),
        1 => format!("{path}?x=1"),
        2 => off_by_one(&path),
        _ => format!("{path}/more"),
    };
    plan.near("http_url", &indicator, Carrier::http(&host, Some(&target)));
}

/// A URL with a query, which belongs to it to the last byte.
pub(super) fn with_query(plan: &mut Plan, round: usize) {
    let host = host(plan, round);
    let path = path(plan);
    let query = format!("id={}&k={}", plan.random.hex(6), plan.random.within(1, 99));
    let indicator = [Indicator::new("url", format!("http://{host}{path}?{query}"))];
    plan.hit("http_url", &indicator, Carrier::http(&host, Some(&format!("{path}?{query}"))));
    let target = match round % 4 {
        0 => path,
        1 => format!("{path}?{}", off_by_one(&query)),
        2 => format!("{path}?{query}0"),
        _ => format!("{}?{query}", self::path(plan)),
    };
    plan.near("http_url", &indicator, Carrier::http(&host, Some(&target)));
}

/// A URL that ends in `*`: everything below it, at the borders of path segments.
pub(super) fn prefix(plan: &mut Plan, round: usize) {
    let host = host(plan, round);
    let folder = format!("/{}/gate", plan.random.hex(5));
    let (star, below) = match round % 4 {
        0 => (format!("{folder}/*"), format!("{folder}/{}.php", plan.random.hex(4))),
        1 => (format!("{folder}*"), format!("{folder}?u={}", plan.random.hex(4))),
        2 => (format!("{folder}*"), folder.clone()),
        _ => (format!("{folder}*"), format!("{folder}/a/b")),
    };
    let indicator = [Indicator::new("url", format!("http://{host}{star}"))];
    plan.hit("http_url", &indicator, Carrier::http(&host, Some(&below)));
    let beside =
        if round.is_multiple_of(2) { format!("{folder}way.php") } else { format!("/x{below}") };
    plan.near("http_url", &indicator, Carrier::http(&host, Some(&beside)));
}

/// A URL of a host alone: any request to it, but not to its children, and not under TLS unless
/// asked.
pub(super) fn host_only(plan: &mut Plan, round: usize) {
    let host = host(plan, 0);
    let slash = if round.is_multiple_of(2) { "/" } else { "" };
    let indicator = [Indicator::new("url", format!("http://{host}{slash}"))];
    plan.hit("http_url", &indicator, Carrier::http(&host, None));
    let carrier = match round % 3 {
        0 => Carrier::http(&format!("www.{host}"), None),
        1 => Carrier::http(&format!("not{host}"), None),
        _ => Carrier::tls(plan.handshake(Some(&host))),
    };
    plan.near("http_url", &indicator, carrier);
}

/// Two URLs; the near miss asks the host of one for the path of the other.
pub(super) fn other_host(plan: &mut Plan, round: usize) {
    let (first, second) = (host(plan, round), host(plan, 0));
    let (here, there) = (path(plan), path(plan));
    let indicators = [
        Indicator::new("url", format!("http://{first}{here}")),
        Indicator::new("url", format!("http://{second}{there}")),
    ];
    plan.hit("http_url", &indicators[..1], Carrier::http(&first, Some(&here)));
    plan.near("http_url", &indicators, Carrier::http(&first, Some(&there)));
}

/// A host of its own, with a port in every fifth round.
fn host(plan: &mut Plan, round: usize) -> String {
    let domain = plan.domain();
    match round % 5 {
        1 => format!("{domain}:8080"),
        2 => format!("files.{domain}"),
        _ => domain,
    }
}

fn path(plan: &mut Plan) -> String {
    format!("/{}/{}.php", plan.random.hex(4), plan.random.hex(8))
}

/// The text with another last character.
fn off_by_one(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last = if *last == b'q' { b'z' } else { b'q' };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
