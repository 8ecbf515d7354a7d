//! Tests of DNS: tables of messages, cuts, and `simple-dns` as the oracle.

use proptest::prelude::*;
use simple_dns::CLASS;
use simple_dns::Name;
use simple_dns::Packet;
use simple_dns::PacketFlag;
use simple_dns::QCLASS;
use simple_dns::QTYPE;
use simple_dns::Question;
use simple_dns::ResourceRecord;
use simple_dns::TYPE;
use simple_dns::rdata;
use simple_dns::rdata::RData;

use super::*;
use crate::model::domain::Domain;
use crate::model::limits::DNS_RECORDS_MAX;
use crate::model::observation::Notes;
use crate::pipeline::dissect::drive::drive;
use crate::pipeline::dissect::drive::however_cut;
use crate::pipeline::dissect::drive::line;

const QUERY: u16 = 0x0100;
const RESPONSE: u16 = 0x8180;
const DNS_PORTS: [u16; 2] = [40_000, 53];
const OTHER_PORTS: [u16; 2] = [40_000, 8053];

fn message(flags: u16, counts: [u16; 4], body: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![0x12, 0x34];
    message.extend(flags.to_be_bytes());
    counts.iter().for_each(|count| message.extend(count.to_be_bytes()));
    message.extend(body.concat());
    message
}

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 60]);
    record.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
    record.extend(data);
    record
}

fn lines(bytes: &[u8], ports: [u16; 2]) -> (Datagram, Vec<String>) {
    let mut notes = Notes::new();
    let verdict = datagram(bytes, ports, &mut notes);
    (verdict, notes.iter().map(|observation| line(&observation)).collect())
}

/// On any port a sound message; the same in a stream however cut; every prefix survived.
fn check(message: &[u8], expected: &[&str]) {
    assert_eq!(lines(message, DNS_PORTS), (Datagram::Whole, own(expected)));
    assert_eq!(lines(message, OTHER_PORTS), (Datagram::Whole, own(expected)));
    for cut in 0..message.len() {
        let (_, seen) = lines(&message[..cut], DNS_PORTS);
        assert!(own(expected).starts_with(&seen), "cut at {cut}: {seen:?}");
        assert_eq!(lines(&message[..cut], OTHER_PORTS), (Datagram::Alien, Vec::new()), "cut {cut}");
    }
    let stream = stream(&[message, message]);
    assert_eq!(Dns::probe(&stream), Guess::Yes);
    let drive = however_cut::<Dns>(&[(Side::Resp, &stream)]);
    assert_eq!((drive.lines, drive.ended), (own(&[expected, expected].concat()), [None; 2]));
    let first = (0..stream.len()).map(|cut| Dns::probe(&stream[..cut]));
    assert!(!first.into_iter().any(|guess| guess == Guess::No));
}

/// Where DNS lives, a damaged message shows what is before the damage; elsewhere it is none.
fn check_damaged(message: &[u8], expected: &[&str]) {
    let (read, seen) = lines(message, DNS_PORTS);
    assert_eq!((read == Datagram::Alien, &seen), (false, &own(expected)));
    assert_eq!(lines(message, [5353, 5353]), (read, seen));
    assert_eq!(lines(message, OTHER_PORTS), (Datagram::Alien, Vec::new()));
}

fn own(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

fn stream(messages: &[&[u8]]) -> Vec<u8> {
    let mut stream = Vec::new();
    for message in messages {
        stream.extend(u16::try_from(message.len()).expect("short").to_be_bytes());
        stream.extend_from_slice(message);
    }
    stream
}

const WWW: &[u8] = b"\x03Www\x07eXample\x03org\0\0\x01\0\x01";
const TO_WWW: &[u8] = b"\xc0\x0c";

#[test]
fn questions() {
    check(&message(QUERY, [1, 0, 0, 0], &[WWW]), &["dns_query www.example.org"]);
    let mdns = b"\x04_ipp\x04_tcp\x05local\0\0\x0c\x80\x01";
    check(&message(0, [1, 0, 0, 0], &[mdns]), &["dns_query _ipp._tcp.local"]);
    let odd = b"\x05a b.\x01\x02\xc3\xa4\0\0\x01\0\x01";
    check(&message(0, [1, 0, 0, 0], &[odd]), &[r"dns_query a b\\.\\001.\\195\\164"]);
    let update = message(0x2800, [1, 0, 1, 0], &[WWW, &record(TO_WWW, 1, &[9, 9, 9, 9])]);
    check(&update, &["dns_query www.example.org", "dns_answer 9.9.9.9"]);
    let opt = b"\0\0\x29\x10\0\0\0\0\0\0\0";
    check(&message(QUERY, [1, 0, 0, 1], &[b"\0\0\x02\0\x01", opt]), &[]);
}

#[test]
fn answers_of_all_sections() {
    let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let body = [
        WWW.to_vec(),
        record(TO_WWW, 5, b"\x03cdn\xc0\x10"),
        record(b"\x03cdn\xc0\x10", 1, &[198, 51, 100, 7]),
        record(TO_WWW, 28, &v6),
        record(TO_WWW, 16, b"\x03txt"),
        record(b"\xc0\x10", 2, b"\x02NS\xc0\x10"),
        record(b"\xc0\x10", 15, b"\0\x0a\x02mx\xc0\x10"),
        record(b"\0", 33, b"\0\0\0\0\x01\xbb\x03srv\xc0\x18"),
        record(b"\0", 12, b"\x03ptr\xc0\x18"),
        record(b"\0", 39, b"\x05dname\xc0\x18"),
        record(b"\0", 15, b"\0\0\0"),
    ];
    let body: Vec<&[u8]> = body.iter().map(Vec::as_slice).collect();
    let expected = [
        "dns_query www.example.org",
        "dns_name cdn.example.org",
        "dns_answer 198.51.100.7",
        "dns_answer 2001:db8::1",
        "dns_name ns.example.org",
        "dns_name mx.example.org",
        "dns_name srv.org",
        "dns_name ptr.org",
        "dns_name dname.org",
    ];
    check(&message(RESPONSE, [1, 4, 2, 4], &body), &expected);
}

#[test]
fn service_bindings() {
    let hints =
        b"\0\x01\x03svc\xc0\x18\0\x01\0\x03\x02h2\0\x04\0\x08\x01\x02\x03\x04\x05\x06\x07\x08";
    let own_name = [&b"\0\x01\0\0\x06\0\x10"[..], &[0xfe; 16]].concat();
    let body = [WWW.to_vec(), record(TO_WWW, 65, hints), record(TO_WWW, 64, &own_name)];
    let body: Vec<&[u8]> = body.iter().map(Vec::as_slice).collect();
    let expected = [
        "dns_query www.example.org",
        "dns_name svc.org",
        "dns_answer 1.2.3.4",
        "dns_answer 5.6.7.8",
        "dns_answer fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe",
    ];
    check(&message(RESPONSE, [1, 1, 1, 0], &body), &expected);
}

#[test]
fn multicast_answers_have_no_question() {
    let ptr = record(b"\x04_ipp\x05local\0", 12, b"\x03A b\xc0\x0c");
    check(&message(0x8400, [0, 1, 0, 0], &[&ptr]), &["dns_name a b._ipp.local"]);
}

#[test]
fn damage() {
    let asked = "dns_query www.example.org";
    let address = record(TO_WWW, 1, &[9, 9, 9, 9]);
    let damaged = |body: &[&[u8]], answers, expected: &[&str]| {
        let body = [&[WWW], body].concat();
        check_damaged(&message(RESPONSE, [1, answers, 0, 0], &body), expected);
    };
    damaged(&[], 1, &[asked]);
    assert_eq!(
        lines(&message(RESPONSE, [1, 1, 0, 0], &[WWW]), DNS_PORTS).0,
        Datagram::Partial,
        "an answer is missing"
    );
    damaged(&[&address, b"\0"], 1, &[asked, "dns_answer 9.9.9.9"]);
    damaged(&[&record(TO_WWW, 1, b"12345"), &address], 2, &[asked, "dns_answer 9.9.9.9"]);
    damaged(&[&record(TO_WWW, 28, b"1234"), &address], 2, &[asked, "dns_answer 9.9.9.9"]);
    damaged(&[&record(TO_WWW, 5, b"\x03ab"), &address], 2, &[asked, "dns_answer 9.9.9.9"]);
    damaged(&[&record(b"\x80", 1, &[1; 4]), &address], 2, &[asked]);
    damaged(&[b"\0\0\x01\0\x02\0\0\0\0\0\x04abcd"], 1, &[asked, "dns_answer 97.98.99.100"]);
    let long = [&[63][..], &[b'a'; 63]].concat();
    let wide = |last: u8| {
        let mut name = long.repeat(3);
        name.push(last);
        name.extend(vec![b'b'; usize::from(last)]);
        record(TO_WWW, 5, &[name, vec![0]].concat())
    };
    let longest = format!("dns_name {0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    damaged(&[&wide(61), b"\0"], 1, &[asked, &longest]);
    damaged(&[&wide(62), b"\0"], 1, &[asked]);
    for header in [0x1800, 0x3800, 0x0040] {
        check_damaged(&message(header, [1, 0, 0, 0], &[WWW]), &[asked]);
    }
    check_damaged(&message(QUERY, [0, 0, 0, 0], &[]), &[]);
    assert_eq!(lines(b"\0\0\0\0", DNS_PORTS), (Datagram::Alien, Vec::new()));
}

#[test]
fn pointers_lead_back_and_end() {
    let compressed = |data: &[u8]| {
        let message = message(RESPONSE, [1, 1, 0, 0], &[WWW, &record(TO_WWW, 5, data)]);
        lines(&message, DNS_PORTS).1.into_iter().nth(1)
    };
    let data_at = u8::try_from(HEADER_BYTES + WWW.len() + 12).expect("short");
    assert_eq!(compressed(&[0xc0, 0x10]).as_deref(), Some("dns_name example.org"));
    assert_eq!(compressed(&[0xc0, data_at]), None);
    assert_eq!(compressed(&[0xc0, data_at + 2, 0xc0, 0x10]), None);
    assert_eq!(compressed(&[1, b'a', 0xc0, data_at]), None);
    assert_eq!(compressed(&[0xff, 0xff]), None);
    // a chain of pointers, each to the one before
    let chain = |links: usize| {
        let mut body = WWW.to_vec();
        let first = HEADER_BYTES + WWW.len() + 11;
        let mut data = vec![0xc0, 0x10];
        for link in 0..links {
            let to = u16::try_from(first + 2 * link).expect("short") | 0xc000;
            data.extend(to.to_be_bytes());
        }
        body.extend(record(b"\0", 16, &data));
        let last = u16::try_from(first + 2 * links).expect("short") | 0xc000;
        body.extend(record(b"\0", 5, &last.to_be_bytes()));
        lines(&message(RESPONSE, [1, 2, 0, 0], &[&body]), DNS_PORTS).1.len()
    };
    assert_eq!((chain(126), chain(127)), (2, 1));
}

#[test]
fn records_are_bounded() {
    let body = record(b"\0", 1, &[9, 9, 9, 9]).repeat(DNS_RECORDS_MAX + 1);
    struct Count(usize);
    impl Seen for Count {
        fn note(&mut self, _: Observation<'_>) {
            self.0 += 1;
        }
    }
    let mut count = Count(0);
    let records = u16::try_from(DNS_RECORDS_MAX + 1).expect("16 bits");
    datagram(&message(RESPONSE, [0, records, 0, 0], &[&body]), DNS_PORTS, &mut count);
    assert_eq!(count.0, DNS_RECORDS_MAX);
}

#[test]
fn what_is_no_dns() {
    let netbios = message(0x0110, [1, 0, 0, 0], &[b"\x20", &[b'C'; 32], b"\0\0\x20\0\x01"]);
    assert_eq!(lines(&netbios, [137, 137]), (Datagram::Alien, Vec::new()));
    for first in
        [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01\x02\0\x01", b"SSH-2.0-x\r\n", b"\0\x05"]
    {
        assert_eq!(Dns::probe(&[first, &[b'x'; 400]].concat()), Guess::No, "{first:?}");
    }
    let many = stream(&[&message(QUERY, [2, 0, 0, 0], &[WWW, WWW])]);
    assert_eq!(Dns::probe(&many), Guess::No);
    let nonsense = [0xff; 600];
    assert_eq!(Dns::probe(&nonsense), Guess::No);
    assert_eq!(lines(&nonsense, OTHER_PORTS), (Datagram::Alien, Vec::new()));
}

#[test]
fn streams_end_at_what_is_no_message() {
    let asked = message(QUERY, [1, 0, 0, 0], &[WWW]);
    for odd in [&b"\0\x03abc"[..], &stream(&[&message(0x0040, [1, 0, 0, 0], &[WWW])])] {
        let bytes = [&stream(&[&asked]), odd].concat();
        let drive = however_cut::<Dns>(&[(Side::Orig, &bytes)]);
        assert_eq!(drive.lines, ["dns_query www.example.org"]);
        assert_eq!(drive.ended, [Some(Verdict::Alien); 2]);
    }
    let mut longest = message(RESPONSE, [1, 1, 0, 0], &[WWW, &record(TO_WWW, 16, &[7; 65_000])]);
    longest.resize(usize::from(u16::MAX), 0);
    let bytes = stream(&[&longest, &asked]);
    let drive = drive::<Dns>(&[(Side::Resp, &bytes)], 1_000);
    assert_eq!(drive.lines, ["dns_query www.example.org"; 2]);
}

fn name() -> impl Strategy<Value = Name<'static>> {
    prop::collection::vec("[a-cA-C]{1,3}", 0..5)
        .prop_map(|labels| Name::new(&labels.join(".")).expect("a name").into_owned())
}

fn data() -> impl Strategy<Value = RData<'static>> {
    prop_oneof![
        any::<u32>().prop_map(|address| RData::A(rdata::A { address })),
        any::<u128>().prop_map(|address| RData::AAAA(rdata::AAAA { address })),
        name().prop_map(|name| RData::CNAME(rdata::CNAME(name))),
        name().prop_map(|name| RData::NS(rdata::NS(name))),
        name().prop_map(|name| RData::PTR(rdata::PTR(name))),
        name().prop_map(|exchange| RData::MX(rdata::MX { preference: 1, exchange })),
        (name(), any::<u16>()).prop_map(|(target, port)| RData::SRV(rdata::SRV {
            priority: 0,
            weight: 0,
            port,
            target
        })),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| {
            RData::NULL(10, rdata::NULL::new(&bytes).expect("short").into_owned())
        }),
    ]
}

fn packet() -> impl Strategy<Value = Vec<u8>> {
    let records = || prop::collection::vec((name(), data()), 0..4);
    (name(), records(), records(), records()).prop_map(|(asked, answers, authority, more)| {
        let mut packet = Packet::new_reply(7);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let (qtype, qclass) = (QTYPE::TYPE(TYPE::A), QCLASS::CLASS(CLASS::IN));
        packet.questions.push(Question::new(asked, qtype, qclass, false));
        let record = |(owner, data)| ResourceRecord::new(owner, CLASS::IN, 60, data);
        packet.answers.extend(answers.into_iter().map(record));
        packet.name_servers.extend(authority.into_iter().map(record));
        packet.additional_records.extend(more.into_iter().map(record));
        packet.build_bytes_vec_compressed().expect("small")
    })
}

/// What the oracle reads of the same bytes.
fn oracle(packet: &Packet<'_>) -> Vec<String> {
    let text = |name: &Name<'_>| {
        let mut text = Domain::root();
        name.get_labels().iter().for_each(|label| text.push(label.as_ref()).expect("a label"));
        text
    };
    let line = |kind: &str, name: &Name<'_>| {
        let name = text(name);
        (!name.is_root()).then(|| format!("{kind} {}", name.as_bytes().escape_ascii()))
    };
    let asked = packet.questions.iter().filter_map(|question| line("dns_query", &question.qname));
    let records = [&packet.answers, &packet.name_servers, &packet.additional_records];
    let told = records.into_iter().flatten().filter_map(|record| match &record.rdata {
        RData::A(a) => Some(format!("dns_answer {}", std::net::Ipv4Addr::from(a.address))),
        RData::AAAA(a) => {
            let ip = std::net::Ipv6Addr::from(a.address);
            Some(format!("dns_answer {}", crate::model::address::Address::from_v6(ip.octets())))
        }
        RData::CNAME(rdata::CNAME(name)) => line("dns_name", name),
        RData::NS(rdata::NS(name)) | RData::PTR(rdata::PTR(name)) => line("dns_name", name),
        RData::MX(mx) => line("dns_name", &mx.exchange),
        RData::SRV(srv) => line("dns_name", &srv.target),
        _ => None,
    });
    asked.chain(told).collect()
}

proptest! {
    #[test]
    fn as_the_oracle_reads(bytes in packet()) {
        let packet = Packet::parse(&bytes).expect("its own");
        prop_assert_eq!(lines(&bytes, OTHER_PORTS), (Datagram::Whole, oracle(&packet)));
    }

    #[test]
    fn as_the_oracle_reads_damaged_ones(bytes in packet(), at: prop::sample::Index, byte: u8) {
        let mut bytes = bytes;
        let at = at.index(bytes.len() - HEADER_BYTES) + HEADER_BYTES;
        bytes[at] = byte;
        let (verdict, seen) = lines(&bytes, OTHER_PORTS);
        if let (Datagram::Whole, Ok(packet)) = (verdict, Packet::parse(&bytes)) {
            let told = oracle(&packet);
            let records = [&packet.answers, &packet.name_servers, &packet.additional_records];
            let mut records = records.into_iter().flatten();
            // the oracle reads names in DNAME, SVCB and HTTPS otherwise
            let differs = |kind: u16| [39, 64, 65].contains(&kind);
            prop_assume!(!records.any(|record| differs(record.rdata.type_code().into())));
            let known = |seen: &String| !seen.starts_with("dns_name") || told.contains(seen);
            prop_assert!(seen.iter().all(known), "{:?} {:?}", seen, told);
        }
    }

    #[test]
    fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&bytes);
    }

    #[test]
    fn anything_behind_a_header_is_survived(bytes in prop::collection::vec(0_u8..5, 0..200)) {
        fuzz(&message(RESPONSE, [1, 9, 0, 0], &[&bytes]));
        fuzz(&stream(&[&message(RESPONSE, [1, 9, 0, 0], &[&bytes])]));
    }
}
