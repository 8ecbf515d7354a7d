//! The progress bar of a replay, on a terminal only.

use std::io::IsTerminal;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use crate::report::reporter::Signals;

const TURN: Duration = Duration::from_millis(100);

/// Draws bytes, rate, time left and alerts until `ended`, if standard error is a terminal.
/// `total` is unknown for standard input.
pub fn draw(read: &AtomicU64, total: Option<u64>, signals: &Signals, ended: &AtomicBool) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let bar = match total {
        Some(total) => ProgressBar::new(total).with_style(style(
            "{bar:32} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} eta {eta} {msg}",
        )),
        None => ProgressBar::new_spinner()
            .with_style(style("{spinner} {binary_bytes} {binary_bytes_per_sec} {msg}")),
    };
    while !ended.load(Ordering::Relaxed) {
        bar.set_position(read.load(Ordering::Relaxed));
        bar.set_message(format!("{} alerts", signals.alerts.load(Ordering::Relaxed)));
        std::thread::park_timeout(TURN);
    }
    bar.finish_and_clear();
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
