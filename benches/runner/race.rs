//! The engine beside programs that only read the same capture, taking turns.

use std::ffi::OsString;
use std::io::Result;

use super::Bench;
use super::Cost;
use super::Phases;
use super::Replay;
use super::answer::Answers;
use super::command;
use super::least;
use super::machine;
use super::mebibytes;
use super::median;
use super::table;
use crate::generator::Profile;

const TCPDUMP: &str = "tcpdump -w /dev/null";
const HEAD: [&str; 9] = [
    "command",
    "wall s (best)",
    "wall s (median)",
    "CPU s",
    "RSS MiB",
    "Mpps",
    "Gbit/s",
    "of tcpdump",
    "intel + packets s",
];

/// One command of the race, and what its runs cost.
struct Runner {
    label: String,
    what: What,
    costs: Vec<Cost>,
    phases: Option<Phases>,
}

enum What {
    Other(Vec<OsString>),
    Engine { workers: usize },
}

/// Runs all commands on a profile's capture in turn; returns the table.
pub(crate) fn race(bench: &mut Bench, profile: Profile) -> Result<String> {
    let (task, paths) = bench.task(profile);
    bench.prepare(&task, &paths)?;
    let answers = Answers::read(&paths.expected)?;
    let sizes = paths.sizes()?;
    let capture = paths.capture.as_os_str();
    let other = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let mut runners = vec![Runner::new(
        "cat > /dev/null",
        What::Other([other(&["cat"]), vec![capture.to_owned()]].concat()),
    )];
    if machine::has("tcpdump") {
        let words =
            [other(&["tcpdump", "-r"]), vec![capture.to_owned()], other(&["-w", "/dev/null"])];
        runners.push(Runner::new(TCPDUMP, What::Other(words.concat())));
    }
    let words =
        [vec![bench.bin.clone().into()], other(&["bench", "floor"]), vec![capture.to_owned()]];
    runners.push(Runner::new("tapsieve bench floor", What::Other(words.concat())));
    for workers in [1, 2] {
        runners.push(Runner::new(
            &format!("tapsieve replay --workers {workers}"),
            What::Engine { workers },
        ));
    }
    for run in 0..bench.runs {
        eprintln!("{profile:?}: run {} of {}", run + 1, bench.runs);
        for runner in &mut runners {
            let cost = match &runner.what {
                What::Other(words) => command::measure(words, &bench.log())?,
                What::Engine { workers } => {
                    let intel = super::intel(&paths, &paths.csv);
                    let replay = Replay { paths: &paths, intel, workers: *workers };
                    let cost = bench.replay(&replay, &answers)?;
                    runner.phases = bench.phases().or(runner.phases);
                    cost
                }
            };
            runner.costs.push(cost);
        }
    }
    let mut text = format!(
        "### {}: {} packets, {} bytes; {} planted hits, {} near misses, {} indicators\n\n",
        format!("{profile:?}").to_lowercase(),
        sizes.0,
        sizes.1,
        answers.hits(),
        answers.near_misses(),
        task.indicators,
    );
    let base = runners.iter().find(|runner| runner.label == TCPDUMP).map(Runner::best);
    let rows: Vec<Vec<String>> = runners.iter().map(|runner| runner.row(sizes, base)).collect();
    text.push_str(&table(&HEAD, &rows));
    text.push_str(&verdict(bench, profile, &runners, base));
    Ok(text)
}

/// The ratios that issue 2 asks for.
fn verdict(bench: &mut Bench, profile: Profile, runners: &[Runner], base: Option<f64>) -> String {
    let limit = match profile {
        Profile::Mix => 2.0,
        Profile::Small | Profile::Wide => 4.0,
    };
    let engine = |wanted: usize| {
        let of =
            |runner: &&Runner| matches!(runner.what, What::Engine { workers } if workers == wanted);
        runners.iter().find(of).map_or(f64::NAN, Runner::best)
    };
    let (one, two) = (engine(1), engine(2));
    let mut text = format!("\n- two workers take {:.2} of the wall time of one\n", two / one);
    match base {
        Some(base) => {
            let what = format!("{profile:?}: wall time against tcpdump");
            let judged = bench.judge(&what, one.min(two) / base, limit);
            text.push_str(&format!("- wall time of the faster against tcpdump: {judged}\n"));
        }
        None => text.push_str("- tcpdump is not installed: no ratio (apt-get install tcpdump)\n"),
    }
    text
}

impl Runner {
    fn new(label: &str, what: What) -> Self {
        Self { label: label.to_owned(), what, costs: Vec::new(), phases: None }
    }

    /// Wall seconds of the runs that ended well.
    fn walls(&self) -> Vec<f64> {
        let good = self.costs.iter().filter(|cost| cost.code == 0);
        good.map(|cost| cost.wall.as_secs_f64()).collect()
    }

    fn best(&self) -> f64 {
        least(&self.walls())
    }

    fn row(&self, sizes: (u64, u64), base: Option<f64>) -> Vec<String> {
        let walls = self.walls();
        if walls.is_empty() {
            let code = self.costs.first().map_or(0, |cost| cost.code);
            return [
                vec![self.label.clone(), format!("ended with {code}")],
                vec!["-".to_owned(); 7],
            ]
            .concat();
        }
        let best = least(&walls);
        let cpus: Vec<f64> = self.costs.iter().map(|cost| cost.cpu.as_secs_f64()).collect();
        let resident = self.costs.iter().map(|cost| cost.resident_bytes).max().unwrap_or(0);
        vec![
            self.label.clone(),
            format!("{best:.3}"),
            format!("{:.3}", median(&walls)),
            format!("{:.3}", median(&cpus)),
            mebibytes(resident),
            format!("{:.2}", sizes.0 as f64 / best / 1e6),
            format!("{:.2}", sizes.1 as f64 * 8.0 / best / 1e9),
            base.map_or("-".to_owned(), |base| format!("{:.2}", best / base)),
            self.phases
                .map_or("-".to_owned(), |p| format!("{:.2} + {:.2}", p.intel_secs, p.packet_secs)),
        ]
    }
}
