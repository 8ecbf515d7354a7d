//! What both sides of a plain HTTP/1.1 connection say.
//!
//! Spec: RFC 9112 §3 (request line), §7.1 (chunked), §9.3 (persistence); RFC 9110

use super::flow::Body;
use super::flow::Turn;
use super::frame::Side;
use super::random::Random;
use super::tls::Length;

const AGENTS: [&str; 8] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/125.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/17.4 Safari/605.1.15",
    "curl/8.5.0",
    "python-requests/2.31.0",
    "Debian APT-HTTP/1.3 (2.6.1)",
    "Go-http-client/1.1",
    "Microsoft-CryptoAPI/10.0",
];
const FOLDERS: [&str; 10] = [
    "assets",
    "static/js",
    "images",
    "api/v1/items",
    "pool/main/l",
    "wp-content/themes",
    "feed",
    "dl",
    "msdownload",
    "i",
];
const ENDINGS: [&str; 8] = [".js", ".css", ".png", ".html", "", ".json", ".deb", ".php"];
const TYPES: [&str; 4] =
    ["text/html; charset=utf-8", "text/css", "application/octet-stream", "text/javascript"];

/// Answers below this go out in one piece, the head with the body.
const WHOLE_BYTES_MAX: usize = 8_000;

/// Which host is asked on a connection, and for what besides the usual.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    /// As in the Host header: with its port unless that is 80.
    pub(crate) host: String,
    /// A target that one of the requests has.
    pub(crate) planted: Option<String>,
}

impl Requests {
    /// The turns of the connection.
    pub(crate) fn script(&self, random: &mut Random, length: Length) -> Vec<Turn> {
        match length {
            Length::Brief => self.brief(random),
            Length::Bytes(bytes) => self.kept_alive(random, bytes),
        }
    }

    /// One request and an answer of a few bytes.
    fn brief(&self, random: &mut Random) -> Vec<Turn> {
        let target = self.planted.clone().unwrap_or_else(|| format!("/{}", random.hex(4)));
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        let answer = if random.percent(60) {
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
        } else {
            format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{}", random.hex(4))
        };
        vec![
            Turn::new(Side::Client, 100, request.into_bytes()),
            Turn::new(Side::Server, 900, answer.into_bytes()),
        ]
    }

    /// Several requests; a few of them pipelined; the planted one is any of them.
    fn kept_alive(&self, random: &mut Random, bytes: usize) -> Vec<Turn> {
        let agent = *random.pick(&AGENTS);
        let rounds = if bytes > 200_000 { 1 } else { *random.pick(&[1, 1, 1, 1, 2, 4]) };
        let planted_at = random.below(rounds);
        let mut turns: Vec<Turn> = Vec::new();
        let mut answers: Vec<Turn> = Vec::new();
        for round in 0..rounds {
            let planted = self.planted.as_deref().filter(|_| round == planted_at);
            let target = planted.map_or_else(|| target(random), str::to_owned);
            let request = self.request(random, &target, agent);
            let pause = if round == 0 { 150 } else { random.within(5_000, 3_000_000) };
            match turns.last_mut() {
                Some(Turn { side: Side::Client, body: Body::Bytes(earlier), .. }) => {
                    earlier.extend(request);
                }
                _ => turns.push(Turn::new(Side::Client, pause, request)),
            }
            answer(random, bytes / rounds, &mut answers);
            let pipelined = round + 1 < rounds && random.percent(5);
            if !pipelined {
                turns.append(&mut answers);
            }
        }
        if random.percent(6) {
            turns[0].cut = Some(random.within(2, 60) as usize);
        }
        turns
    }

    fn request(&self, random: &mut Random, target: &str, agent: &str) -> Vec<u8> {
        let post = random.percent(8);
        let method = if post { "POST" } else { "GET" };
        let mut text =
            format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {agent}\r\n", self.host);
        if agent.starts_with("Mozilla") {
            text.push_str("Accept: text/html,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n");
            text.push_str("Accept-Language: en-GB,en;q=0.7\r\nAccept-Encoding: gzip, deflate\r\n");
            text.push_str(&format!("Cookie: sid={}; theme=dark\r\n", random.hex(32)));
        } else {
            text.push_str("Accept: */*\r\n");
        }
        text.push_str("Connection: keep-alive\r\n");
        if post {
            let form = format!("token={}&q={}", random.hex(40), random.hex(6));
            text.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
            text.push_str(&format!("Content-Length: {}\r\n\r\n{form}", form.len()));
        } else {
            text.push_str("\r\n");
        }
        text.into_bytes()
    }
}

/// A path that the background asks for.
pub(crate) fn target(random: &mut Random) -> String {
    let mut text = format!("/{}/{}{}", random.pick(&FOLDERS), random.hex(8), random.pick(&ENDINGS));
    if random.percent(30) {
        text.push_str(&format!("?v={}&lang=en", random.hex(5)));
    }
    text
}

/// A response: its head and its body, whole or chunked.
fn answer(random: &mut Random, bytes: usize, turns: &mut Vec<Turn>) {
    let kind = random.pick(&TYPES);
    let mut head = String::from("HTTP/1.1 ");
    let empty = random.percent(7);
    head.push_str(if empty { "304 Not Modified\r\n" } else { "200 OK\r\n" });
    head.push_str("Server: nginx\r\nDate: Mon, 10 Jun 2024 06:13:20 GMT\r\n");
    if empty {
        head.push_str(&format!("ETag: \"{}\"\r\n\r\n", random.hex(16)));
        turns.push(Turn::new(Side::Server, 3_000, head.into_bytes()));
        return;
    }
    head.push_str(&format!(
        "Content-Type: {kind}\r\nETag: \"{}\"\r\nCache-Control: max-age=3600\r\n",
        random.hex(16)
    ));
    if bytes < 24_000 && random.percent(20) {
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        let mut whole = head.into_bytes();
        for part in random.bytes(bytes).chunks(4_000) {
            whole.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            whole.extend_from_slice(part);
            whole.extend_from_slice(b"\r\n");
        }
        whole.extend_from_slice(b"0\r\n\r\n");
        turns.push(Turn::new(Side::Server, 3_000, whole));
        return;
    }
    head.push_str(&format!("Content-Length: {bytes}\r\n\r\n"));
    if bytes < WHOLE_BYTES_MAX {
        let text = b"<li class=\"row\">0.125</li>\n".iter().cycle().take(bytes);
        turns.push(Turn::new(Side::Server, 3_000, head.bytes().chain(text.copied()).collect()));
        return;
    }
    turns.push(Turn::new(Side::Server, 3_000, head.into_bytes()));
    turns.push(Turn::bulk(Side::Server, 20, Body::Text(bytes)));
}
