//! Every bound of the engine, with its reason. What happens at a bound is always counted.

/// Bytes of one captured frame that a source hands over; libpcap's own largest snap length.
/// A longer record is skipped and counted.
pub const FRAME_BYTES_MAX: u32 = 262_144;

/// Bytes of a block's memory: large reads into a reused buffer beat `mmap`; two of these fit a
/// second-level cache.
pub const BLOCK_BYTES: usize = 512 * 1024;
const _: () = assert!(BLOCK_BYTES >= 2 * 262_144);

/// Frames in one block: bounds the shards' packet lists when frames are tiny (512 KiB / 60 B is
/// about 8,700).
pub const BLOCK_FRAMES_MAX: usize = 8_192;

/// Bytes of a record that a source skips as oversized; a longer claim is damage, because no capture
/// program writes it (libpcap's largest snap length, that of D-Bus, is 128 MiB).
pub const OVERSIZED_BYTES_MAX: u32 = 128 * 1024 * 1024;

/// Bytes of one pcapng block that is read whole: the longest frame and 64 KiB for its options.
pub const BLOCK_RECORD_BYTES_MAX: u32 = FRAME_BYTES_MAX + 65_536;
const _: () = assert!(BLOCK_BYTES >= 262_144 + 65_536);

/// Interfaces of one pcapng section; a capture of more would only fill memory.
pub const INTERFACES_MAX: usize = 65_536;

/// Compressions around one capture: once, and once more by whoever archived it.
pub const COMPRESSION_DEPTH_MAX: usize = 2;

/// Bytes of a capture filter: what libpcap takes to compile it grows with their third power. A list
/// of ports of 2 KiB takes two seconds, of 4 KiB twenty, and each handle compiles it.
pub const FILTER_BYTES_MAX: usize = 2_048;

/// VLAN tags that tell flows apart; IEEE 802.1ad stacks two, three are seen in the wild.
pub const VLAN_TAGS_MAX: usize = 3;

/// Flows held by all workers together; at the bound the flow that was idle longest goes.
pub const FLOWS_MAX: u32 = 2_000_000;

/// Idle time after which an established TCP flow is over (contract §3).
pub const TCP_IDLE_SECS: u32 = 3_600;

/// Idle time after which any other flow is over (contract §3).
pub const OTHER_IDLE_SECS: u32 = 120;

/// Unread bytes kept for one side of one flow: one TLS record (RFC 8446 §5.1) and some, one HTTP
/// head. Certificate chains are the longest messages we join.
pub const SIDE_BYTES_MAX: usize = 64 * 1024;

/// Out-of-order segments kept for one side of one flow.
pub const SIDE_SEGMENTS_MAX: usize = 64;

/// Unread bytes kept by one worker for all its flows; at the bound the oldest stream's reading
/// ends.
pub const REASSEMBLY_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Bytes of one TLS handshake message kept while it is split over records and segments.
pub const TLS_MESSAGE_BYTES_MAX: usize = 64 * 1024;
const _: () = assert!(TLS_MESSAGE_BYTES_MAX <= SIDE_BYTES_MAX);

/// Bytes of one HTTP request head.
pub const HTTP_HEAD_BYTES_MAX: usize = 32 * 1024;
const _: () = assert!(HTTP_HEAD_BYTES_MAX <= SIDE_BYTES_MAX);

/// Header lines of one HTTP request head read by the strict parser; the lenient one reads all.
pub const HTTP_HEADERS_MAX: usize = 128;

/// Characters of an HTTP method; the longest registered one has 17.
pub const HTTP_METHOD_BYTES_MAX: usize = 32;

/// Bytes in which the version of an HTTP request line is looked for where the method alone does not
/// tell; RFC 9112 §3 asks all to support 8,000.
pub const HTTP_LINE_BYTES_MAX: usize = 8 * 1024;

/// Bytes kept of an HTTP header value that is folded over lines; folding is obsolete, and was for
/// short values.
pub const HTTP_FOLDED_BYTES_MAX: usize = 2 * 1024;

/// Certificates read of one chain.
pub const CERTIFICATES_MAX: usize = 16;

/// Octets of a domain name in text form without the final dot, every octet escaped as `\ddd` (RFC
/// 1035 §5.1): 255 × 4.
pub const NAME_TEXT_BYTES_MAX: usize = 1_020;

/// Pointers followed in one compressed DNS name (RFC 1035 §4.1.4 sets none; a name has at most 127
/// labels).
pub const DNS_POINTERS_MAX: usize = 128;

/// Resource records read of one DNS message; a 64 KiB message holds about 4,000 of the smallest
/// useful ones.
pub const DNS_RECORDS_MAX: usize = 4_096;

/// Observations of one packet or one reassembled stretch.
pub const NOTES_MAX: usize = 4_096;

/// Bytes of the observations of one packet or one reassembled stretch.
pub const NOTES_BYTES_MAX: usize = 256 * 1024;
const _: () = assert!(NOTES_BYTES_MAX < 1 << 31);

/// Bytes of an observed value; a longer one is not matched, and counted.
pub const VALUE_BYTES_MAX: usize = 32 * 1024;

/// Distinct values remembered for one flow, so that each is told once; the oldest are forgotten
/// first.
pub const FLOW_VALUES_MAX: usize = 1_024;

/// Seconds of packet time for which an alert waits for an earlier one: captures of several queues
/// or taps are out of order by milliseconds, buffers written late by a second or two; whoever
/// reads a live pipe waits as long.
pub const REORDER_SECS: u32 = 10;

/// Alerts that wait so at once; at the bound the earliest goes (about 2 KiB each: 128 MiB).
pub const ALERTS_HELD_MAX: usize = 65_536;

/// Hits that a sensor's worker keeps while the reporter is behind (about 300 bytes each with their
/// values: 5 MiB); at the bound the newest are refused.
pub const HITS_KEPT_MAX: usize = 16_384;

/// Batches in which it keeps them: two seconds of blocks.
pub const BATCHES_KEPT_MAX: usize = 256;

/// Observation lines that wait for an earlier one at once; at the bound the earliest goes (about
/// 500 bytes each: 128 MiB).
pub const SIGHTINGS_HELD_MAX: usize = 262_144;

/// Shortest IPv4 prefix of an indicator: no network holds more than a /8, and half the world is
/// none.
pub const PREFIX_V4_BITS_MIN: u8 = 8;

/// Shortest IPv6 prefix of an indicator: regions hold /12s, and hardly any network more than a /16.
pub const PREFIX_V6_BITS_MIN: u8 = 16;

/// Bytes of a URL after normalising, and of any other text an indicator looks for; fits 14 bits.
/// Servers take request lines of 8 KiB (RFC 9112 §3), some twice that. A longer one is not matched.
pub const URL_BYTES_MAX: usize = 16_383;
const _: () = assert!(URL_BYTES_MAX < 1 << 14);

/// Shortest part between two `*` that is looked for in user agents; a shorter one is in nearly all.
pub const SUBSTRING_BYTES_MIN: usize = 4;

/// Bytes of all user agents with `*` together: their automaton is the one part of a set that is
/// built when a compiled set is opened, at some 20 MB a second. A thousand have 60 KB.
pub const SUBSTRINGS_BYTES_MAX: usize = 1024 * 1024;

/// Indicators and places that one flow remembers to have alerted on; beyond them a repeated value
/// may alert again.
pub const FLOW_HITS_MAX: usize = 256;

/// Other values of the same message that an alert tells.
pub const RELATED_MAX: usize = 16;

/// Chunks of five told values for each flow that a worker may hold: most flows need one; at the
/// bound a value may be told twice (with `FLOWS_MAX` flows 256 MB in all).
pub const TOLD_CHUNKS_PER_FLOW: u32 = 4;

/// Cells of 64 bytes for each flow that a sensor's worker may hold, with values to match again:
/// a DNS question needs one, a TLS connection two; at the bound a value is matched with the set in
/// force only (with `FLOWS_MAX` flows 256 MB in all).
pub const SHOWN_CELLS_PER_FLOW: u32 = 2;

/// Flows of a worker whose hits are remembered, so that none is told twice; beyond, one may be.
pub const FLOWS_WITH_HITS_MAX: usize = 65_536;

/// Flows with hits beyond which only halves of pairs are remembered: so many that the other half is
/// still found where all else is told twice.
pub const FLOWS_WITH_REPEATS_MAX: usize = FLOWS_WITH_HITS_MAX / 2;

/// Bytes of one string of a JSON feed: an attached sample of 50 MiB, MISP's usual upload limit, in
/// base64. A longer one ends the file's reading.
pub const JSON_STRING_BYTES_MAX: usize = 80 * 1024 * 1024;

/// Levels of lists and objects of a JSON feed that is read as a stream, those of skipped fields
/// included: MISP's own answers have nine.
pub const JSON_LEVELS_MAX: usize = 4_096;

/// Bytes kept of one MISP object until it is whole, about 200,000 attributes; templates have tens.
/// A larger one ends the file's reading.
pub const JSON_OBJECT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Warninglists in use; the misp-warninglists repository has about 150.
pub const WARNINGLISTS_MAX: usize = 4_096;

/// Entries of one file of warninglists; the longest known, lists of popular names, have a million.
pub const WARNINGLIST_ENTRIES_MAX: usize = 4_000_000;

/// Bytes of one file of warninglists, unpacked: its longest known has 25 MB. It ends there, broken.
pub const WARNINGLIST_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of all substrings of one warninglist, whose automaton has some 20 times that.
pub const WARNINGLIST_SUBSTRING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes that the regular expressions of one warninglist compile to, and each of them alone.
pub const WARNINGLIST_REGEX_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of the tags of one event or attribute; galaxies give a hundred tags of a hundred bytes.
/// More end the file's reading.
pub const JSON_TAGS_BYTES_MAX: usize = 1024 * 1024;
