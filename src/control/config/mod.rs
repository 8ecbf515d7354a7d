//! The sensor's configuration: one TOML file (contract §6); all that is wrong with it is told at
//! once.

pub mod canary;
mod capture;
mod filter;
mod log;
pub mod confinement;
mod reader;
pub mod remote;
pub mod sink;
pub mod spool;
mod warninglist;

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use ipnet::IpNet;
use toml::de::DeTable;

use crate::control::config::canary::CanaryConfig;
use crate::control::config::canary::canary;
use crate::control::config::capture::capture;
use crate::control::config::confinement::Confinement;
use crate::control::config::confinement::confinement;
use crate::control::config::filter::filter;
use crate::control::config::log::log;
use crate::control::config::reader::Problem;
use crate::control::config::reader::Problems;
use crate::control::config::reader::Section;
use crate::control::config::remote::MirrorConfig;
use crate::control::config::remote::intel;
use crate::control::config::remote::mirror;
use crate::control::config::sink::SinkConfig;
use crate::control::config::sink::sinks;
use crate::control::config::spool::SpoolConfig;
use crate::control::config::spool::spool;
use crate::control::config::warninglist::warninglists;
use crate::control::intel::IntelOptions;
use crate::control::intel::args::network;
use crate::control::intel::filter::Filter;
use crate::control::intel::list_form::ListForm;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::remote::source::RemoteKind;
use crate::control::intel::warninglist::WarninglistSettings;
use crate::control::log::LogFormat;
use crate::model::indicator::IndicatorType;
use crate::model::limits::FLOWS_MAX;
use crate::model::limits::OTHER_IDLE_SECS;
use crate::model::limits::TCP_IDLE_SECS;
use crate::model::policy::Policy;
use crate::pipeline::capture::live::LiveSettings;
use crate::report::runaway::HOSTS_MAX;
use crate::report::runaway::RunawayLimits;

/// Idle limits at most: a week.
const IDLE_SECS_MAX: u32 = 7 * 86_400;

/// Flows at most, whatever the memory: 128 bytes each, and what they tell.
const FLOWS_CONFIGURED_MAX: u32 = 64_000_000;

/// What the sensor is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The sensor's name in alerts.
    pub name: String,
    /// The site's own networks.
    pub own_networks: Vec<IpNet>,
    /// Interfaces.
    pub captures: Vec<LiveSettings>,
    /// Matcher threads; 0: one for each core that capture leaves.
    pub workers: u32,
    /// The CPU of each matcher thread; empty: any.
    pub worker_cpus: Vec<u16>,
    /// Flows held by all workers together.
    pub flows_max: u32,
    /// Seconds after which an established TCP flow without packets is over.
    pub tcp_idle_secs: u32,
    /// Seconds after which any other flow without packets is over.
    pub other_idle_secs: u32,
    /// Files and folders that indicators come from.
    pub intel: Vec<PathBuf>,
    /// How those that are lists are read.
    pub list_forms: Vec<ListForm>,
    /// Servers that they come from.
    pub remotes: Vec<Remote>,
    /// Where the copies of servers are.
    pub mirror: MirrorConfig,
    /// How indicators are read.
    pub indicators: Indicators,
    /// Which attributes match, by what is said around them.
    pub filter: Filter,
    /// Which warninglists are applied, and how.
    pub warninglists: WarninglistSettings,
    /// When an indicator is quarantined.
    pub runaway: RunawayLimits,
    /// Where alerts go.
    pub sinks: Vec<SinkConfig>,
    /// How it proves that it works; `None`: not at all.
    pub canary: Option<CanaryConfig>,
    /// Where alerts wait on disk; `None`: they wait in memory.
    pub spool: Option<SpoolConfig>,
    /// Where metrics and health are served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// How it says what changes.
    pub log: LogFormat,
    /// What it gives up once that is open.
    pub confinement: Confinement,
}

/// How indicators are read, and which sets are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indicators {
    /// Types to match that are off by default.
    pub opt_in: Vec<IndicatorType>,
    /// Takes addresses of special purpose (RFC 6890).
    pub allow_special: bool,
    /// Takes public suffixes and top-level domains as domains.
    pub allow_public_suffix: bool,
    /// Takes addresses of the site's own networks.
    pub allow_own_networks: bool,
    /// Takes attributes whose `to_ids` is false.
    pub include_non_ids: bool,
    /// Takes the attributes of composite objects each for itself.
    pub objects_in_parts: bool,
    /// Looks for the hosts of URLs in server names of TLS.
    pub tls_url_hosts: bool,
    /// A new set with fewer than this share of the indicators in force is refused, in percent.
    pub shrink_percent_min: u32,
    /// Seconds between two looks at whether the files have changed; 0: only at SIGHUP.
    pub watch_secs: u32,
}

/// A file that is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is wrong with it, in the order of its lines.
    #[error("{}", listed(path, problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// At least one.
        problems: Vec<Problem>,
    },
}

fn listed(path: &Path, problems: &[Problem]) -> String {
    let line = |problem: &Problem| format!("{}:{problem}", path.display());
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or anything in it is wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text)
            .map_err(|problems| ConfigError::Wrong { path: path.to_owned(), problems })
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut problems = Problems::of(text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            let what = error.message().lines().collect::<Vec<_>>().join(": ");
            let what = match (what.as_str(), error.span().and_then(|span| text.get(span))) {
                ("duplicate key", Some(key)) => {
                    format!("duplicate key `{}`: it is above already, take one out", key.trim())
                }
                _ => what,
            };
            problems.note(at, what);
        }
        let config = if errors.is_empty() {
            Some(whole(Section::new("", 0, table.get_ref(), &mut problems)))
        } else {
            None
        };
        let found = problems.sorted();
        config.filter(|_| found.is_empty()).ok_or(found)
    }

    /// Returns what indicators are read from now: paths, and the copies of servers that are there.
    pub fn inputs(&self) -> Vec<PathBuf> {
        let pulled = self.remotes.iter().filter_map(|remote| remote.input(&self.mirror.path));
        self.intel.iter().cloned().chain(pulled).collect()
    }

    /// Returns the servers as messages name them.
    pub fn remote_labels(&self) -> Vec<&str> {
        self.remotes.iter().map(|remote| remote.label.as_str()).collect()
    }

    /// Returns how indicators are read.
    pub fn intel_options(&self) -> IntelOptions {
        let indicators = self.indicators.clone();
        let own = (!indicators.allow_own_networks).then(|| self.own_networks.clone());
        let policy = Policy {
            allow_special: indicators.allow_special,
            allow_public_suffix: indicators.allow_public_suffix,
            own_networks: own.unwrap_or_default(),
            tls_url_hosts: indicators.tls_url_hosts,
            opt_in: indicators.opt_in,
        };
        let mut warninglists = self.warninglists.clone();
        let pulled =
            self.remotes.iter().filter_map(|remote| remote.warninglists(&self.mirror.path));
        warninglists.inputs.extend(pulled.map(|folder| (folder, None)));
        let pulled = self
            .remotes
            .iter()
            .map(|remote| (remote.folder(&self.mirror.path), remote.list_form.clone()));
        let named = self.intel.iter().cloned().zip(self.list_forms.iter().cloned());
        IntelOptions {
            policy,
            include_non_ids: indicators.include_non_ids,
            objects_in_parts: indicators.objects_in_parts,
            filter: self.filter.clone(),
            warninglists,
            list_forms: named.chain(pulled).collect(),
            canary: self.canary.is_some(),
        }
    }
}

/// Notes interfaces that are captured twice.
fn no_interface_twice(captures: &[LiveSettings], all: &mut Section<'_, '_>) {
    for (n, capture) in captures.iter().enumerate() {
        if captures.iter().take(n).any(|other| other.interface == capture.interface) {
            all.note_at(
                0,
                format!("two [[capture]] of {}: its frames would count twice", capture.interface),
            );
        }
    }
}

fn whole(mut all: Section<'_, '_>) -> Config {
    let (name, own_networks) = all.table("sensor", sensor).unwrap_or_default();
    let captures = all.tables("capture", capture);
    if captures.is_empty() {
        all.note_at(0, "no [[capture]]: name an interface to capture on");
    }
    no_interface_twice(&captures, &mut all);
    let (workers, worker_cpus) = all.table("workers", workers).unwrap_or_default();
    let flows = all.table("flows", flows);
    let [flows_max, tcp_idle_secs, other_idle_secs] =
        flows.unwrap_or([FLOWS_MAX, TCP_IDLE_SECS, OTHER_IDLE_SECS]);
    let (paths, mut remotes) = intel(&mut all);
    let (intel, list_forms) = paths.into_iter().unzip();
    if !all.has("intel") {
        all.note_at(0, "no [[intel]]: name a feed, or there is nothing to look for");
    }
    let mirror = all.table("mirror", mirror).unwrap_or_default();
    let (indicators, filter) = all.table("indicators", indicators).unwrap_or_default();
    for remote in &mut remotes {
        if let RemoteKind::Misp(settings) = &mut remote.kind {
            settings.include_non_ids = indicators.include_non_ids;
            settings.decay_scores = filter.exclude_decayed;
            settings.shrink_percent_min = indicators.shrink_percent_min;
        }
    }
    let warninglists = warninglists(&mut all);
    let captured = captures.first().map(|capture| capture.interface.clone());
    let canary = |section: Section<'_, '_>| canary(section, captured.as_deref());
    let canary = all.table("canary", canary).flatten();
    let mut runaway = all.table("runaway", runaway).unwrap_or_default();
    runaway.own_networks.clone_from(&own_networks);
    if runaway.hosts_percent_max > 0 && !own_networks.iter().any(|net| net.addr().is_ipv4()) {
        all.note_at(
            0,
            "[runaway] hosts_percent_max: a share of which hosts? Name IPv4 networks in \
             `own_networks` of [sensor]",
        );
    }
    let sinks = sinks(&mut all);
    let spool = all.table("spool", spool);
    let listen = all.table("http", http).unwrap_or_else(default_listen);
    let log = all.table("log", log).unwrap_or(LogFormat::Text);
    let confinement = all.table("drop", confinement).unwrap_or_default();
    all.end();
    Config {
        name: name.unwrap_or_else(host_name),
        own_networks,
        captures,
        workers,
        worker_cpus,
        flows_max,
        tcp_idle_secs,
        other_idle_secs,
        intel,
        list_forms,
        remotes,
        mirror,
        indicators,
        filter,
        warninglists,
        runaway,
        canary,
        sinks,
        spool,
        listen,
        log,
        confinement,
    }
}

fn sensor(mut section: Section<'_, '_>) -> (Option<String>, Vec<IpNet>) {
    let name = section.optional_text("name");
    let mut own = Vec::new();
    for (at, text) in section.texts("own_networks") {
        match network(&text) {
            Ok(net) => own.push(net),
            Err(what) => section.note_at(at, format!("own_networks: {what}")),
        }
    }
    section.end();
    (name, own)
}

fn workers(mut section: Section<'_, '_>) -> (u32, Vec<u16>) {
    let count = section.number("count", 0, 0..=128);
    let cpus = section.cpus("cpus");
    let count = match (count, cpus.len()) {
        (0, given) => u32::try_from(given).unwrap_or(0),
        (count, _) => count,
    };
    if !cpus.is_empty() && cpus.len() != count as usize {
        let given = cpus.len();
        section.note("cpus", format!("{given} CPUs for {count} threads: name one for each"));
    }
    section.end();
    (count, cpus)
}

fn flows(mut section: Section<'_, '_>) -> [u32; 3] {
    let flows = [
        section.number("flows_max", FLOWS_MAX, 1_000..=FLOWS_CONFIGURED_MAX),
        section.number("tcp_idle_secs", TCP_IDLE_SECS, 1..=IDLE_SECS_MAX),
        section.number("other_idle_secs", OTHER_IDLE_SECS, 1..=IDLE_SECS_MAX),
    ];
    section.end();
    flows
}

fn indicators(mut section: Section<'_, '_>) -> (Indicators, Filter) {
    let default = Indicators::default();
    let mut opt_in = Vec::new();
    for (at, name) in section.texts("opt_in") {
        match IndicatorType::from_name(&name).filter(|ty| ty.is_opt_in()) {
            Some(ty) => opt_in.push(ty),
            None => section.note_at(at, format!("opt_in: `{name}` is no type that is off")),
        }
    }
    let indicators = Indicators {
        opt_in,
        allow_special: section.flag("allow_special", default.allow_special),
        allow_public_suffix: section.flag("allow_public_suffix", default.allow_public_suffix),
        allow_own_networks: section.flag("allow_own_networks", default.allow_own_networks),
        include_non_ids: section.flag("include_non_ids", default.include_non_ids),
        objects_in_parts: section.flag("objects_in_parts", default.objects_in_parts),
        tls_url_hosts: section.flag("tls_url_hosts", default.tls_url_hosts),
        shrink_percent_min: section.number(
            "shrink_percent_min",
            default.shrink_percent_min,
            0..=100,
        ),
        watch_secs: section.number("watch_secs", default.watch_secs, 0..=86_400),
    };
    let filter = filter(&mut section);
    section.end();
    (indicators, filter)
}

fn runaway(mut section: Section<'_, '_>) -> RunawayLimits {
    let default = RunawayLimits::default();
    let limits = RunawayLimits {
        hosts_max: section.number("hosts_max", default.hosts_max, 0..=HOSTS_MAX),
        hosts_percent_max: section.number("hosts_percent_max", default.hosts_percent_max, 0..=100),
        window_secs: section.number("window_secs", default.window_secs, 60..=IDLE_SECS_MAX),
        ..default
    };
    section.end();
    limits
}

fn http(mut section: Section<'_, '_>) -> Option<SocketAddr> {
    let Some(text) = section.optional_text("listen") else {
        section.end();
        return default_listen();
    };
    let listen = text.parse().ok();
    if listen.is_none() && !text.is_empty() {
        section.note("listen", "an address with a port is wanted, as \"127.0.0.1:9464\"");
    }
    section.end();
    listen
}

fn default_listen() -> Option<SocketAddr> {
    Some(SocketAddr::from(([127, 0, 0, 1], 9464)))
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "sensor".to_owned())
}

impl Default for Indicators {
    fn default() -> Self {
        Self {
            opt_in: Vec::new(),
            allow_special: false,
            allow_public_suffix: false,
            allow_own_networks: false,
            include_non_ids: false,
            objects_in_parts: false,
            tls_url_hosts: false,
            shrink_percent_min: 50,
            watch_secs: 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::config::sink::Destination;
    use crate::control::intel::filter::TagRule;
    use crate::control::intel::warninglist::Action;
    use crate::model::marking::Tlp;
    use crate::model::validity::AsOf;
    use crate::model::validity::Validity;

    const LEAST: &str = "[[capture]]\ninterface = \"eth1\"\n[[intel]]\npath = \"/feed\"\n";

    /// A text, then its problems as "line:column: what".
    fn check(text: &str, problems: &[&str]) {
        let found = Config::parse(text).err().unwrap_or_default();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, problems, "{text}");
    }

    fn file(name: &str, path: &str, keep: u32) -> SinkConfig {
        let (rotate_mebibytes, rotate_hours, sync_secs) = (100, 24, 1);
        let path = PathBuf::from(path);
        let to = Destination::File { path, rotate_mebibytes, rotate_hours, keep, sync_secs };
        SinkConfig { name: name.to_owned(), to }
    }

    #[test]
    fn sinks_are_told_apart_by_name() {
        let names = |text: &str| {
            let sinks = Config::parse(&format!("{LEAST}{text}")).expect("sound").sinks;
            sinks.into_iter().map(|sink| sink.name).collect::<Vec<_>>()
        };
        let tcp = |port: u16| format!("[[sink]]\ntype = \"tcp\"\naddress = \"h:{port}\"\n");
        let unix = "[[sink]]\ntype = \"unix\"\npath = \"/s\"\n";
        assert_eq!(names(&(tcp(1) + unix + &tcp(2) + &tcp(3))), ["tcp", "unix", "tcp-2", "tcp-3"]);
        let named = format!("{}name = \"tcp\"\n", tcp(2));
        assert_eq!(names(&(tcp(1) + &named)), ["tcp-2", "tcp"]);
    }

    #[test]
    fn what_is_wrong_with_sinks_has_its_place() {
        let text = format!(
            "{LEAST}[[sink]]\ntype = \"tcp\"\naddress = \"siem\"\nname = \"A b\"\n\
             [[sink]]\ntype = \"stdout\"\nname = \"x\"\n[[sink]]\ntype = \"stdout\"\nname = \"x\"\n\
             [[sink]]\ntype = \"kafka\"\n[[sink]]\ntype = \"unix\"\n[spool]\nmebibytes = 0\n"
        );
        check(
            &text,
            &[
                "7:11: address: a host with a port is wanted, as \"logs.example:5170\" or \"[::1]:5170\"",
                "8:8: name: up to 32 of a-z, 0-9, `-` and `_` are wanted",
                "12:1: two [[sink]] named `x`: name one otherwise",
                "12:1: two [[sink]] with one place: its alerts would be there twice",
                "16:8: type: `kafka` is none: \"file\", \"stdout\", \"unix\" and \"tcp\" are",
                "17:1: [sink] needs `path`",
                "19:1: [spool] needs `path`",
                "20:13: mebibytes: a whole number from 1 to 65536 is wanted, not 0",
            ],
        );
    }

    #[test]
    fn warninglists_do_what_is_said() {
        let text = format!(
            "{LEAST}[[warninglists]]\npath = \"/a\"\ninform = [\"Amazon AWS\"]\n\
             [[warninglists]]\npath = \"/b\"\naction = \"downgrade\"\noff = [\"tlds\"]\n"
        );
        let lists = Config::parse(&text).expect("sound").intel_options().warninglists;
        let inputs = [("/a", None), ("/b", Some(Action::Downgrade))];
        assert_eq!(lists.inputs, inputs.map(|(path, action)| (PathBuf::from(path), action)));
        let named = [("amazon aws", Some(Action::Inform)), ("tlds", None)];
        assert_eq!(lists.lists, named.map(|(name, action)| (name.to_owned(), action)).into());
        check(
            &format!(
                "{LEAST}[[warninglists]]\naction = \"block\"\ndrop = [\"x\"]\noff = [\"X\"]\n"
            ),
            &[
                "5:1: [warninglists] needs `path`",
                "6:10: action: `block` is none: \"drop\" and \"downgrade\" and \"inform\" are",
                "8:8: off: `X` is named twice",
            ],
        );
    }

    #[test]
    fn what_nobody_can_have_meant_is_told_with_what_to_do() {
        check(
            "[sensor]\nname = \"a\"\nname = \"b\"\n",
            &["3:1: duplicate key `name`: it is above already, take one out"],
        );
        let text = "[sensor]\nname = \"a\\nb\"\nown_networks = [\"0.0.0.0/0\", \"a\\u0000\"]\n\
                    [[capture]]\ninterface = \"\"\ncpus = [1, 99_999]\nthreads = 2\n\
                    filter = \"\"\"udp or\n tcp\"\"\"\n[[intel]]\npath = \"/feed\\u0000\"\n\
                    [canary]\ninterval_secs = 60\ninterface = \"\"\n";
        check(
            text,
            &[
                "2:8: name: a control character (\\n) is in it: take it out",
                "3:17: own_networks: 0.0.0.0/0 is wider than any network: no indicator in it would \
                 match",
                "3:30: own_networks: a control character (\\u{0}) is in it: take it out",
                "5:13: interface: empty, and [capture] needs it: fill it in",
                "6:12: cpus: a number of a CPU from 0 to 1023 is wanted, not 99999",
                "11:8: path: a control character (\\u{0}) is in it: take it out",
                "14:13: interface: empty: name the one to send on, or take the key out",
            ],
        );
    }

    #[test]
    fn the_least_is_an_interface_and_a_feed() {
        let config = Config::parse(LEAST).expect("enough");
        assert_eq!(config.captures[0].interface, "eth1");
        assert_eq!(config.captures[0].ring_mebibytes, 64);
        let stdout = SinkConfig { name: "stdout".to_owned(), to: Destination::Stdout };
        assert_eq!((config.sinks, config.spool), (vec![stdout], None));
        assert_eq!(config.listen, default_listen());
        check(
            "",
            &[
                "1:1: no [[capture]]: name an interface to capture on",
                "1:1: no [[intel]]: name a feed, or there is nothing to look for",
            ],
        );
    }

    #[test]
    fn all_problems_are_told_at_once_with_their_places() {
        let text = format!(
            "{LEAST}[[capture]]\ninterfce = \"x\"\nthreads = 0\nring_mebibytes = \"64\"\n\
             [flows]\nflows_max = 10\n[sink]\ntype = \"file\"\n[zebra]\n"
        );
        check(
            &text,
            &[
                "5:1: [capture] needs `interface`",
                "6:1: unknown key `interfce` in capture: did you mean `interface`?",
                "7:11: threads: a whole number from 1 to 64 is wanted, not 0",
                "8:18: ring_mebibytes: a whole number from 1 to 2047 is wanted, not this string",
                "10:13: flows_max: a whole number from 1000 to 64000000 is wanted, not 10",
                "11:1: sink: tables: [[sink]] is wanted, not this table",
                "13:2: unknown key `zebra`: known are sensor, capture, workers, flows, intel, \
                 mirror, indicators, warninglists, canary, runaway, sink, spool, http, log, drop",
            ],
        );
    }

    #[test]
    fn the_example_says_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/tapsieve.toml");
        let example = Config::read(&path).expect("sound");
        let least = Config::parse(LEAST).expect("enough");
        let sinks = vec![file("file", "/var/lib/tapsieve/alerts.jsonl", 30)];
        let spool = SpoolConfig { path: PathBuf::from("/var/lib/tapsieve/spool"), mebibytes: 256 };
        let intel = vec![PathBuf::from("/etc/tapsieve/feed")];
        assert_eq!(example, Config { sinks, intel, spool: Some(spool), ..least });
    }

    #[test]
    fn what_is_no_toml_has_its_line() {
        let found = Config::parse("[sensor\nname = \"x\"\n").expect_err("no TOML");
        assert_eq!((found[0].line, found[0].column), (1, 8), "{found:?}");
    }

    #[test]
    fn everything_that_can_be_set_is_set() {
        let text = format!(
            "{LEAST}[sensor]\nname = \"tap-1\"\nown_networks = [\"9.9.9.9/16\"]\n[workers]\ncount = 3\n[flows]\nflows_max = 5_000\n\
             tcp_idle_secs = 60\nother_idle_secs = 5\n[indicators]\nopt_in = [\"user-agent\"]\n\
             tags = [\"!tlp:red\"]\nmax_tlp = \"amber\"\nas_of = \"now\"\nmax_age_days = 30\n\
             exclude_decayed = true\nshrink_percent_min = 10\n[runaway]\nhosts_max = 5\n[[sink]]\ntype = \"file\"\npath = \"/a\"\nkeep = 2\n\
             [http]\nlisten = \"\"\n"
        );
        let config = Config::parse(&text).expect("sound");
        assert_eq!((config.name.as_str(), config.workers, config.listen), ("tap-1", 3, None));
        assert_eq!(
            (config.flows_max, config.tcp_idle_secs, config.other_idle_secs),
            (5_000, 60, 5)
        );
        assert_eq!(config.indicators.opt_in, [IndicatorType::UserAgent]);
        let own = ["9.9.0.0/16".parse().expect("a prefix")];
        assert_eq!(config.intel_options().policy.own_networks, own);
        let allowing = text.replace("[indicators]", "[indicators]\nallow_own_networks = true");
        let allowing = Config::parse(&allowing).expect("sound").intel_options();
        assert_eq!(allowing.policy.own_networks, []);
        assert_eq!(config.indicators.shrink_percent_min, 10);
        let filter = Filter {
            tags: vec![TagRule::from_text("!tlp:red").expect("a rule")],
            tlp_max: Some(Tlp::Amber),
            published_only: false,
            exclude_decayed: true,
            validity: Validity { as_of: AsOf::Now, days_max: Some(30) },
        };
        assert_eq!(config.intel_options().filter, filter);
        assert_eq!((config.runaway.hosts_max, config.runaway.own_networks.len()), (5, 1));
        assert_eq!(config.sinks, [file("file", "/a", 2)]);
    }
}
