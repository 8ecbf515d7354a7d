//! The same capture gives the same alerts, byte for byte, however it is read.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::golden::Case;
use crate::golden::cases;
use crate::golden::strs;
use crate::run::run;
use crate::run::tapsieve;

/// Every case once, plainly: what all others must equal.
fn plain(case: &Case, folder: &Path, input: &str) -> Vec<u8> {
    alerts(case, folder, &["--workers", "1", input])
}

fn alerts(case: &Case, folder: &Path, more: &[&str]) -> Vec<u8> {
    let run = run(folder, &strs(&case.arguments(more)));
    assert_eq!(run.code, 0, "{} {more:?}: {}", case.folder.display(), run.stderr);
    run.stdout
}

#[test]
fn workers_and_batches_change_nothing() {
    let mut all = 0;
    for case in cases() {
        let expected = plain(&case, &case.folder, &case.input);
        all += expected.len();
        for workers in ["0", "1", "2", "4"] {
            for batch in ["1", "256"] {
                let more = ["--workers", workers, "--batch", batch, &case.input];
                let seen = alerts(&case, &case.folder, &more);
                assert_eq!(text(&seen), text(&expected), "{} {more:?}", case.folder.display());
            }
        }
    }
    assert!(all > 0, "no case alerts");
}

#[test]
fn observations_are_the_same_whatever_the_workers() {
    let mut all = 0;
    let long_ones = crate::run::corpus().map(|corpus| corpus.join("ndpi/codm.pcap"));
    let own = cases().into_iter().map(|case| case.folder.join(case.input));
    for capture in own.chain(long_ones.filter(|path| path.exists())) {
        let observed = |workers: &str, batch: &str| {
            let capture = capture.display().to_string();
            // short limits, so that flows end amid others
            let arguments = ["observe", "--workers", workers, "--batch", batch];
            let idle = ["--tcp-idle-secs", "3", "--other-idle-secs", "1", &capture];
            text(&run(Path::new("."), &[&arguments[..], &idle[..]].concat()).stdout)
        };
        let expected = observed("1", "64");
        all += expected.len();
        for (workers, batch) in [("0", "64"), ("2", "1"), ("2", "64"), ("4", "256")] {
            let seen = observed(workers, batch);
            assert!(seen == expected, "{} {workers} {batch}", capture.display());
        }
    }
    assert!(all > 0, "no case shows anything");
}

#[test]
fn formats_and_compressions_change_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let mut converted = 0;
    for case in cases().iter().filter(|case| case.input == "input.pcap") {
        let bytes = fs::read(case.folder.join(&case.input)).expect("capture");
        // one name, so that `file` is the same
        let place = folder.path().join("capture");
        fs::write(&place, &bytes).expect("write");
        let expected = plain(case, folder.path(), "capture");
        for (name, variant) in variants(&bytes) {
            fs::write(&place, variant).expect("write");
            let seen = plain(case, folder.path(), "capture");
            assert_eq!(text(&seen), text(&expected), "{} as {name}", case.folder.display());
            converted += 1;
        }
    }
    assert!(converted > 10);
}

#[test]
fn standard_input_changes_nothing_but_the_name() {
    for case in cases().iter().take(4) {
        let expected = text(&plain(case, &case.folder, &case.input));
        let arguments = case.arguments(&["-"]);
        let mut child = tapsieve(&case.folder)
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let bytes = fs::read(case.folder.join(&case.input)).expect("capture");
        child.stdin.take().expect("pipe").write_all(&bytes).expect("written");
        let seen = text(&child.wait_with_output().expect("ends").stdout);
        assert_eq!(
            seen.replace("\"file\":\"-\"", &format!("\"file\":\"{}\"", case.input)),
            expected
        );
    }
}

#[test]
fn a_capture_in_two_files_is_one_stream() {
    let folder = tempfile::tempdir().expect("folder");
    for case in cases().iter().filter(|case| case.input == "input.pcap").take(6) {
        let bytes = fs::read(case.folder.join(&case.input)).expect("capture");
        let frames = frames(&bytes);
        let (header, _) = bytes.split_at(24);
        let whole = plain(case, &case.folder, &case.input);
        let (first, second) = frames.split_at(frames.len() / 2);
        for (name, part) in [("b-first.pcap", first), ("a-second.pcap", second)] {
            let mut file = File::create(folder.path().join(name)).expect("create");
            file.write_all(header).expect("write");
            part.iter().for_each(|frame| file.write_all(&frame.record).expect("write"));
        }
        // ids do not depend on file names or frame numbers, so they tell whether the flows were the
        // same
        let seen = alerts(case, folder.path(), &["a-second.pcap", "b-first.pcap"]);
        assert_eq!(ids(&seen), ids(&whole), "{}", case.folder.display());
    }
}

fn ids(alerts: &[u8]) -> Vec<String> {
    let id = |line: &str| {
        let alert: serde_json::Value = serde_json::from_str(line).expect("JSON");
        alert["event"]["id"].as_str().expect("id").to_owned()
    };
    text(alerts).lines().map(id).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The same frames as other files.
fn variants(pcap: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let frames = frames(pcap);
    let link = u32::from_le_bytes(pcap[20..24].try_into().expect("link type"));
    vec![
        ("big-endian nanosecond pcap", big_endian(&frames, link)),
        ("pcapng", pcapng(&frames, link)),
        ("gzip", gzip(pcap)),
        ("zstd", zstd::encode_all(pcap, 3).expect("zstd")),
        ("lz4", lz4(pcap)),
        ("gzip of pcapng", gzip(&pcapng(&frames, link))),
    ]
}

pub(crate) struct FrameOf {
    secs: u32,
    micros: u32,
    wire: u32,
    bytes: Vec<u8>,
    pub(crate) record: Vec<u8>,
}

/// The records of a little-endian microsecond pcap, which is what `fixtures/record` writes.
pub(crate) fn frames(pcap: &[u8]) -> Vec<FrameOf> {
    assert_eq!(pcap[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().expect("four bytes"));
    let (mut at, mut frames) = (24, Vec::new());
    while at < pcap.len() {
        let len = word(at + 8) as usize;
        frames.push(FrameOf {
            secs: word(at),
            micros: word(at + 4),
            wire: word(at + 12),
            bytes: pcap[at + 16..at + 16 + len].to_vec(),
            record: pcap[at..at + 16 + len].to_vec(),
        });
        at += 16 + len;
    }
    frames
}

fn big_endian(frames: &[FrameOf], link: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_3c4d, 0x0002_0004, 0, 0, 262_144, link] {
        out.extend(u32::to_be_bytes(word));
    }
    for frame in frames {
        let len = frame.bytes.len() as u32;
        for word in [frame.secs, frame.micros * 1000, len, frame.wire] {
            out.extend(word.to_be_bytes());
        }
        out.extend(&frame.bytes);
    }
    out
}

fn pcapng(frames: &[FrameOf], link: u32) -> Vec<u8> {
    let mut out = Vec::new();
    block(
        &mut out,
        0x0a0d_0d0a,
        &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
    );
    let mut interface = link.to_le_bytes().to_vec();
    interface.extend(262_144_u32.to_le_bytes());
    block(&mut out, 1, &interface);
    for frame in frames {
        let micros = u64::from(frame.secs) * 1_000_000 + u64::from(frame.micros);
        let mut body = 0_u32.to_le_bytes().to_vec();
        let words = [(micros >> 32) as u32, micros as u32, frame.bytes.len() as u32, frame.wire];
        words.iter().for_each(|word| body.extend(word.to_le_bytes()));
        body.extend(&frame.bytes);
        block(&mut out, 6, &body);
    }
    out
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let padding = body.len().next_multiple_of(4) - body.len();
    let len = (body.len() + padding + 12) as u32;
    out.extend(kind.to_le_bytes());
    out.extend(len.to_le_bytes());
    out.extend(body);
    out.extend(std::iter::repeat_n(0, padding));
    out.extend(len.to_le_bytes());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("gzip");
    encoder.finish().expect("gzip")
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).expect("lz4");
    encoder.finish().expect("lz4")
}
