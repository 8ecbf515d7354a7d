//! HTTP/1 requests of either side: every one of a kept-alive and pipelined connection.
//!
//! Spec:   RFC 9112 §2.1, §2.2, §6, §7.1, §9.3; RFC 9110 §9.3.6 (CONNECT); RFC 1945 §4.1 (HTTP/0.9)
//! Reads:  heads of requests whole; bodies are skipped unseen by their length or chunk by chunk
//! Yields: `http.host`, `http.url`, `http.user_agent`
//! Bounds: `limits::HTTP_HEAD_BYTES_MAX`: of a longer head its beginning is told, then the side
//!         ends
//! Leaves: responses (but those that open a tunnel), bodies, HTTP/2, RTSP, SIP, SSDP

mod head;
mod start;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::flow::Side;
use crate::model::limits::HTTP_HEAD_BYTES_MAX;
use crate::model::observation::Seen;
use crate::model::step::Step;
use crate::model::step::Verdict;
use crate::pipeline::dissect::Dissect;
use crate::pipeline::dissect::Guess;
use crate::pipeline::dissect::http::head::Body;
use crate::pipeline::dissect::http::head::Request;
use crate::pipeline::dissect::http::head::Response;
use crate::pipeline::dissect::http::start::Start;

/// Both sides of an HTTP/1 connection.
#[derive(Debug, Default)]
pub struct Http {
    orig: Reader,
    resp: Reader,
    tunnel: Tunnel,
}

const _: () = assert!(size_of::<Http>() <= 64);

/// Whether a CONNECT makes a tunnel of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Tunnel {
    /// None was asked for: responses are not read.
    #[default]
    Never,
    /// The latest request asks for one.
    Asked,
    /// One was asked for and refused, or another request followed.
    Refused,
}

/// What one side is in the middle of.
#[derive(Debug, Default)]
struct Reader {
    phase: Phase,
    /// Bytes of the head that hold no line end but the ones seen.
    scanned: u32,
    /// Where the head's last line begins.
    line_at: u32,
    /// Whether a request was read.
    asks: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Phase {
    #[default]
    Head,
    ChunkSize,
    Trailer,
}

/// What one look at the unread bytes of a side led to.
enum Turn {
    /// So many bytes are read or to be skipped, perhaps more than there are.
    Read(u64),
    /// More bytes are needed.
    Wait,
    /// After so many bytes it is over.
    End(u64, Verdict),
}

impl Dissect for Http {
    fn probe(bytes: &[u8]) -> Guess {
        match Start::of(bytes.trim_ascii_start()) {
            Start::Request | Start::Response => Guess::Yes,
            Start::Unknown => Guess::Maybe,
            Start::Foreign => Guess::No,
        }
    }

    fn feed(&mut self, side: Side, bytes: &[u8], seen: &mut impl Seen) -> Step {
        let mut consumed = 0_u64;
        loop {
            let unread = usize::try_from(consumed).ok().and_then(|at| bytes.get(at..));
            let Some(unread) = unread.filter(|unread| !unread.is_empty()) else {
                return Step { consumed, verdict: Verdict::More };
            };
            match self.turn(side, unread, seen) {
                Turn::Read(n) => consumed = consumed.saturating_add(n),
                Turn::Wait => return Step { consumed, verdict: Verdict::More },
                Turn::End(n, verdict) => {
                    return Step { consumed: consumed.saturating_add(n), verdict };
                }
            }
        }
    }
}

impl Http {
    fn turn(&mut self, side: Side, unread: &[u8], seen: &mut impl Seen) -> Turn {
        let reader = match side {
            Side::Orig => &mut self.orig,
            Side::Resp => &mut self.resp,
        };
        match reader.phase {
            Phase::ChunkSize => return reader.chunk(unread),
            Phase::Trailer => return reader.trailer(unread),
            Phase::Head => {}
        }
        let blank = unread.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if blank > 0 {
            return Turn::Read(wide(blank));
        }
        match Start::of(unread) {
            Start::Request => reader.request(&mut self.tunnel, unread, seen),
            Start::Response if self.tunnel != Tunnel::Never => {
                reader.response(&mut self.tunnel, unread)
            }
            Start::Unknown if unread.len() < HTTP_HEAD_BYTES_MAX => Turn::Wait,
            // the answer may have been lost: what is in the tunnel is there
            Start::Foreign if self.tunnel == Tunnel::Asked && reader.asks => {
                Turn::End(0, Verdict::Another)
            }
            _ if reader.asks => Turn::End(0, Verdict::Alien),
            _ => Turn::End(0, Verdict::SideDone),
        }
    }
}

impl Reader {
    fn request(&mut self, tunnel: &mut Tunnel, unread: &[u8], seen: &mut impl Seen) -> Turn {
        let Some(end) = self.head_end(unread) else {
            let Some(cut) = unread.get(..HTTP_HEAD_BYTES_MAX) else { return Turn::Wait };
            if let Some(request) = Request::parse(cut) {
                request.tell(seen);
            }
            seen.cut();
            return Turn::End(0, Verdict::SideDone);
        };
        let head = unread.get(..end).unwrap_or(unread);
        let Some(request) = Request::parse(head) else { return Turn::End(0, Verdict::Alien) };
        self.asks = true;
        request.tell(seen);
        if request.is_connect() {
            *tunnel = Tunnel::Asked;
            return Turn::Read(wide(end));
        }
        if *tunnel == Tunnel::Asked {
            *tunnel = Tunnel::Refused;
        }
        self.skip(end, request.body())
    }

    fn response(&mut self, tunnel: &mut Tunnel, unread: &[u8]) -> Turn {
        let Some(end) = self.head_end(unread) else {
            let too_long = unread.len() >= HTTP_HEAD_BYTES_MAX;
            return if too_long { Turn::End(0, Verdict::SideDone) } else { Turn::Wait };
        };
        let response = Response::parse(unread.get(..end).unwrap_or(unread));
        match (*tunnel, response.status) {
            (_, 100..=199) => Turn::Read(wide(end)),
            (Tunnel::Asked, 200..=299) => Turn::End(wide(end), Verdict::Another),
            (_, 204 | 304) => Turn::Read(wide(end)),
            _ => {
                *tunnel = Tunnel::Refused;
                self.skip(end, response.body)
            }
        }
    }

    fn skip(&mut self, head_bytes: usize, body: Body) -> Turn {
        let length = match body {
            Body::Bytes(length) => length,
            Body::Chunked => {
                self.phase = Phase::ChunkSize;
                0
            }
        };
        Turn::Read(wide(head_bytes).saturating_add(length))
    }

    /// Reads a chunk's size and skips the chunk; the line end behind it is an empty line before the
    /// next size.
    fn chunk(&mut self, unread: &[u8]) -> Turn {
        let Some(line) = self.line(unread) else { return wait_for_line(unread) };
        let bytes = wide(line.len());
        let text = line.trim_ascii();
        if text.is_empty() {
            return Turn::Read(bytes);
        }
        match chunk_size(text) {
            None => Turn::End(0, Verdict::Alien),
            Some(0) => {
                self.phase = Phase::Trailer;
                Turn::Read(bytes)
            }
            Some(size) => Turn::Read(bytes.saturating_add(size)),
        }
    }

    fn trailer(&mut self, unread: &[u8]) -> Turn {
        let Some(line) = self.line(unread) else { return wait_for_line(unread) };
        if line.trim_ascii().is_empty() {
            self.phase = Phase::Head;
        }
        Turn::Read(wide(line.len()))
    }

    /// Returns the first line with its end; looks at each byte once, however they come.
    fn line<'a>(&mut self, unread: &'a [u8]) -> Option<&'a [u8]> {
        let end = self.next_line_end(unread)?;
        self.scanned = 0;
        unread.get(..end)
    }

    /// Returns where the head ends: behind its first empty line; looks at each byte once, however
    /// they come.
    fn head_end(&mut self, unread: &[u8]) -> Option<usize> {
        let shown = unread.get(..HTTP_HEAD_BYTES_MAX).unwrap_or(unread);
        while let Some(end) = self.next_line_end(shown) {
            let line = shown.get(index(self.line_at)..end).unwrap_or_default();
            if matches!(line, b"\n" | b"\r\n") {
                self.scanned = 0;
                self.line_at = 0;
                return Some(end);
            }
            self.line_at = narrow(end);
        }
        None
    }

    fn next_line_end(&mut self, unread: &[u8]) -> Option<usize> {
        let scanned = index(self.scanned);
        let new = unread.get(scanned..)?;
        let found = memchr::memchr(b'\n', new);
        let end = found.map_or(unread.len(), |at| scanned.saturating_add(at).saturating_add(1));
        self.scanned = narrow(end);
        found.map(|_| end)
    }
}

fn wait_for_line(unread: &[u8]) -> Turn {
    let too_long = unread.len() >= HTTP_HEAD_BYTES_MAX;
    if too_long { Turn::End(0, Verdict::Alien) } else { Turn::Wait }
}

/// Reads the size in hexadecimal digits, RFC 9112 §7.1; extensions and blanks may follow.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at_checked(digits)?;
    if !matches!(rest.first(), None | Some(b';' | b' ' | b'\t')) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Reads any bytes as both sides of a connection; they tell the same however they are cut.
#[cfg(any(test, fuzzing))]
pub fn fuzz(data: &[u8]) {
    use crate::pipeline::dissect::drive::however_cut;
    however_cut::<Http>(&[(Side::Orig, data)]);
    let (head, tail) = data.split_at(data.len() / 2);
    however_cut::<Http>(&[(Side::Orig, head), (Side::Resp, tail), (Side::Orig, tail)]);
}

#[cfg(test)]
mod tests;
