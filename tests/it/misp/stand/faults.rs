//! What can go wrong with an answer, to be switched on for some requests.

use std::time::Duration;

use super::state::made;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Fault {
    /// 429, with or without `Retry-After`, and MISP's own headers: a limit of 5, again in so many
    /// seconds.
    TooMany { says_when: bool, secs: u64 },
    /// A proxy's 504, in HTML.
    GatewayTimeout,
    /// MISP's 500, in JSON.
    ServerError,
    /// MISP's 500 where PHP is out of memory: no body.
    EmptyServerError,
    /// 200 and the page on which people log in.
    LoginPage,
    /// 200 and an error in JSON.
    ErrorInside,
    /// 403, as for a role that may not search.
    Forbidden,
    /// The right body up to a share of it in percent, of the length that was announced.
    Cut { percent: usize },
    /// The same, of a length that was not announced.
    CutUnannounced { percent: usize },
    /// A whole answer that ends early in its JSON.
    Torn { percent: usize },
    /// The right body, ten bytes each 20 ms.
    Trickle,
    /// The beginning of a body, then nothing for an hour.
    Stall,
    /// No answer for a time.
    Silence(Duration),
    /// Attributes without end.
    Endless,
    /// So many bytes of attributes, whatever the limit was.
    Flood { bytes: u64 },
    /// An attribute whose value is so long.
    LongText { bytes: u64 },
    /// An answer of so many levels, in what is listed or in a field that nobody reads.
    Deep { levels: usize, is_field: bool },
    /// 200 and this in place of the right body.
    Instead(&'static str),
    /// 308 to the same path with a slash after it.
    RedirectHere,
    /// 302 to itself, again and again.
    RedirectLoop,
    /// 302 to another server, by its number of port.
    RedirectAway { port: u16 },
    /// The right body, said to be HTML.
    WrongType,
    /// No body at all.
    Nothing,
}

/// Which requests it befalls.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) path: &'static str,
    pub(crate) page: Option<u64>,
    pub(crate) times: usize,
    pub(crate) fault: Fault,
}

impl Rule {
    /// Every request of a path.
    pub(crate) fn on(path: &'static str, fault: Fault) -> Self {
        Self { path, page: None, times: usize::MAX, fault }
    }

    /// Of one page alone.
    pub(crate) fn page(self, page: u64) -> Self {
        Self { page: Some(page), ..self }
    }

    /// Only the first so many.
    pub(crate) fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }
}

/// Returns the fault of a request, and counts it.
pub(crate) fn fault_of(rules: &mut [Rule], path: &str, page: u64) -> Option<Fault> {
    let befalls = |rule: &&mut Rule| {
        path.starts_with(rule.path) && rule.page.is_none_or(|one| one == page) && rule.times > 0
    };
    let rule = rules.iter_mut().find(befalls)?;
    rule.times -= 1;
    Some(rule.fault)
}

/// Some attributes in JSON, from a number on, each after a comma but the first of all.
pub(crate) fn some_made(from: u64, count: u64) -> Vec<u8> {
    use std::io::Write;
    let mut out = Vec::with_capacity(count as usize * 1_024);
    // about what MISP says of an attribute where context is asked for
    let comment = "x".repeat(200);
    for number in from..from + count {
        let one = made(number);
        let comma = if number == 0 { "" } else { "," };
        let written = write!(
            out,
            "{comma}{{\"id\":\"{}\",\"event_id\":\"1\",\"object_id\":\"0\",\
             \"object_relation\":null,\
             \"category\":\"Network activity\",\"type\":\"{}\",\"to_ids\":true,\"uuid\":\"{}\",\
             \"timestamp\":\"{}\",\"distribution\":\"5\",\"sharing_group_id\":\"0\",\
             \"comment\":\"{comment}\",\"deleted\":false,\"disable_correlation\":false,\
             \"first_seen\":null,\"last_seen\":null,\"value\":\"{}\",\
             \"event_uuid\":\"5f7d000e-0000-4000-8000-000000000001\",\"Event\":{{\"org_id\":\"1\",\
             \"distribution\":\"1\",\"id\":\"1\",\"info\":\"made\",\"orgc_id\":\"1\",\
             \"uuid\":\"5f7d000e-0000-4000-8000-000000000001\",\"published\":true,\
             \"threat_level_id\":\"2\",\"analysis\":\"2\",\"date\":\"2026-01-01\",\
             \"timestamp\":\"1767225600\",\"publish_timestamp\":\"1767225600\"}},\
             \"Tag\":[{{\"id\":\"1\",\"name\":\"tlp:green\",\"colour\":\"#339900\",\"local\":false,\
             \"inherited\":1}},{{\"id\":\"2\",\"name\":\"osint:source-type=\\\"blog-post\\\"\",\
             \"colour\":\"#00223b\",\"local\":false,\"inherited\":1}}]}}",
            one.id, one.ty, one.uuid, one.timestamp, one.value
        );
        written.expect("memory takes it");
    }
    out
}
