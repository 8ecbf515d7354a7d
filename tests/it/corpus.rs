//! Against the world: what independent tools saw in others' captures, where that corpus lies beside
//! the repository.

use std::process::Command;

use crate::run::corpus;
use crate::run::has_program;
use crate::run::root;
use crate::run::skip;

const KINDS: &str =
    "dns_query,dns_answer,tls_sni,ja3,ja3s,ja4,cert_sha1,http_host,http_url,http_user_agent";

#[test]
fn facts_of_the_corpus_are_found() {
    compare("facts", &["--plain", "--kinds", KINDS, "--need", "0.97"]);
}

#[test]
fn hits_of_the_corpus_are_found() {
    // what tunnels, QUIC and SSH hide is left out until those are read
    compare("hits", &["--files", "foxio-ja4/tls12.pcap,ndpi/443-*,zeek/http/*,zeek/dns/*"]);
}

fn compare(tool: &str, arguments: &[&str]) {
    let Some(corpus) = corpus() else { return };
    let tool = root().join("../shared/tools").join(tool);
    if !tool.is_file() || !has_program("python3") {
        return skip("the corpus's tools are not there");
    }
    let mut command = Command::new("python3");
    command.arg(tool).args(["--bin", env!("CARGO_BIN_EXE_tapsieve"), "--corpus"]).arg(corpus);
    let output = command.args(arguments).output().expect("python3 starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
