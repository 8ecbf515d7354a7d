//! Servers behind a proxy: named by an option, by the environment, or gone past.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::puller::Puller;
use super::stand::Stand;
use super::stand::State;
use crate::run::tapsieve;

/// A proxy that tunnels (RFC 9110 §9.3.6), until the process ends.
struct Proxy {
    url: String,
    tunnels: Arc<AtomicUsize>,
}

impl Proxy {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let url = format!("http://{}", listener.local_addr().expect("has one"));
        let tunnels = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tunnels);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || tunnel(client.expect("a client"), &counted));
            }
        });
        Self { url, tunnels }
    }

    /// How many tunnels were opened since the last look.
    fn taken(&self) -> usize {
        self.tunnels.swap(0, Ordering::Relaxed)
    }
}

fn tunnel(mut client: TcpStream, counted: &AtomicUsize) {
    let mut lines = BufReader::new(client.try_clone().expect("a handle"));
    let mut first = String::new();
    lines.read_line(&mut first).expect("a request");
    let to = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let mut server = TcpStream::connect(to.expect("a tunnel")).expect("a server");
    let mut line = String::new();
    while lines.read_line(&mut line).expect("a header") > 2 {
        line.clear();
    }
    counted.fetch_add(1, Ordering::Relaxed);
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("written");
    let (mut to_client, mut from_server) =
        (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
    std::thread::spawn(move || {
        let _over = std::io::copy(&mut from_server, &mut to_client);
        let _gone = to_client.shutdown(Shutdown::Both);
    });
    let _over = std::io::copy(&mut lines, &mut server);
    let _gone = server.shutdown(Shutdown::Both);
}

#[test]
fn a_server_is_reached_through_the_proxy_that_is_asked_for() {
    let mut state = State::default();
    let event = state.event("Proxied", &[]);
    state.attribute(event, "domain", "evil.example");
    let stand = Stand::new(state);
    let (named, of_environment) = (Proxy::new(), Proxy::new());
    for (option, by_name, by_environment) in
        [(Some(named.url.as_str()), true, false), (None, false, true), (Some(""), false, false)]
    {
        let puller = Puller::new(&stand);
        let mut command = tapsieve(&puller.path(""));
        command.args(["intel", "pull", "--misp", &stand.url(), "--key-file", "key"]);
        command.args(["--ca-file", "ca.pem", "--to", "pulled"]);
        command.args(option.iter().flat_map(|url| ["--proxy", *url]));
        command.env("HTTPS_PROXY", &of_environment.url);
        let pulled = puller.bounded(&mut command, Duration::from_secs(60));
        assert_eq!(pulled.code, 0, "{}", pulled.stderr);
        assert_eq!(puller.attributes().len(), 1);
        let taken = [named.taken() > 0, of_environment.taken() > 0];
        assert_eq!(taken, [by_name, by_environment], "{option:?}");
    }
}
