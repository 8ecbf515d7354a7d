//! One receiver with one traffic: its search, trial by trial.

use crate::control::bench::live::args::Backend;
use crate::control::bench::live::report::Measured;
use crate::control::bench::live::search::Ask;
use crate::control::bench::live::search::Search;
use crate::control::bench::live::setup::Setup;
use crate::control::bench::live::tcpdump;
use crate::control::bench::live::traffic::Traffic;
use crate::control::bench::live::trial::Trial;
use crate::control::bench::stage::Stage;
use crate::control::cli::Failure;
use crate::control::output;

/// What receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    /// The pipeline up to a stage.
    Sensor(Backend, Stage),
    /// The baseline.
    Tcpdump,
}

/// A search under way.
pub(super) struct Lane {
    receiver: Receiver,
    /// `None`: one trial at a given rate.
    search: Option<Search>,
    pub(super) measured: Measured,
}

impl Receiver {
    /// Returns its name in tables.
    fn name(self) -> String {
        match self {
            Self::Sensor(backend, stage) => format!("{} {}", backend.name(), stage.name()),
            Self::Tcpdump => tcpdump::NAME.to_owned(),
        }
    }
}

impl Lane {
    /// Returns a search that has not begun.
    pub(super) fn new(receiver: Receiver, setup: &Setup<'_>, traffic: &Traffic) -> Self {
        let search = setup.arguments.rate.is_none().then(|| Search::new(setup.resolution()));
        let octets = traffic.mean_octets();
        let frames = traffic.frames.len();
        let measured = Measured::new(&traffic.name, octets, frames, receiver.name());
        Self { receiver, search, measured }
    }

    /// Does the next trial; `false`: there is none.
    ///
    /// # Errors
    ///
    /// When nothing can be sent or received.
    pub(super) fn step(&mut self, setup: &Setup<'_>, traffic: &Traffic) -> Result<bool, Failure> {
        let ask = match (&self.search, setup.arguments.rate) {
            (Some(search), _) => search.next(),
            (None, Some(rate)) if self.measured.trials.is_empty() => {
                Some(Ask::Rate(f64::from(rate)))
            }
            (None, _) => None,
        };
        let Some(ask) = ask.filter(|_| !setup.is_stopped()) else { return Ok(false) };
        let rate = match ask {
            Ask::Maximum => None,
            Ask::Rate(rate) => Some(rate),
        };
        // a trial that does not add up is no answer: once more
        let Some(mut trial) = self.trial(setup, traffic, rate)? else { return Ok(false) };
        if !trial.is_valid {
            let Some(again) = self.trial(setup, traffic, rate)? else { return Ok(false) };
            self.measured.trials.push(std::mem::replace(&mut trial, again));
        }
        if let Some(search) = &mut self.search {
            search.take(trial.sent_pps, trial.is_lossless());
        }
        self.measured.trials.push(trial);
        Ok(true)
    }

    /// Notes what was found, and tries it at half the rate: how long alerts take when there is
    /// room.
    ///
    /// # Errors
    ///
    /// As `step`.
    pub(super) fn finish(&mut self, setup: &Setup<'_>, traffic: &Traffic) -> Result<(), Failure> {
        let Some(search) = &self.search else { return Ok(()) };
        let found = search.found();
        // one that was ended may know nothing yet
        if found.rate > 0.0 || search.next().is_none() {
            self.measured.found(found);
        }
        let alerts = matches!(self.receiver, Receiver::Sensor(_, Stage::Match));
        let is_wanted = alerts && setup.arguments.planted_per_sec > 0;
        if is_wanted && found.rate >= 2.0 && !setup.is_stopped() {
            self.measured.half_load = self.trial(setup, traffic, Some(found.rate / 2.0))?;
        }
        Ok(())
    }

    /// Does one trial and says how it went; `None`: it was ended. One that ended early by itself is
    /// kept, and ends the bench.
    fn trial(
        &mut self,
        setup: &Setup<'_>,
        traffic: &Traffic,
        rate: Option<f64>,
    ) -> Result<Option<Trial>, Failure> {
        let (trial, early) = setup.trial(self.receiver, traffic, rate)?;
        if setup.is_stopped() {
            return Ok(None);
        }
        let (receiver, line) = (&self.measured.receiver, trial.line(traffic));
        output::say(&format!("tapsieve: {receiver}: {line}\n"));
        if let Some(why) = early {
            self.measured.trials.push(trial);
            return Err(why.into());
        }
        Ok(Some(trial))
    }
}
