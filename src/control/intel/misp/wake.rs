//! MISP's publisher (ZeroMQ) as a wake-up: that something has changed is all that is taken from it;
//! what has is asked of the server, which knows who may see it.
//!
//! Spec:   ZMTP 3.0 (RFC 23/ZMTP): greeting, NULL mechanism, SUB; MISP's topics `misp_json…`
//! Reads:  frames; of each the first bytes
//! Yields: whether the server's indicators may have changed
//! Bounds: `SILENCE`, `FRAME_BYTES_MAX`; no frame is held. The crates that speak ZeroMQ hold whole
//!         messages of any announced length, and bring a second runtime
//! Leaves: what messages say; CURVE, which MISP's publisher does not have

use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::time::Duration;

/// Begins all of MISP's topics.
const TOPIC: &[u8] = b"misp_json";

/// Topics of what changes no indicator.
const IDLE: [&[u8]; 8] = [
    b"misp_json_self",
    b"misp_json_audit",
    b"misp_json_user",
    b"misp_json_organisation",
    b"misp_json_conversation",
    b"misp_json_workflow",
    b"misp_json_sighting",
    b"misp_json_warninglist",
];

/// Time for a connection and for the greeting.
const CONNECT: Duration = Duration::from_secs(10);

/// Silence after which a connection is made anew: MISP's publisher says every few seconds that it
/// lives.
const SILENCE: Duration = Duration::from_secs(300);

/// Bytes of a frame: an event with attachments has tens of MB.
const FRAME_BYTES_MAX: u64 = 1 << 30;

/// First bytes of a frame that are looked at.
const HEAD_BYTES: u64 = 64;

/// Flags of a frame.
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// A connection to a publisher.
#[derive(Debug)]
pub struct Publisher {
    stream: BufReader<TcpStream>,
}

impl Publisher {
    /// Connects to `host:port` and subscribes.
    ///
    /// # Errors
    /// Nobody listens, or it speaks no ZMTP 3.
    pub fn connect(address: &str) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => return Self::greet(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn greet(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(CONNECT))?;
        stream.set_write_timeout(Some(CONNECT))?;
        let mut publisher = Self { stream: BufReader::new(stream) };
        publisher.send(&greeting())?;
        let mut theirs = [0; 64];
        publisher.stream.read_exact(&mut theirs)?;
        let wrong = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        match theirs {
            [0xff, _, _, _, _, _, _, _, _, 0x7f, version, _, rest @ ..] if version >= 3 => {
                if !rest.starts_with(b"NULL\0") {
                    return wrong("it wants a security mechanism, which MISP's does not have");
                }
            }
            _ => return wrong("no publisher of ZeroMQ (ZMTP 3)"),
        }
        publisher.send(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB")?;
        let mut head = Vec::new();
        let flags = publisher.frame(&mut head)?;
        if flags & COMMAND == 0 || !head.starts_with(b"\x05READY") {
            return wrong("it does not say that it is ready");
        }
        let length = u8::try_from(TOPIC.len() + 1).unwrap_or(u8::MAX);
        publisher.send(&[&[0, length, 1], TOPIC].concat())?;
        publisher.stream.get_ref().set_read_timeout(Some(SILENCE))?;
        Ok(publisher)
    }

    /// Waits for the next message; tells whether it is of something that may match.
    ///
    /// # Errors
    /// The connection is over, or silent for too long.
    pub fn hear(&mut self) -> io::Result<bool> {
        let mut head = Vec::new();
        let flags = self.frame(&mut head)?;
        if flags & COMMAND != 0 {
            // a publisher that asks whether we live: ZMTP 3.1's PING, a TTL and what to give back
            if let Some(context) = head.strip_prefix(b"\x04PING").and_then(|rest| rest.get(2..)) {
                let length = u8::try_from(context.len() + 5).unwrap_or(u8::MAX);
                self.send(&[&[COMMAND, length], b"\x04PONG".as_slice(), context].concat())?;
            }
            return Ok(false);
        }
        let topic = head.split(|byte| *byte == b' ').next().unwrap_or_default();
        Ok(topic.starts_with(TOPIC) && !IDLE.contains(&topic))
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads a frame; keeps its first bytes and returns its flags.
    fn frame(&mut self, head: &mut Vec<u8>) -> io::Result<u8> {
        let [flags] = self.array()?;
        let length = if flags & LONG == 0 {
            let [length] = self.array()?;
            u64::from(length)
        } else {
            u64::from_be_bytes(self.array()?)
        };
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame of over 1 GiB"));
        }
        let mut body = self.stream.by_ref().take(length);
        body.by_ref().take(HEAD_BYTES).read_to_end(head)?;
        let rest = length.saturating_sub(head.len() as u64);
        match io::copy(&mut body, &mut io::sink())? == rest && head.len() as u64 <= length {
            true => Ok(flags),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).map(|()| bytes)
    }
}

/// Ours: signature, version 3.0, NULL, no server.
fn greeting() -> [u8; 64] {
    let mut greeting = [0; 64];
    let begins = *b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL";
    greeting.iter_mut().zip(begins).for_each(|(to, from)| *to = from);
    greeting
}

/// Reads where a publisher is: `tcp://host:port`.
///
/// # Errors
/// It is none.
pub fn address(text: &str) -> Result<String, String> {
    let wanted = || "tcp://HOST:PORT is wanted, as \"tcp://misp.example:50000\"".to_owned();
    let address = text.strip_prefix("tcp://").ok_or_else(wanted)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(wanted)?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_host = !host.is_empty() && !host.contains(['/', '*']);
    if is_port && is_host { Ok(address.to_owned()) } else { Err(wanted()) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A publisher that sends these bytes after READY; what each message is told as.
    fn check(sent: Vec<u8>, told: &[bool]) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("has one").to_string();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.write_all(&greeting()).expect("written");
            let mut theirs = [0; 64 + 27];
            stream.read_exact(&mut theirs).expect("greeted");
            assert!(theirs.ends_with(b"SUB"), "{theirs:?}");
            stream.write_all(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB").expect("sent");
            let mut subscription = [0; 12];
            stream.read_exact(&mut subscription).expect("subscribed");
            assert_eq!(subscription, *b"\x00\x0a\x01misp_json");
            stream.write_all(&sent).expect("sent");
        });
        let mut publisher = Publisher::connect(&address).expect("connected");
        let got = std::iter::from_fn(|| publisher.hear().ok()).collect::<Vec<_>>();
        assert_eq!(got, told);
        thread.join().expect("no panic");
    }

    fn frame(text: &str) -> Vec<u8> {
        let bytes = text.as_bytes();
        match u8::try_from(bytes.len()) {
            Ok(length) => [&[0, length], bytes].concat(),
            Err(_) => [&[LONG], (bytes.len() as u64).to_be_bytes().as_slice(), bytes].concat(),
        }
    }

    #[test]
    fn what_may_match_wakes_and_signs_of_life_do_not() {
        let long = format!("misp_json {}", "x".repeat(100_000));
        let messages = ["misp_json_self {}", "misp_json_attribute {}", &long, "misp_json_audit {}"];
        let sent = messages.map(frame).concat();
        check(sent, &[false, true, true, false]);
    }

    #[test]
    fn a_frame_that_ends_early_or_never_ends_the_connection() {
        check(frame("misp_json_event {}")[..9].to_vec(), &[]);
        check([&[LONG], u64::MAX.to_be_bytes().as_slice()].concat(), &[]);
    }

    #[test]
    fn what_speaks_something_else_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("has one").to_string();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.read_exact(&mut [0; 64]).expect("greeted");
            stream.write_all(&[b'x'; 64]).expect("written");
        });
        let error = Publisher::connect(&address).expect_err("no publisher");
        assert!(error.to_string().starts_with("no publisher of ZeroMQ"), "{error}");
        thread.join().expect("no panic");
    }

    #[test]
    fn addresses_have_host_and_port() {
        assert_eq!(address("tcp://misp.example:50000"), Ok("misp.example:50000".to_owned()));
        assert_eq!(address("tcp://[::1]:5"), Ok("[::1]:5".to_owned()));
        for wrong in ["misp.example:50000", "tcp://misp.example", "tcp://*:50000", "tcp://h:0"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
