//! MISP's own description of its API, held by prism against what the client asks.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use super::agreement::sample;
use super::peers::node;
use super::peers::run_script;
use super::puller::Puller;
use super::stand::KEY;
use super::stand::Stand;
use crate::run::Beside;
use crate::run::corpus;

/// Writes those paths of the description that a client of indicators needs, mended where it
/// contradicts itself or MISP, each for its reason.
const MENDER: &str = r#"
const fs = require("fs");
const [modules, from, to] = process.argv.slice(-3);
const all = require(modules + "/@stoplight/yaml").parse(fs.readFileSync(from, "utf8"));
const at = ref => ref.slice(2).split("/").reduce((one, key) => one[key], all);
// references to a schema that several paths share keep prism from looking at a body at all
const whole = (one, depth) => {
  if (Array.isArray(one)) return one.map(inner => whole(inner, depth));
  if (one === null || typeof one !== "object") return one;
  if (one.$ref) return depth > 12 ? {} : whole(at(one.$ref), depth + 1);
  const mended = Object.fromEntries(Object.entries(one).map(([k, v]) => [k, whole(v, depth)]));
  // so do a `nullable` without a type, and an enumeration that names something twice
  if (mended.nullable === true && !mended.type) delete mended.nullable;
  if (Array.isArray(mended.enum)) mended.enum = [...new Set(mended.enum)];
  return mended;
};
const kept = ["/attributes/restSearch", "/events/restSearch", "/objects/restsearch",
  "/warninglists", "/warninglists/view/{warninglistId}", "/servers/getVersion"];
const paths = {};
for (const path of kept) {
  const described = whole(all.paths[path], 0);
  const body = described.post?.requestBody?.content["application/json"];
  const fields = body?.schema?.properties ?? {};
  // lists are what its texts and examples say of `deleted`, and what MISP takes for the others
  for (const name of ["deleted", "type", "category", "tags", "org", "object_name"]) {
    if (!fields[name]) continue;
    const one = fields[name];
    // newer types than the description's are texts, too
    const items = name === "deleted" ? {} : name === "type" ? { type: "string" } : one;
    fields[name] = { anyOf: [one, { type: "array", items }] };
  }
  // the stand-in's answers are held against PyMISP instead
  for (const method of Object.values(described)) {
    for (const answer of Object.values(method.responses ?? {})) delete answer.content;
  }
  // PHP's methods have no case
  paths[path.replace("restsearch", "restSearch")] = described;
}
fs.writeFileSync(to, JSON.stringify({
  openapi: all.openapi, info: { title: "MISP", version: "2.4" }, security: all.security,
  components: { securitySchemes: all.components.securitySchemes }, paths,
}));
"#;

/// Prism between the client and a stand-in: what breaks the description is no answer.
struct Prism {
    _process: Beside,
    port: u16,
    log: PathBuf,
}

impl Prism {
    fn new(puller: &Puller, stand: &Stand) -> Option<Self> {
        let (modules, corpus) = (node()?, corpus()?);
        let from = corpus.join("misp/api/openapi.yaml");
        let (to, log) = (puller.path("description.json"), puller.path("prism.log"));
        let words = [&modules, &from, &to].map(|path| path.display().to_string());
        let words = [&["-e", MENDER, "--"], &words.each_ref().map(String::as_str)[..]].concat();
        run_script("node".as_ref(), &words);
        let port = free_port();
        let out = fs::File::create(&log).expect("made");
        let mut command = Command::new("node");
        command.arg(modules.join("@stoplight/prism-cli/dist/index.js"));
        command.args(["proxy", "--errors", "-h", "127.0.0.1", "-p", &port.to_string()]);
        command.arg(&to).arg(stand.url());
        command.env("NODE_EXTRA_CA_CERTS", puller.path("ca.pem")).stdin(Stdio::null());
        command.stdout(out.try_clone().expect("a file")).stderr(out);
        let prism = Self { _process: Beside(command.spawn().expect("starts")), port, log };
        prism.wait();
        Some(prism)
    }

    fn wait(&self) {
        let started = Instant::now();
        while !self.said().contains("Prism is listening") {
            assert!(started.elapsed() < Duration::from_secs(60), "{}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn what_the_client_asks_is_what_misp_describes() {
    let stand = Stand::new(sample());
    let puller = Puller::new(&stand);
    let Some(prism) = Prism::new(&puller, &stand) else { return };
    // it would say so: a page is a number
    let wrong = Command::new("curl")
        .args(["-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}"])
        .args(["-H", &format!("Authorization: {KEY}"), "-H", "Content-Type: application/json"])
        .args(["-d", "{\"page\":\"first\"}", &format!("{}/attributes/restSearch", prism.url())])
        .output()
        .expect("curl runs");
    assert_eq!(String::from_utf8_lossy(&wrong.stdout), "422", "{}", prism.said());
    assert!(stand.asked().is_empty());
    let direct = Puller::new(&stand);
    direct.pull_well(&stand, &[]);
    for _full_then_delta in 0..2 {
        let pulled = puller.pull(&prism.url(), &["--page", "10"], 60);
        assert_eq!(pulled.code, 0, "{}\n{}", pulled.stderr, prism.said());
    }
    assert_eq!(puller.attributes(), direct.attributes());
    let broken = prism.said().lines().filter(|line| line.contains("terminated with error")).count();
    assert_eq!(broken, 1, "{}", prism.said());
}
