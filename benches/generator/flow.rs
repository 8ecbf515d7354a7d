//! A TCP connection as a script of turns, given out one frame at a time.
//!
//! Handshake, segments of at most a frame, an acknowledgement for every few of them, slow start, a
//! close; some flows lose, repeat, reorder or resegment one of their data segments, as real ones
//! do. Times are those of a tap near the client.

use std::collections::VecDeque;

use super::frame;
use super::frame::ACK;
use super::frame::FIN;
use super::frame::PSH;
use super::frame::RST;
use super::frame::Route;
use super::frame::SYN;
use super::frame::Segment;
use super::frame::Side;
use super::random::Random;

/// Bytes of one TLS record with its header: a full one.
const RECORD_BYTES: usize = 16_384 + 5;
/// The pools of payload are this long, and go on a little for the last segment.
const POOL_BYTES: usize = 256 << 10;
const POOL_TAIL_BYTES: usize = 2 << 10;

/// What one side says before the other answers.
pub(crate) struct Turn {
    pub(crate) side: Side,
    pub(crate) body: Body,
    /// Microseconds of thought before it.
    pub(crate) pause: u64,
    /// Where the first segment ends, if not where it is full.
    pub(crate) cut: Option<usize>,
}

/// The bytes of a turn.
pub(crate) enum Body {
    Bytes(Vec<u8>),
    /// Text as a web server sends it.
    Text(usize),
    /// TLS records of application data.
    Records(usize),
    /// No protocol that anyone knows.
    Noise(usize),
}

/// Payload that bulk bodies are cut from.
pub(crate) struct Pool {
    text: Vec<u8>,
    noise: Vec<u8>,
}

/// How a flow ends.
#[derive(Clone, Copy)]
enum Ending {
    Close,
    Reset,
    Open,
}

/// What goes wrong with one data segment.
#[derive(Clone, Copy)]
enum Mishap {
    Reordered,
    Repeated,
    Resegmented,
}

/// A connection under way.
pub(crate) struct Flow {
    route: Route,
    turns: Vec<Turn>,
    step: Step,
    next: [u32; 2],
    base: u32,
    turn: usize,
    offset: usize,
    held: VecDeque<(usize, usize)>,
    unacknowledged: u32,
    acknowledge_each: u32,
    sent: u32,
    window: [u32; 2],
    mishap: Option<(u32, Mishap)>,
    ending: Ending,
    rtt_us: u64,
    gap_us: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Syn,
    SynAck,
    Ack,
    Data,
    Fin,
    FinAck,
    LastAck,
    Over,
}

impl Turn {
    /// A turn of given bytes.
    pub(crate) fn new(side: Side, pause: u64, body: Vec<u8>) -> Self {
        Self { side, body: Body::Bytes(body), pause, cut: None }
    }

    /// A turn of bulk.
    pub(crate) fn bulk(side: Side, pause: u64, body: Body) -> Self {
        Self { side, body, pause, cut: None }
    }
}

impl Body {
    /// TLS records of `bytes` in all; the last is long enough to be one.
    pub(crate) fn records(bytes: usize) -> Self {
        let short = bytes % RECORD_BYTES < 32;
        Self::Records(if short { bytes + 32 } else { bytes })
    }

    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(n) | Self::Records(n) | Self::Noise(n) => *n,
        }
    }

    /// The bytes of a segment, in `scratch` where they have to be made.
    fn slice<'a>(
        &'a self,
        pool: &'a Pool,
        range: (usize, usize),
        scratch: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        let (from, size) = range;
        match self {
            Self::Bytes(bytes) => &bytes[from..from + size],
            Self::Text(_) => &pool.text[from % POOL_BYTES..][..size],
            Self::Noise(_) => &pool.noise[from % POOL_BYTES..][..size],
            Self::Records(total) => {
                scratch.clear();
                scratch.extend_from_slice(&pool.noise[from % POOL_BYTES..][..size]);
                let mut head = from / RECORD_BYTES * RECORD_BYTES;
                while head < from + size {
                    let content = (total - head).min(RECORD_BYTES).saturating_sub(5);
                    let header = [0x17, 3, 3, (content >> 8) as u8, content as u8];
                    for (at, byte) in (head..).zip(header) {
                        if (from..from + size).contains(&at) {
                            scratch[at - from] = byte;
                        }
                    }
                    head += RECORD_BYTES;
                }
                scratch
            }
        }
    }
}

impl Pool {
    /// Fills the pools.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::of(seed, 31, 0);
        let noise = random.bytes(POOL_BYTES + POOL_TAIL_BYTES);
        let words = [
            "<div class=\"card\">",
            "</div>\n",
            "lorem ",
            "ipsum ",
            "{\"id\":",
            "function(",
            "return ",
            "0.125,",
        ];
        let mut text = Vec::with_capacity(POOL_BYTES + POOL_TAIL_BYTES + 32);
        while text.len() < POOL_BYTES + POOL_TAIL_BYTES {
            text.extend_from_slice(random.pick(&words).as_bytes());
        }
        Self { text, noise }
    }
}

impl Flow {
    /// A connection that says `turns` and is over.
    pub(crate) fn new(random: &mut Random, route: Route, turns: Vec<Turn>) -> Self {
        let mishap = match random.below(100) {
            0..4 => Some(Mishap::Reordered),
            4..7 => Some(Mishap::Repeated),
            7..9 => Some(Mishap::Resegmented),
            _ => None,
        };
        let ending = match random.below(100) {
            0..70 => Ending::Close,
            70..94 => Ending::Reset,
            _ => Ending::Open,
        };
        Self {
            route,
            turns,
            step: Step::Syn,
            next: [random.draw() as u32, random.draw() as u32],
            base: 0,
            turn: 0,
            offset: 0,
            held: VecDeque::new(),
            unacknowledged: 0,
            acknowledge_each: random.within(3, 8) as u32,
            sent: 0,
            window: [0, 10],
            mishap: mishap.map(|what| (random.within(0, 6) as u32, what)),
            ending,
            rtt_us: random.within(300, 60_000),
            gap_us: random.within(12, 200),
        }
    }

    /// Builds the next frame at `now_us`; returns the microseconds until the one after it, `None`
    /// if there is none.
    pub(crate) fn step(&mut self, now_us: u64, pool: &Pool, out: &mut Vec<u8>) -> Option<u64> {
        match self.step {
            Step::Syn => self.control(now_us, (Side::Client, SYN, Step::SynAck), out),
            Step::SynAck => self.control(now_us, (Side::Server, SYN | ACK, Step::Ack), out),
            Step::Ack => {
                self.base = self.next[Side::Client as usize];
                self.step = if self.turns.is_empty() { self.after_data() } else { Step::Data };
                self.start_turn();
                self.bare(now_us, Side::Client, ACK, out);
                Some(
                    self.turns.first().map_or(self.rtt_us, |turn| turn.pause + self.way(turn.side)),
                )
            }
            Step::Data => return self.data(now_us, pool, out),
            Step::Fin => self.control(now_us, (Side::Client, FIN | ACK, Step::FinAck), out),
            Step::FinAck => self.control(now_us, (Side::Server, FIN | ACK, Step::LastAck), out),
            Step::LastAck => {
                let flags = if matches!(self.ending, Ending::Reset) { RST | ACK } else { ACK };
                self.bare(now_us, Side::Client, flags, out);
                self.step = Step::Over;
                None
            }
            Step::Over => None,
        }
        .filter(|_| self.step != Step::Over)
    }

    /// A segment that takes a sequence number: SYN or FIN.
    fn control(&mut self, now_us: u64, what: (Side, u8, Step), out: &mut Vec<u8>) -> Option<u64> {
        let (side, flags, then) = what;
        self.bare(now_us, side, flags, out);
        self.next[side as usize] = self.next[side as usize].wrapping_add(1);
        self.step = then;
        Some(if side == Side::Client { self.rtt_us } else { 40 })
    }

    fn bare(&self, now_us: u64, side: Side, flags: u8, out: &mut Vec<u8>) {
        frame::tcp(out, &self.route, side, self.head(now_us, side, flags), &[]);
    }

    fn head(&self, now_us: u64, side: Side, flags: u8) -> Segment {
        let ack = if flags & ACK == 0 { 0 } else { self.next[side.other() as usize] };
        Segment { seq: self.next[side as usize], ack, flags, clock: (now_us / 1_000) as u32 }
    }

    fn data(&mut self, now_us: u64, pool: &Pool, out: &mut Vec<u8>) -> Option<u64> {
        if self.unacknowledged >= self.acknowledge_each && self.held.is_empty() {
            return self.acknowledge(now_us, out);
        }
        let (from, size) = match self.held.pop_front() {
            Some(segment) => segment,
            None => self.cut_next(),
        };
        let side = self.turns[self.turn].side;
        let mut scratch = Vec::new();
        let turn = &self.turns[self.turn];
        let payload = turn.body.slice(pool, (from, size), &mut scratch);
        let last = from + size == turn.body.len();
        let flags = if last { PSH | ACK } else { ACK };
        let mut head = self.head(now_us, side, flags);
        head.seq = self.base.wrapping_add(from as u32);
        frame::tcp(out, &self.route, side, head, payload);
        self.next[side as usize] = self.base.wrapping_add(self.offset as u32);
        self.unacknowledged += 1;
        if self.held.is_empty() && self.offset == self.turns[self.turn].body.len() {
            return self.end_turn();
        }
        Some(self.pace())
    }

    /// Cuts the next segment off the turn; where the mishap strikes, others are held back to follow
    /// it.
    fn cut_next(&mut self) -> (usize, usize) {
        let first = self.cut();
        let strikes = self.mishap.is_some_and(|(at, _)| at == self.sent);
        self.sent += 1;
        let Some((_, mishap)) = self.mishap.filter(|_| strikes) else { return first };
        let total = self.turns[self.turn].body.len();
        match mishap {
            Mishap::Reordered if self.offset < total => {
                let second = self.cut();
                self.held.push_back(first);
                second
            }
            Mishap::Reordered => first,
            Mishap::Repeated => {
                self.held.push_back(first);
                first
            }
            Mishap::Resegmented => {
                let from = first.0 + first.1 / 2;
                let size = self.route.segment_bytes_max().min(total - from);
                self.offset = self.offset.max(from + size);
                self.held.push_back((from, size));
                first
            }
        }
    }

    fn cut(&mut self) -> (usize, usize) {
        let turn = &self.turns[self.turn];
        let from = self.offset;
        let limit = turn.cut.filter(|&at| at > from).map_or(usize::MAX, |at| at - from);
        let size = self.route.segment_bytes_max().min(turn.body.len() - from).min(limit);
        self.offset += size;
        (from, size)
    }

    fn acknowledge(&mut self, now_us: u64, out: &mut Vec<u8>) -> Option<u64> {
        // The turn may be over already: then the one that spoke is the turn before.
        let spoke = if self.offset == 0 && self.turn > 0 { self.turn - 1 } else { self.turn };
        let side = self.turns[spoke].side.other();
        self.bare(now_us, side, ACK, out);
        self.unacknowledged = 0;
        if self.turn == self.turns.len() {
            self.step = self.after_data();
            return if self.step == Step::Over { None } else { Some(self.rtt_us) };
        }
        if self.offset == 0 {
            let turn = &self.turns[self.turn];
            return Some(turn.pause + self.way(turn.side));
        }
        Some(self.gap_us)
    }

    /// Goes on to the next turn; a long one, and the last one, is acknowledged first.
    fn end_turn(&mut self) -> Option<u64> {
        let ended = self.turns[self.turn].side;
        self.turn += 1;
        self.window = [0, self.window[1]];
        let Some(next) = self.turns.get(self.turn) else {
            self.offset = 0;
            self.unacknowledged = self.acknowledge_each;
            return Some(self.rtt_us);
        };
        let (side, pause) = (next.side, next.pause);
        self.start_turn();
        if side != ended && self.unacknowledged < 3 && pause < 40_000 {
            self.unacknowledged = 0;
            return Some(pause + self.way(side));
        }
        self.unacknowledged = self.acknowledge_each;
        Some(40)
    }

    fn start_turn(&mut self) {
        if let Some(turn) = self.turns.get(self.turn) {
            self.base = self.next[turn.side as usize];
            self.offset = 0;
        }
    }

    /// Microseconds to the next segment of a turn: a window's worth, then a round trip.
    fn pace(&mut self) -> u64 {
        self.window[0] += 1;
        if self.window[0] < self.window[1] {
            return self.gap_us;
        }
        self.window = [0, (self.window[1] * 2).min(256)];
        self.rtt_us
    }

    fn way(&self, side: Side) -> u64 {
        if side == Side::Server { self.rtt_us } else { 30 }
    }

    fn after_data(&self) -> Step {
        match self.ending {
            Ending::Close => Step::Fin,
            Ending::Reset => Step::LastAck,
            Ending::Open => Step::Over,
        }
    }
}
