//! Answers of any size are read in bounded memory and time.

use std::time::Duration;

use super::agreement::sample;
use super::failing::all;
use super::puller::Puller;
use super::stand::Fault;
use super::stand::Rule;
use super::stand::Stand;

const ATTRIBUTES: &str = "/attributes/restSearch";

/// What the program may take whatever it is sent.
const PEAK_KIBIBYTES_MAX: u64 = 500 << 10;

#[test]
fn two_gigabytes_in_one_answer_take_bounded_memory() {
    let stand = Stand::new(sample());
    let puller = Puller::new(&stand);
    stand.fail(Rule::on(ATTRIBUTES, Fault::Flood { bytes: 2_000_000_000 }).page(1).times(1));
    let pulled = puller.pull(&stand.url(), &[], 500);
    assert!(pulled.peak_kibibytes < PEAK_KIBIBYTES_MAX, "{} KiB", pulled.peak_kibibytes);
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
}

#[test]
fn one_text_of_a_hundred_megabytes_takes_bounded_memory() {
    let stand = Stand::new(sample());
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, &[]);
    let before = puller.attributes();
    stand.fail(Rule::on(ATTRIBUTES, Fault::LongText { bytes: 100_000_000 }));
    let pulled = puller.pull(&stand.url(), &[], 100);
    // a text of 80 MiB may be an attachment; what is longer ends the reading
    assert!(pulled.peak_kibibytes < 200 << 10, "{} KiB", pulled.peak_kibibytes);
    assert_ne!(pulled.code, 2, "{}", pulled.stderr);
    assert!(!pulled.stderr.contains("777777777777"), "it is told whole");
    assert_eq!(puller.attributes(), before);
}

#[test]
fn an_answer_that_stops_is_left() {
    all(&[Fault::Stall, Fault::Silence(Duration::from_secs(60))], |fault| {
        let stand = Stand::new(sample());
        let puller = Puller::new(&stand);
        puller.pull_well(&stand, &[]);
        stand.fail(Rule::on(ATTRIBUTES, fault));
        let pulled = puller.pull(&stand.url(), &["--timeout-secs", "5", "--page", "500"], 250);
        assert_eq!(pulled.code, 1, "{fault:?}: {}", pulled.stderr);
        assert!(pulled.stderr.contains("5 s"), "{fault:?}: {}", pulled.stderr);
    });
}
