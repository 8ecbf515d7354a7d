//! `[[intel]]`: where indicators come from, be it a path or a server; `[mirror]`: where the copies
//! of servers are.

use std::path::PathBuf;

use crate::control::config::reader::Section;
use crate::control::intel::filter::TagRule;
use crate::control::intel::list_form::ListForm;
use crate::control::intel::misp::MispSettings;
use crate::control::intel::misp::OVERLAP_SECS;
use crate::control::intel::misp::PAGE_ATTRIBUTES;
use crate::control::intel::misp::wake;
use crate::control::intel::remote::http::HttpSettings;
use crate::control::intel::remote::http::ProxyRule;
use crate::control::intel::remote::http::READ_SECS;
use crate::control::intel::remote::http::address;
use crate::control::intel::remote::http::place;
use crate::control::intel::remote::key::Key;
use crate::control::intel::remote::key::KeyPlace;
use crate::control::intel::remote::key::KeyScheme;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::remote::source::RemoteKind;
use crate::control::intel::remote::source::name_of;
use crate::model::indicator::IndicatorType;
use crate::model::marking::Tlp;

/// Characters of a name: it is that of a folder, and a label.
const NAME_CHARS_MAX: usize = 64;

/// Seconds between two pulls.
const PERIOD_SECS: u32 = 60;

/// Hours between two pulls of everything.
pub const RECONCILE_HOURS: u32 = 24;

/// Bytes of one file of a mirror at most, in MiB, unless configured: ten million attributes.
const MEBIBYTES: u32 = 8_192;

/// Threat levels by name, as MISP numbers them.
const THREAT_LEVELS: [(&str, u32); 4] = [("high", 1), ("medium", 2), ("low", 3), ("undefined", 4)];

/// Where the copies of servers are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MirrorConfig {
    /// The folder of all, each in a folder of its own.
    pub path: PathBuf,
    /// What one file may have, in MiB.
    pub mebibytes: u32,
}

impl MirrorConfig {
    /// Returns the bytes that one file may have.
    pub fn bytes_max(&self) -> u64 {
        u64::from(self.mebibytes) << 20
    }
}

impl Default for MirrorConfig {
    fn default() -> Self {
        Self { path: PathBuf::from("/var/lib/tapsieve/intel"), mebibytes: MEBIBYTES }
    }
}

/// Reads `[mirror]`.
pub(super) fn mirror(mut section: Section<'_, '_>) -> MirrorConfig {
    let path = PathBuf::from(section.required_text("path"));
    let mebibytes = section.number("mebibytes", MEBIBYTES, 1..=1 << 20);
    section.end();
    MirrorConfig { path, mebibytes }
}

/// Reads all `[[intel]]`: paths, and servers.
pub(super) fn intel(all: &mut Section<'_, '_>) -> (Vec<(PathBuf, ListForm)>, Vec<Remote>) {
    let (mut paths, mut remotes) = (Vec::new(), Vec::new());
    let mut places = Vec::new();
    all.tables("intel", |mut section| {
        let at = section.at();
        match which(&mut section) {
            Some(("path", path)) => {
                if path.is_empty() {
                    section.note("path", "a file or folder is wanted");
                }
                paths.push((PathBuf::from(path), list_form(&mut section)));
            }
            Some((key, url)) => {
                let remote = match key {
                    "misp" => misp_server(&mut section, &url),
                    key => published(&mut section, key, &url),
                };
                places.extend(remote.is_some().then_some(at));
                remotes.extend(remote);
            }
            None => {}
        }
        section.end();
    });
    for (n, remote) in remotes.iter().enumerate() {
        if remotes.iter().take(n).any(|other: &Remote| other.name == remote.name) {
            let at = places.get(n).copied().unwrap_or_default();
            all.note_at(at, format!("two [[intel]] named `{}`: give each a `name`", remote.name));
        }
    }
    (paths, remotes)
}

/// Returns the one of the keys that says where indicators are, and its text.
fn which(section: &mut Section<'_, '_>) -> Option<(&'static str, String)> {
    let at = section.at();
    const KEYS: [&str; 4] = ["path", "misp", "feed", "taxii"];
    let mut given = KEYS
        .into_iter()
        .filter_map(|key| section.optional_text(key).map(|text| (key, text)))
        .collect::<Vec<_>>();
    if let [(first, _), (second, _), ..] = given.as_slice() {
        let article = if *first == "misp" { "an" } else { "a" };
        let what = format!("there is {article} {first}, too: give each its own [[intel]]");
        section.note(second, what);
        return None;
    }
    // what is wrong with one that is there was told
    if KEYS.into_iter().all(|key| !section.has(key)) {
        section.note_at(at, "[intel] needs `path`, `misp`, `feed` or `taxii`");
    }
    given.pop()
}

/// Reads a feed over HTTP, or a collection of a TAXII server.
fn published(section: &mut Section<'_, '_>, key: &'static str, url: &str) -> Option<Remote> {
    let auth = section.optional_text("auth");
    let scheme = auth.as_deref().map_or(Some(KeyScheme::Bearer), KeyScheme::from_name);
    if scheme.is_none() {
        section.note("auth", "bearer, basic or bare is wanted");
    }
    let (kind, list_form) = match key {
        "feed" => (RemoteKind::Feed, list_form(section)),
        _ => (RemoteKind::Taxii, ListForm::Lines),
    };
    let remote = remote(section, key, url, scheme.unwrap_or_default())?;
    Some(Remote { kind, list_form, ..remote })
}

/// Reads how files are read that are no other format.
fn list_form(section: &mut Section<'_, '_>) -> ListForm {
    let text = section.optional_text("list_form").unwrap_or_else(|| "lines".to_owned());
    let form = ListForm::from_text(&text).map_err(|what| section.note("list_form", what));
    form.unwrap_or_default()
}

fn misp_server(section: &mut Section<'_, '_>, url: &str) -> Option<Remote> {
    let remote = remote(section, "misp", url, KeyScheme::Bare);
    let settings = misp_settings(section);
    let remote = remote?;
    if remote.http.key.place == KeyPlace::None {
        section.note("misp", "MISP wants a key: name its file as key_file, or give key_env");
    }
    Some(Remote { kind: RemoteKind::Misp(settings), ..remote })
}

/// Reads what all servers have; `key` is that of the address.
pub(super) fn remote(
    section: &mut Section<'_, '_>,
    key: &'static str,
    url: &str,
    scheme: KeyScheme,
) -> Option<Remote> {
    let allow_plain = section.flag("allow_plain_http", false);
    let url = address(url, allow_plain).map_err(|what| section.note(key, what)).ok();
    let name = name(section);
    let key_file = section.optional_text("key_file");
    let key_env = section.optional_text("key_env");
    let ca_file = section.optional_text("ca_file").filter(|path| !path.is_empty());
    let proxy = proxy(section);
    let read_secs = section.number("timeout_secs", READ_SECS, 1..=3_600);
    let period_secs = section.number("period_secs", PERIOD_SECS, 5..=86_400);
    // a feed's manifest names all that there is
    let reconcile_hours = match key {
        "feed" => RECONCILE_HOURS,
        _ => section.number("reconcile_hours", RECONCILE_HOURS, 1..=8_760),
    };
    let key_place = match (key_file, key_env) {
        (Some(_), Some(_)) => {
            section.note("key_env", "there is a key_file, too: give one of them");
            KeyPlace::None
        }
        (Some(path), None) => KeyPlace::File(PathBuf::from(path)),
        (None, Some(name)) => KeyPlace::Environment(name),
        (None, None) => KeyPlace::None,
    };
    let url = url?;
    let label = name.clone().unwrap_or_else(|| place(&url));
    let http = HttpSettings {
        key: Key { place: key_place, scheme },
        ca_file: ca_file.map(PathBuf::from),
        proxy,
        read_secs,
        ..HttpSettings::new(url)
    };
    let name = name.unwrap_or_else(|| name_of(&label));
    let kind = RemoteKind::Misp(MispSettings::default());
    let list_form = ListForm::Lines;
    Some(Remote { name, label, http, period_secs, reconcile_hours, list_form, kind })
}

fn name(section: &mut Section<'_, '_>) -> Option<String> {
    let name = section.optional_text("name")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty()
        || name.starts_with('.')
        || name.len() > NAME_CHARS_MAX
        || !name.chars().all(is_plain)
    {
        let most = NAME_CHARS_MAX;
        section.note("name", format!("1 to {most} letters, digits, `-`, `_` or `.` are wanted"));
    }
    Some(name)
}

fn proxy(section: &mut Section<'_, '_>) -> ProxyRule {
    match section.optional_text("proxy") {
        None => ProxyRule::Environment,
        Some(text) if text.is_empty() => ProxyRule::Direct,
        Some(text) => match address(&text, true) {
            Ok(url) => ProxyRule::Through(url),
            Err(what) => {
                section.note("proxy", what);
                ProxyRule::Direct
            }
        },
    }
}

fn misp_settings(section: &mut Section<'_, '_>) -> MispSettings {
    let default = MispSettings::default();
    let tags = section.texts("tags");
    for (at, text) in &tags {
        if let Err(what) = TagRule::from_text(text) {
            section.note_at(*at, format!("tags: {what}"));
        }
    }
    let max_tlp = section.optional_text("max_tlp").filter(|word| !word.is_empty());
    if max_tlp.as_ref().is_some_and(|word| Tlp::from_word(word).is_none()) {
        section.note("max_tlp", "clear, green, amber, amber+strict or red is wanted");
    }
    let zmq = section.optional_text("zmq").filter(|text| !text.is_empty());
    let zmq =
        zmq.and_then(|text| wake::address(&text).map_err(|what| section.note("zmq", what)).ok());
    let plain = |texts: Vec<(usize, String)>| texts.into_iter().map(|(_, text)| text).collect();
    MispSettings {
        types: types(section).unwrap_or(default.types),
        tags: plain(tags),
        max_tlp,
        published_only: section.flag("published_only", true),
        include_non_ids: false,
        decay_scores: false,
        sightings: section.flag("sightings", false),
        orgs: plain(section.texts("orgs")),
        threat_levels: threat_levels(section),
        objects: default.objects,
        page_attributes: section.number("page_attributes", PAGE_ATTRIBUTES, 1..=1_000_000),
        overlap_secs: section.number("overlap_secs", OVERLAP_SECS, 0..=86_400),
        warninglists: section.flag("warninglists", false),
        shrink_percent_min: default.shrink_percent_min,
        zmq,
    }
}

/// Reads the types to ask for; none: as usual. Empty: all.
fn types(section: &mut Section<'_, '_>) -> Option<Vec<String>> {
    let texts = section.texts("types");
    if texts.is_empty() {
        return None;
    }
    if texts.iter().any(|(_, text)| text == "*") {
        return Some(Vec::new());
    }
    for (at, text) in &texts {
        if IndicatorType::from_name(text).is_none() {
            let what = "matches nothing: name types of MISP that do, or \"*\"";
            section.note_at(*at, format!("types: `{text}` {what}"));
        }
    }
    Some(texts.into_iter().map(|(_, text)| text).collect())
}

fn threat_levels(section: &mut Section<'_, '_>) -> Vec<u32> {
    let mut levels = Vec::new();
    for (at, text) in section.texts("threat_levels") {
        match THREAT_LEVELS.iter().find(|(name, _)| *name == text) {
            Some((_, level)) => levels.push(*level),
            None => section.note_at(
                at,
                format!("threat_levels: `{text}` is none: high, medium, low and undefined are"),
            ),
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use crate::control::config::Config;
    use crate::control::intel::misp::MispSettings;
    use crate::control::intel::remote::key::KeyScheme;
    use crate::control::intel::remote::source::RemoteKind;

    const CAPTURE: &str = "[[capture]]\ninterface = \"eth1\"\n";

    /// `[[intel]]` with these keys, then its problems as "line:column: what".
    fn check(keys: &str, problems: &[&str]) {
        let text = format!("{CAPTURE}[[intel]]\n{keys}");
        let found = Config::parse(&text).err().unwrap_or_default();
        let found = found.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found.len(), problems.len(), "{found:?}");
        for (found, problem) in found.iter().zip(problems) {
            assert!(found.starts_with(problem), "{found}");
        }
    }

    #[test]
    fn servers_are_read_with_what_is_wrong_at_its_place() {
        check("misp = \"https://misp.example\"\nkey_file = \"/k\"\n", &[]);
        check("misp = \"https://misp.example\"\n", &["4:8: misp: MISP wants a key"]);
        check("misp = \"http://misp.example\"\nkey_file = \"/k\"\n", &["4:8: misp: http:// shows"]);
        check("misp = \"http://misp.example\"\nkey_file = \"/k\"\nallow_plain_http = true\n", &[]);
        check("path = \"/f\"\nmisp = \"https://x\"\n", &["5:8: misp: there is a path, too"]);
        check(
            "name = \"x\"\n",
            &["3:1: [intel] needs `path`, `misp`, `feed` or `taxii`", "4:1: unknown key `name`"],
        );
        check(
            "misp = \"https://x\"\nkey_file = \"/k\"\nkey_env = \"K\"\nzmq = \"x\"\nname = \"../x\"\n\
             types = [\"domian\"]\nthreat_levels = [\"huge\"]\nmax_tlp = \"pink\"\n",
            &[
                "4:8: misp: MISP wants a key",
                "6:11: key_env: there is a key_file",
                "7:7: zmq: tcp://HOST:PORT",
                "8:8: name: 1 to 64 letters",
                "9:10: types: `domian` matches nothing",
                "10:18: threat_levels: `huge` is none",
                "11:11: max_tlp: clear",
            ],
        );
        let two = "misp = \"https://x\"\nkey_env = \"K\"\n[[intel]]\nmisp = \"https://x/\"\nkey_env = \"K\"\n";
        check(two, &["6:1: two [[intel]] named `x`"]);
    }

    #[test]
    fn feeds_and_collections_are_read() {
        check("feed = \"https://feed.example/list.txt\"\n", &[]);
        check("feed = \"http://feed.example/list.txt\"\n", &["4:8: feed: http:// shows"]);
        check(
            "feed = \"https://x/\"\ntaxii = \"https://x/\"\n",
            &["5:9: taxii: there is a feed, too"],
        );
        check("taxii = \"https://x/\"\nauth = \"digest\"\n", &["5:8: auth: bearer, basic or bare"]);
        check(
            "feed = \"https://x/\"\nreconcile_hours = 1\n",
            &["5:1: unknown key `reconcile_hours`"],
        );
        check("taxii = \"https://x/\"\nreconcile_hours = 1\n", &[]);
        check("feed = \"https://x/a.csv\"\nlist_form = \"csv:3\"\n", &[]);
        check("path = \"a.csv\"\nlist_form = \"csv\"\n", &["5:13: list_form: lines, freetext"]);
        check("taxii = \"https://x/\"\nlist_form = \"lines\"\n", &["5:1: unknown key `list_form`"]);
        check("taxii = \"https://x/\"\nzmq = \"x\"\n", &["5:1: unknown key `zmq`"]);
        let text = format!(
            "{CAPTURE}[[intel]]\ntaxii = \"https://t.example/api1/collections/x/\"\nauth = \"basic\"\n\
             key_file = \"/k\"\n[[intel]]\nfeed = \"https://f.example/f/\"\nname = \"f\"\n"
        );
        let config = Config::parse(&text).expect("sound");
        let [taxii, feed] = config.remotes.as_slice() else { panic!("two") };
        assert_eq!((&taxii.kind, &feed.kind), (&RemoteKind::Taxii, &RemoteKind::Feed));
        assert_eq!(taxii.http.key.scheme, KeyScheme::Basic);
        assert_eq!((feed.name.as_str(), feed.http.key.scheme), ("f", KeyScheme::Bearer));
    }

    #[test]
    fn the_examples_of_servers_are_sound() {
        let example = include_str!("../../../deploy/tapsieve.toml");
        let (_, servers) = example.split_once("# A MISP server").expect("an example");
        let (servers, _) = servers.split_once("\n[mirror]").expect("its end");
        let is_key = |line: &&str| line.starts_with("[[") || line.contains(" = ");
        let lines = servers.lines().filter_map(|line| line.strip_prefix("# ")).filter(is_key);
        let text = format!("{CAPTURE}{}", lines.collect::<Vec<_>>().join("\n"));
        let config = Config::parse(&text).expect("sound");
        assert_eq!(config.remotes.len(), 3, "{text}");
    }

    #[test]
    fn a_server_has_the_usual_unless_told() {
        let text = format!(
            "{CAPTURE}[[intel]]\nmisp = \"https://misp.example/x\"\nkey_env = \"K\"\n\
             [mirror]\npath = \"/m\"\n[indicators]\ninclude_non_ids = true\n"
        );
        let config = Config::parse(&text).expect("sound");
        let [remote] = config.remotes.as_slice() else { panic!("one") };
        assert_eq!((remote.name.as_str(), remote.period_secs), ("misp.example_x", 60));
        assert_eq!(remote.label, "https://misp.example/x");
        let usual = MispSettings { include_non_ids: true, ..MispSettings::default() };
        assert_eq!(remote.kind, RemoteKind::Misp(usual));
        assert_eq!(remote.folder(&config.mirror.path).display().to_string(), "/m/misp.example_x");
        assert!(config.inputs().is_empty(), "nothing was pulled yet");
    }
}
