//! Spools: order, bounds, and what a crash leaves.

use std::fs::OpenOptions;

use super::*;

/// An alert of about 100 bytes.
fn alert(n: u64) -> Vec<u8> {
    format!("{{\"@timestamp\":\"{n:0>82}\"}}\n").into_bytes()
}

fn open(folder: &Path) -> Spool {
    Spool::open(folder, 1 << 20).expect("opened")
}

fn add(spool: &mut Spool, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        spool.append(&alert(n), 1).expect("room");
    }
    spool.sync().expect("synced");
}

/// Takes all from the front, until `most` lines at least are taken; returns their numbers.
fn take(spool: &mut Spool, most: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    while taken.len() < most
        && let Some(front) = spool.front().expect("read")
    {
        let text = String::from_utf8(front.lines).expect("text");
        let number = |line: &str| line[15..97].parse::<u64>().expect("a number");
        taken.extend(text.lines().map(number));
        spool.advance(front.bytes, front.count + front.damaged);
    }
    taken
}

fn files(folder: &Path) -> Vec<PathBuf> {
    segment::list(folder).expect("listed").into_iter().map(|(_, path)| path).collect()
}

#[test]
fn what_waits_comes_in_order_and_is_forgotten() {
    let folder = tempfile::tempdir().expect("folder");
    let mut spool = open(folder.path());
    assert_eq!(spool.front().expect("read"), None);
    add(&mut spool, 0..5_000);
    assert!(files(folder.path()).len() > 1);
    assert_eq!((spool.waiting(), spool.bytes().0), (5_000, 5_000 * 100));
    assert_eq!(take(&mut spool, usize::MAX), (0..5_000).collect::<Vec<_>>());
    spool.settle().expect("settled");
    assert_eq!((spool.waiting(), spool.bytes().0), (0, 0));
    assert!(files(folder.path()).is_empty());
    add(&mut spool, 7..9);
    assert_eq!(take(&mut spool, usize::MAX), [7, 8]);
}

#[test]
fn the_newest_are_refused_at_the_bound() {
    let folder = tempfile::tempdir().expect("folder");
    let mut spool = Spool::open(folder.path(), 10_000).expect("opened");
    add(&mut spool, 0..100);
    assert!(matches!(spool.append(&alert(100), 1), Err(Refusal::Full)));
    // what was sent frees room when it is forgotten, segment by segment
    let taken = take(&mut spool, 1);
    assert!(matches!(spool.append(&alert(100), 1), Err(Refusal::Full)));
    spool.settle().expect("settled");
    add(&mut spool, 100..101);
    assert_eq!(take(&mut spool, usize::MAX), (taken.len() as u64..101).collect::<Vec<_>>());
}

#[test]
fn another_start_goes_on_where_the_last_settled() {
    let folder = tempfile::tempdir().expect("folder");
    let mut spool = Spool::open(folder.path(), 1 << 30).expect("opened");
    add(&mut spool, 0..4_000);
    let settled = take(&mut spool, 1).len() as u64;
    assert!(settled < 4_000, "{settled}");
    spool.settle().expect("settled");
    // sent, but not told
    take(&mut spool, 1);
    drop(spool);
    let mut spool = open(folder.path());
    assert_eq!(spool.waiting(), 4_000 - settled);
    add(&mut spool, 4_000..4_010);
    assert_eq!(take(&mut spool, usize::MAX), (settled..4_010).collect::<Vec<_>>());
    spool.settle().expect("settled");
    drop(spool);
    let mut spool = open(folder.path());
    add(&mut spool, 1..2);
    drop(spool);
    assert_eq!(take(&mut open(folder.path()), usize::MAX), [1]);
}

/// Three alerts; what a crash or a bad disk makes of them; what is left, cut, and damaged.
fn check(spoil: impl FnOnce(&Path), left: &[u64], [cut, damaged]: [u64; 2]) {
    let folder = tempfile::tempdir().expect("folder");
    let mut spool = open(folder.path());
    add(&mut spool, 0..3);
    drop(spool);
    spoil(folder.path());
    let mut spool = open(folder.path());
    assert_eq!(spool.cut_bytes(), cut);
    assert_eq!(spool.waiting(), left.len() as u64 + damaged);
    assert_eq!(take(&mut spool, usize::MAX), left);
    assert_eq!(spool.waiting(), 0);
}

fn append(folder: &Path, bytes: &[u8]) {
    let last = files(folder).pop().expect("a segment");
    OpenOptions::new().append(true).open(last).and_then(|mut f| f.write_all(bytes)).expect("added");
}

fn cut(folder: &Path, len: u64) {
    let last = files(folder).pop().expect("a segment");
    OpenOptions::new().write(true).open(last).and_then(|f| f.set_len(len)).expect("cut");
}

#[test]
fn what_a_crash_left_is_mended() {
    check(|_| (), &[0, 1, 2], [0, 0]);
    check(|folder| append(folder, b"{\"@timestamp\":\"half"), &[0, 1, 2], [19, 0]);
    check(|folder| cut(folder, 250), &[0, 1], [50, 0]);
    check(|folder| cut(folder, 99), &[], [99, 0]);
    check(|folder| cut(folder, 0), &[], [0, 0]);
    check(|folder| append(folder, &[0; 4_000]), &[0, 1, 2], [4_000, 0]);
    check(|folder| append(folder, b"\0\0\0\n"), &[0, 1, 2], [0, 1]);
    check(|folder| append(folder, b"{\"@timestamp\":\"half\n\n"), &[0, 1, 2], [0, 2]);
    let write = |folder: &Path, name: &str, text: &str| {
        fs::write(folder.join(name), text).expect("written");
    };
    for (position, left) in [
        ("", &[0, 1, 2][..]),
        ("0 100\n", &[1, 2]),
        ("0 150\n", &[1, 2]),
        ("0 100", &[0, 1, 2]),
        ("0 x\n", &[0, 1, 2]),
        ("0 99999\n", &[]),
        ("1 0\n", &[]),
        ("9 0\n", &[0, 1, 2]),
    ] {
        check(|folder| write(folder, "position", position), left, [0, 0]);
    }
    check(|folder| write(folder, "notes.txt", "mine"), &[0, 1, 2], [0, 0]);
}

#[test]
fn a_long_line_is_read_whole() {
    let folder = tempfile::tempdir().expect("folder");
    let mut spool = open(folder.path());
    let long = format!("{{\"@timestamp\":\"{}\"}}\n", "x".repeat(3 * READ_BYTES));
    spool.append(long.as_bytes(), 1).expect("room");
    add(&mut spool, 5..6);
    let front = spool.front().expect("read").expect("there");
    assert_eq!(front.lines.get(..long.len()), Some(long.as_bytes()));
    let rest = front.lines.get(long.len()..).unwrap_or_default();
    assert!(rest.is_empty() || rest == alert(5));
    assert_eq!(spool.waiting(), 2);
}

#[test]
fn two_sensors_do_not_share_a_spool() {
    let folder = tempfile::tempdir().expect("folder");
    let one = open(folder.path());
    let refused = Spool::open(folder.path(), 1 << 20).expect_err("locked").to_string();
    assert!(refused.ends_with("another tapsieve writes it"), "{refused}");
    drop(one);
    open(folder.path());
}
