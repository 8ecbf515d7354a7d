//! The chart of a bench: bars of the rates without loss, by traffic and receiver, as SVG.
//!
//! Spec: SVG 1.1 (second edition)

use crate::control::bench::live::report::Measured;
use crate::control::bench::live::report::Report;
use crate::control::bench::live::trial::Trial;
use crate::report::summary::grouped;

/// Width of a bar, and of the room between groups.
const BAR: f64 = 34.0;
const GROUP_GAP: f64 = 30.0;

/// Room around the bars.
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 78.0;
const HEIGHT: f64 = 320.0;
const LEGEND_LINE: f64 = 20.0;

/// Narrowest picture: its title needs the room.
const WIDTH_MIN: f64 = 680.0;

/// Colours that are told apart by those who see few, too (Okabe and Ito).
const COLOURS: [&str; 7] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999"];

/// Lines across, at most.
const LINES_MAX: f64 = 6.0;

/// Draws it.
pub(super) fn svg(report: &Report) -> String {
    let traffics = distinct(report.results.iter().map(|measured| measured.traffic.as_str()));
    let receivers = distinct(report.results.iter().map(|measured| measured.receiver.as_str()));
    let group = BAR * receivers.len() as f64 + GROUP_GAP;
    let width = (LEFT + RIGHT + group * traffics.len() as f64).max(WIDTH_MIN);
    // few groups have the whole width, too
    let pitch = (width - LEFT - RIGHT) / traffics.len().max(1) as f64;
    let legend_at = TOP + HEIGHT + 66.0;
    let height = legend_at + LEGEND_LINE * receivers.len() as f64 + 34.0;
    let top = scale(report.results.iter().map(rate).fold(0.0, f64::max));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"Helvetica, Arial, sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    text(&mut out, (LEFT, 28.0), "start", 17, "Highest rate without loss");
    let settings = &report.settings;
    let how = format!(
        "{} s a trial, ring {} MiB, {} to {}, {} x {}",
        settings.trial_secs,
        settings.ring_mebibytes,
        report.machine.sending.name,
        report.machine.receiving.name,
        report.machine.processors,
        report.machine.processor
    );
    text(&mut out, (LEFT, 48.0), "start", 12, &how);
    axes(&mut out, width, top);
    for (at, traffic) in traffics.iter().enumerate() {
        let left = LEFT + pitch * at as f64 + (pitch - group + GROUP_GAP) / 2.0;
        let of_it = report.results.iter().filter(|measured| measured.traffic == *traffic);
        for measured in of_it {
            let place = receivers.iter().position(|name| *name == measured.receiver);
            bar(&mut out, left, place.unwrap_or(0), measured, top);
        }
        let middle = left + (group - GROUP_GAP) / 2.0;
        text(&mut out, (middle, TOP + HEIGHT + 20.0), "middle", 12, traffic);
    }
    let middle = (LEFT + width - RIGHT) / 2.0;
    let what = "frame size, octets with check sequence, or mix";
    text(&mut out, (middle, TOP + HEIGHT + 42.0), "middle", 12, what);
    for (at, receiver) in receivers.iter().enumerate() {
        let y = legend_at + LEGEND_LINE * at as f64;
        rectangle(&mut out, [LEFT, y, 12.0, 12.0], colour(at));
        text(&mut out, (LEFT + 20.0, y + 11.0), "start", 12, receiver);
    }
    let y = legend_at + LEGEND_LINE * receivers.len() as f64 + 14.0;
    let note = "≥: the sender could not do more; ?: not confirmed";
    text(&mut out, (LEFT, y), "start", 11, note);
    out.push_str("</svg>\n");
    out
}

fn axes(out: &mut String, width: f64, top: f64) {
    let step = step(top);
    let mut value = 0.0;
    while value <= top * 1.000_1 {
        let y = height_of(value, top);
        let colour = if value == 0.0 { "#333333" } else { "#dddddd" };
        out.push_str(&format!(
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\"/>\n",
            width - RIGHT
        ));
        text(out, (LEFT - 8.0, y + 4.0), "end", 12, &grouped(value as u64));
        value += step;
    }
    let y = TOP + HEIGHT / 2.0;
    out.push_str(&format!(
        "<text x=\"16\" y=\"{y:.1}\" font-size=\"12\" fill=\"#333333\" text-anchor=\"middle\" \
         transform=\"rotate(-90 16 {y:.1})\">frames a second</text>\n"
    ));
}

fn bar(out: &mut String, left: f64, place: usize, measured: &Measured, top: f64) {
    let x = left + BAR * place as f64;
    let y = height_of(rate(measured), top);
    rectangle(out, [x + 2.0, y, BAR - 4.0, TOP + HEIGHT - y], colour(place));
    let mark = match (measured.is_senders_limit, measured.is_confirmed) {
        (true, _) => "≥",
        (false, true) => "",
        (false, false) => "?",
    };
    let label = match rate(measured) {
        rate if rate >= 999_500.0 => format!("{mark}{:.2}M", rate / 1e6),
        rate => format!("{mark}{:.0}k", rate / 1e3),
    };
    text(out, (x + BAR / 2.0, y - 5.0), "middle", 10, &label);
}

fn rate(measured: &Measured) -> f64 {
    // of one trial at a given rate: what got through
    let received = |trial: &Trial| trial.received as f64 / trial.secs.max(1e-9);
    measured.lossless_pps.or_else(|| measured.trials.last().map(received)).unwrap_or(0.0)
}

fn height_of(value: f64, top: f64) -> f64 {
    TOP + HEIGHT * (1.0 - value / top)
}

/// Returns the end of the axis: a few whole steps.
fn scale(most: f64) -> f64 {
    let most = most.max(1.0);
    let step = step(most);
    (most / step).ceil() * step
}

/// Returns the distance of the lines across: 1, 2 or 5 and noughts.
fn step(most: f64) -> f64 {
    let rough = (most / LINES_MAX).max(1.0);
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|n| n * power);
    steps.into_iter().find(|step| *step >= rough * 0.999_9).unwrap_or(power * 10.0)
}

fn colour(at: usize) -> &'static str {
    COLOURS.get(at % COLOURS.len()).copied().unwrap_or("#000000")
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

fn rectangle(out: &mut String, [x, y, width, height]: [f64; 4], colour: &str) {
    out.push_str(&format!(
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
         fill=\"{colour}\"/>\n"
    ));
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, size: u32, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    out.push_str(&format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"#333333\" \
         text-anchor=\"{anchor}\">{content}</text>\n"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_has_round_steps_and_room_for_all() {
        for (most, want) in
            [(0.0, 1.0), (7.0, 8.0), (95_000.0, 100_000.0), (430_000.0, 500_000.0), (1.0e6, 1.0e6)]
        {
            let top = scale(most);
            assert_eq!(top, want, "{most}");
            assert!(top / step(top) <= LINES_MAX + 0.01, "{most}");
        }
    }
}
