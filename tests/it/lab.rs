//! A network of its own for one test: a namespace, a pair of interfaces, a sensor on one of them.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::run::Beside;
use crate::run::Run;
use crate::run::has_program;
use crate::run::ran;
use crate::run::root;
use crate::run::skip;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tapsieve");

/// The lab's interface in a sensor's configuration.
pub(crate) const TAP: &str = "[[capture]]\ninterface = \"tap0\"\nring_mebibytes = 16\n";

/// How long anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A namespace with the interfaces `tap0` (mirrored to) and `gen0` (sent from), and a folder.
pub(crate) struct Lab {
    name: String,
    pub(crate) folder: tempfile::TempDir,
}

/// A sensor that runs in a lab; ended when dropped.
pub(crate) struct Sensor<'l> {
    lab: &'l Lab,
    child: Option<Child>,
}

/// A Prometheus that runs in a lab.
pub(crate) struct Prometheus(Child);

/// The demo's indicators.
pub(crate) fn feed() -> PathBuf {
    root().join("fixtures/demo/feed")
}

/// The demo's capture.
pub(crate) fn capture() -> PathBuf {
    root().join("fixtures/demo/site/input.pcap")
}

/// Replaces a file as a whole, so that who looks meanwhile sees the old or the new one.
pub(crate) fn put(path: &Path, text: &str) {
    let aside = path.with_extension("aside");
    fs::write(&aside, text).expect("written");
    fs::rename(&aside, path).expect("renamed");
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _has_ended = self.0.kill();
        let _has_ended = self.0.wait();
    }
}

impl Lab {
    /// Makes one; `None`, said aloud, without the privilege or the programs.
    pub(crate) fn new() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        if !["ip", "tcpreplay", "curl"].iter().all(|program| has_program(program)) {
            return None;
        }
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("tapsieve-{}-{number}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output().expect("ip runs");
        if !made.status.success() {
            assert!(
                std::env::var_os("TAPSIEVE_CI").is_none(),
                "no network namespaces: run as root"
            );
            skip("network namespaces need root");
            return None;
        }
        let lab = Self { name, folder: tempfile::tempdir().expect("folder") };
        lab.plug_in();
        lab.ip(&["link", "set", "lo", "up"]);
        Some(lab)
    }

    /// The file that stands for its namespace.
    pub(crate) fn namespace(&self) -> PathBuf {
        Path::new("/var/run/netns").join(&self.name)
    }

    /// Makes the interfaces.
    pub(crate) fn plug_in(&self) {
        self.ip(&["link", "add", "tap0", "type", "veth", "peer", "name", "gen0"]);
        // no neighbour discovery of their own: every packet is one that was sent
        for interface in ["tap0", "gen0"] {
            self.shell(&format!("sysctl -qw net.ipv6.conf.{interface}.disable_ipv6=1"));
            self.ip(&["link", "set", interface, "mtu", "9000", "up"]);
        }
    }

    /// Removes the interfaces.
    pub(crate) fn unplug(&self) {
        self.ip(&["link", "del", "tap0"]);
    }

    /// Sends a capture with `options` of tcpreplay.
    pub(crate) fn send(&self, capture: &Path, options: &[&str]) {
        let mut arguments = vec!["-q", "-i", "gen0"];
        arguments.extend_from_slice(options);
        let capture = capture.display().to_string();
        arguments.push(&capture);
        let sent = self.command("tcpreplay").args(&arguments).output().expect("tcpreplay runs");
        let told = String::from_utf8_lossy(&sent.stdout).into_owned();
        let failed = "Failed packets:            0";
        assert!(sent.status.success() && told.contains(failed), "{told}");
    }

    /// Makes another namespace and puts the far interface there: `gen0` is 30.44.10.10, `tap0`
    /// 30.44.10.1, and they talk for real.
    pub(crate) fn second_namespace(&self) -> Self {
        let far = Self {
            name: format!("{}-far", self.name),
            folder: tempfile::tempdir().expect("folder"),
        };
        let made = Command::new("ip").args(["netns", "add", &far.name]).status().expect("ip runs");
        assert!(made.success());
        self.ip(&["link", "set", "gen0", "netns", &far.name]);
        self.ip(&["addr", "add", "30.44.10.1/24", "dev", "tap0"]);
        far.ip(&["addr", "add", "30.44.10.10/24", "dev", "gen0"]);
        far.ip(&["link", "set", "gen0", "up"]);
        far
    }

    /// Starts a Prometheus with a configuration, which scrapes each second; ended when dropped.
    pub(crate) fn prometheus(&self, config: &str) -> Prometheus {
        fs::write(self.path("prometheus.yml"), config.replace("15s", "1s")).expect("written");
        let mut command = self.command("prometheus");
        command.args(["--web.listen-address=127.0.0.1:9090", "--config.file=prometheus.yml"]);
        command.args(["--storage.tsdb.path=tsdb", "--log.level=error"]);
        Prometheus(command.current_dir(self.folder.path()).spawn().expect("starts"))
    }

    /// Asks it.
    pub(crate) fn query(&self, query: &str) -> Value {
        let (query, url) = (format!("query={query}"), "http://127.0.0.1:9090/api/v1/query");
        let mut curl = self.command("curl");
        let got = curl.args(["-s", "-m", "5", "--data-urlencode", &query, url]).output();
        serde_json::from_slice(&got.expect("curl runs").stdout).unwrap_or_default()
    }

    /// Asks it for one value, as it writes it.
    pub(crate) fn value(&self, query: &str) -> Option<String> {
        let value = &self.query(query)["data"]["result"][0]["value"][1];
        value.as_str().map(str::to_owned)
    }

    /// Writes a configuration with these lines and starts a sensor with it: as root, which becomes
    /// `nobody` and gives up all that it can, unless the lines say otherwise.
    pub(crate) fn sensor(&self, feed: &Path, more: &str) -> Sensor<'_> {
        self.sensor_behind(&[], feed, more)
    }

    /// The same, started by a program that becomes it, as `env` does.
    pub(crate) fn sensor_behind(&self, by: &[&str], feed: &Path, more: &str) -> Sensor<'_> {
        let errors = fs::File::create(self.path("errors")).expect("made");
        let mut command = self.sensor_command(by, feed, more);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn();
        let sensor = Sensor { lab: self, child: Some(child.expect("starts")) };
        sensor.wait("a page", |lab| lab.get("/healthz").starts_with("alive"));
        sensor
    }

    /// Runs a sensor that is expected to end by itself.
    pub(crate) fn sensor_that_ends(&self, by: &[&str], feed: &Path, more: &str) -> Run {
        let by = [&["timeout", "20"], by].concat();
        ran(&self.sensor_command(&by, feed, more).output().expect("runs"))
    }

    fn sensor_command(&self, by: &[&str], feed: &Path, more: &str) -> Command {
        let path = self.path("sensor.toml");
        let user = if more.contains("[drop]") { "" } else { "[drop]\nuser = \"nobody\"\n" };
        let text = format!(
            "[sensor]\nname = \"lab\"\n[[intel]]\npath = \"{}\"\n[[sink]]\ntype = \"file\"\n\
             path = \"{}\"\n{more}\n{user}",
            self.near(feed).display(),
            self.path("alerts").display()
        );
        fs::write(&path, text).expect("written");
        self.shell(&format!("chown -R nobody {}", self.folder.path().display()));
        let words = [by, &[PROGRAM, "sensor", "--config"]].concat();
        let mut command = self.command(words[0]);
        command.args(&words[1..]).arg(&path);
        command
    }

    /// Returns a copy of a feed in the folder: where a clone lies `nobody` may see nothing.
    fn near(&self, feed: &Path) -> PathBuf {
        if feed.starts_with(self.folder.path()) {
            return feed.to_owned();
        }
        let copy = self.path("near").join(feed.file_name().expect("has a name"));
        let (from, to) = (feed.display(), copy.parent().expect("has one").display());
        self.shell(&format!("rm -rf {to} && mkdir {to} && cp -rL {from} {to}/"));
        copy
    }

    /// Mounts a disk of 256 KiB in the folder; gone with the lab.
    pub(crate) fn small_disk(&self) -> Option<PathBuf> {
        let disk = self.path("disk");
        fs::create_dir(&disk).expect("made");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(&disk);
        let mounted = mount.status().expect("mount runs");
        if !mounted.success() {
            skip("mounting needs root");
            return None;
        }
        Some(disk)
    }

    /// Asks the sensor for a page; empty where it does not answer.
    pub(crate) fn get(&self, page: &str) -> String {
        let url = format!("http://127.0.0.1:9464{page}");
        let got = self.command("curl").args(["-s", "-m", "5", &url]).output().expect("curl runs");
        String::from_utf8_lossy(&got.stdout).into_owned()
    }

    /// Returns a metric's value; `series` with its labels.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let page = self.get("/metrics");
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or(f64::NAN)
    }

    /// Returns how many frames `tap0` has received.
    pub(crate) fn received(&self) -> f64 {
        let count = "/sys/class/net/tap0/statistics/rx_packets";
        let out = self.command("cat").arg(count).output().expect("cat runs");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.trim().parse().expect("a count")
    }

    /// Puts a folder in the alert file's place, so that it cannot be written.
    pub(crate) fn block_alerts(&self) {
        let path = self.path("alerts");
        // its sink may make it anew in between
        while fs::create_dir(&path).is_err() {
            let _not_there_yet = fs::remove_file(&path);
        }
    }

    /// Sends the demo's capture over and over, in the background.
    pub(crate) fn traffic(&self, loops: u32, pps: u32) -> Beside {
        let mut command = self.command("tcpreplay");
        command.args(["-q", "-i", "gen0", &format!("--loop={loops}"), &format!("--pps={pps}")]);
        let command = command.arg(capture()).stdout(Stdio::null()).stderr(Stdio::null());
        Beside(command.spawn().expect("tcpreplay runs"))
    }

    /// Returns the lines of the alert file.
    pub(crate) fn alerts(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("alerts")).unwrap_or_default();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let parse = |line: &str| serde_json::from_str(line).expect("a JSON object a line");
        text[..whole].lines().map(parse).collect()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ip(&self, arguments: &[&str]) {
        let done = Command::new("ip").args(["-n", &self.name]).args(arguments).output();
        let done = done.expect("ip runs");
        let why = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "ip {arguments:?}: {why}");
    }

    pub(crate) fn shell(&self, script: &str) {
        let done = self.command("sh").args(["-c", script]).output().expect("sh runs");
        assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.path("disk").exists() {
            let _stays_until_then =
                Command::new("umount").arg("-l").arg(self.path("disk")).output();
        }
        let _gone_with_the_machine = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

impl Sensor<'_> {
    /// Waits until something is so.
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&Lab) -> bool) {
        let started = Instant::now();
        while !is_so(self.lab) {
            let errors = fs::read_to_string(self.lab.path("errors")).unwrap_or_default();
            assert!(started.elapsed() < PATIENCE, "no {what}: {errors}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns its process; `ip netns exec` becomes the program that it runs.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("runs").id()
    }

    /// Returns what it has said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.lab.path("errors")).unwrap_or_default()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Ends it in order; returns how it ended.
    pub(crate) fn stop(self) -> Run {
        self.signal("-TERM");
        self.ended()
    }

    /// Waits for its end; returns how it ended.
    pub(crate) fn ended(mut self) -> Run {
        let ended = self.child.take().expect("runs").wait_with_output().expect("ends");
        let errors = fs::read_to_string(self.lab.path("errors")).unwrap_or_default();
        Run { stderr: errors, ..ran(&ended) }
    }

    /// Kills it at once.
    pub(crate) fn kill(mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("gone");
        }
    }
}

impl Drop for Sensor<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ended_already = child.kill();
            let _gone = child.wait();
        }
    }
}
