//! MISP's own description of its API, held by prism against what the client asks and what the
//! stand-in answers; and its examples, as the client reads them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use tapsieve::control::intel::misp::WARNINGLISTS;
use tapsieve::control::intel::misp::stored::BASE;

use super::agreement::sample;
use super::peers::node;
use super::peers::run_script;
use super::puller::Puller;
use super::stand::Fault;
use super::stand::KEY;
use super::stand::Rule;
use super::stand::Stand;
use super::stand::State;
use super::stand::free_port;
use crate::run::Beside;
use crate::run::corpus;

const ATTRIBUTES: &str = "/attributes/restSearch";

/// The UUID of the description's examples.
const EXAMPLE: &str = "c99506a6-1255-4b71-afa5-7b8ba48c3b1b";

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
  for (const name of ["deleted", "type", "category", "tags", "org", "object_name", "eventid"]) {
    if (!fields[name]) continue;
    const one = fields[name];
    // newer types than the description's are texts, too
    const items = name === "deleted" ? {} : name === "type" ? { type: "string" } : one;
    fields[name] = { anyOf: [one, { type: "array", items }] };
  }
  // what an index says of events it wants of whole ones, too, which have no such time
  // (`Event::fetchEvent` does not read it)
  const event = path === "/events/restSearch" && described.post.responses["200"]
    .content["application/json"].schema.properties.response.items.properties.Event;
  for (const part of event?.allOf ?? []) {
    part.required = part.required?.filter(name => name !== "sighting_timestamp");
    if (!part.required) delete part.required;
  }
  // PHP's methods have no case
  paths[path.replace("restsearch", "restSearch")] = described;
}
fs.writeFileSync(to, JSON.stringify({
  openapi: all.openapi, info: { title: "MISP", version: "2.4" }, security: all.security,
  components: { securitySchemes: all.components.securitySchemes }, paths,
}));
"#;

/// Prism, as it serves the description.
struct Prism {
    _process: Beside,
    port: u16,
    log: PathBuf,
}

impl Prism {
    /// Between the client and a stand-in: what breaks the description is no answer.
    fn before(puller: &Puller, stand: &Stand) -> Option<Self> {
        Self::new(puller, &["proxy", "--errors"], Some(stand))
    }

    /// In place of a server: answers with the description's examples.
    fn mocks(puller: &Puller) -> Option<Self> {
        Self::new(puller, &["mock"], None)
    }

    fn new(puller: &Puller, mode: &[&str], stand: Option<&Stand>) -> Option<Self> {
        let (modules, corpus) = (node()?, corpus()?);
        let from = corpus.join("misp/api/openapi.yaml");
        let (to, log) = (puller.path("description.json"), puller.path("prism.log"));
        let words = [&modules, &from, &to].map(|path| path.display().to_string());
        let words = [&["-e", MENDER, "--"], &words.each_ref().map(String::as_str)[..]].concat();
        run_script("node".as_ref(), &words);
        let port = free_port();
        let out = fs::File::create(&log).expect("made");
        let mut command = Command::new("node");
        command.arg(modules.join("@stoplight/prism-cli/dist/index.js")).args(mode);
        command.args(["-h", "127.0.0.1", "-p", &port.to_string()]).arg(&to);
        command.args(stand.map(Stand::url));
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

    /// How often it found that a question or an answer breaks the description.
    fn broken(&self) -> usize {
        self.said().lines().filter(|line| line.contains("terminated with error")).count()
    }

    /// What is answered to a question of a path, and its status.
    fn ask(&self, path: &str, json: Option<&str>) -> (String, String) {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-m", "10", "-w", "\n%{http_code}"]);
        curl.args(["-H", &format!("Authorization: {KEY}"), "-H", "Accept: application/json"]);
        if let Some(json) = json {
            curl.args(["-H", "Content-Type: application/json", "-d", json]);
        }
        let said = curl.arg(format!("{}{path}", self.url())).output().expect("curl runs");
        let said = String::from_utf8(said.stdout).expect("text");
        let (body, status) = said.rsplit_once('\n').expect("a status");
        (body.to_owned(), status.to_owned())
    }
}

#[test]
fn questions_and_answers_are_what_misp_describes() {
    let stand = Stand::new(sample());
    let puller = Puller::new(&stand);
    let Some(prism) = Prism::before(&puller, &stand) else { return };
    // it would say so: a page is a number, an identifier is a text
    let (_, status) = prism.ask(ATTRIBUTES, Some("{\"page\":\"first\"}"));
    assert_eq!(status, "422", "{}", prism.said());
    assert!(stand.asked().is_empty());
    for (path, wrong) in [
        (ATTRIBUTES, r#"{"response":{"Attribute":[{"id":7,"type":"url","value":"x"}]}}"#),
        ("/objects/restSearch", r#"{"response":[{"Object":{"id":7}}]}"#),
        ("/events/restSearch", r#"{"response":[{"Event":{"info":"no uuid"}}]}"#),
        ("/warninglists", r#"{"Warninglists":[{"Warninglist":{"enabled":"yes"}}]}"#),
    ] {
        stand.fail(Rule::on(path, Fault::Instead(wrong)).times(1));
        let question = path.ends_with("Search").then_some("{\"page\":1}");
        assert_eq!(prism.ask(path, question).1, "500", "{path}: {}", prism.said());
    }
    let direct = Puller::new(&stand);
    direct.pull_well(&stand, &[]);
    let before = prism.broken();
    for _full_then_delta in 0..2 {
        let more = ["--page", "10", "--warninglists"];
        let pulled = puller.pull(&prism.url(), &more, 60);
        assert_eq!(pulled.code, 0, "{}\n{}", pulled.stderr, prism.said());
    }
    assert_eq!(puller.attributes(), direct.attributes());
    assert_eq!(prism.broken(), before, "{}", prism.said());
}

/// A mock knows no pages: a stand-in that holds nothing gives each of its answers as a first one.
#[test]
fn the_examples_of_misps_description_are_read() {
    let stand = Stand::new(State::default());
    let puller = Puller::new(&stand);
    let Some(prism) = Prism::mocks(&puller) else { return };
    for (path, question) in [
        (ATTRIBUTES, Some("{}")),
        ("/objects/restSearch", Some("{}")),
        ("/events/restSearch", Some("{}")),
        ("/warninglists/view/3", None),
        ("/warninglists", None),
    ] {
        let (body, status) = prism.ask(path, question);
        assert_eq!(status, "200", "{path}: {body}");
        // a fault lives as long as the test
        stand.fail(Rule::on(path, Fault::Instead(body.leak())).page(1));
    }
    puller.pull_well(&stand, &["--all-types", "--warninglists"]);
    let lines = fs::read_to_string(puller.pulled().join(BASE)).expect("text");
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let lines = lines.collect::<Vec<_>>();
    // one UUID serves for all of its examples
    let of = |kind: &str| lines.iter().find(|line| line[kind] == EXAMPLE).expect("is there");
    let (event, attribute) = (of("e"), of("a"));
    assert_eq!(
        (&event["n"], &event["o"], &event["p"]),
        (&"logged source ip".into(), &"ORGNAME".into(), &false.into())
    );
    assert_eq!(
        (&attribute["y"], &attribute["v"], &attribute["c"]),
        (&"md5".into(), &"127.0.0.1".into(), &"logged source ip".into())
    );
    assert_eq!((&attribute["o"], &attribute["r"]), (&"ail-leak".into(), &"sensor".into()));
    // an object names its event by number alone, where MISP itself adds what it is
    assert_eq!((&attribute["n"], &event["i"]), (&12_345.into(), &12_345.into()));
    let lists = fs::read_dir(puller.pulled().join(WARNINGLISTS)).expect("a folder");
    let lists = lists.map(|list| list.expect("a file").file_name()).collect::<Vec<_>>();
    assert!(lists.contains(&"3-10.json".into()), "{lists:?}");
}
