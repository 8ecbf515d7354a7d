//! Pulling from a MISP server: everything into a new base, or what has changed into the delta.
//!
//! Drafts are fetched like all others and left out when the mirror is read, so that publishing an
//! event needs no old attributes again. A pull of changes (`changes`) cannot see what was deleted
//! for good or withdrawn from us: a full pull does, by comparing UUIDs. A full pull that saw an
//! error anywhere changes nothing.

mod changes;
mod questions;
mod whole;

use std::io;
use std::io::Write;

use serde::Deserialize;
use serde::Serialize;
use serde_json::json;
use tracing::warn;

use crate::control::intel::json::Reading;
use crate::control::intel::json::What;
use crate::control::intel::misp::MispSettings;
use crate::control::intel::misp::keep::CHANGES_BYTES_MAX;
use crate::control::intel::misp::keep::Changes;
use crate::control::intel::misp::keep::Everything;
use crate::control::intel::misp::keep::Keeper;
use crate::control::intel::misp::keep::digest;
use crate::control::intel::misp::record::AttributeLine;
use crate::control::intel::misp::record::FORM;
use crate::control::intel::misp::record::Header;
use crate::control::intel::misp::record::write;
use crate::control::intel::misp::search::Search;
use crate::control::intel::misp::stored::BASE;
use crate::control::intel::misp::stored::Base;
use crate::control::intel::misp::stored::DELTA;
use crate::control::intel::misp::stored::Delta;
use crate::control::intel::misp::stored::Events;
use crate::control::intel::misp::warninglists;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::remote::source::Scope;
use crate::control::intel::remote::state;
use crate::control::intel::uuid::Uuid;

/// Events of one page: metadata with tags has some kilobytes.
const PAGE_EVENTS: u32 = 1_000;

/// Attributes that seem gone and are asked for by UUID before they are believed to be: pages shift
/// when something is deleted while they are read. More are believed at once.
const GONE_ASKED_MAX: usize = 5_000;

/// UUIDs of one such question.
const GONE_ASKED_AT_ONCE: usize = 500;

/// How far we are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct State {
    /// The base that this is of.
    id: u64,
    /// The server's time from which on changes are missing.
    since_secs: u64,
    /// Our time when everything was last compared.
    full_secs: u64,
}

/// One pull.
struct Pull<'p> {
    settings: &'p MispSettings,
    remote: &'p Remote,
    mirror: &'p Mirror,
    http: Http,
    place: String,
}

impl MispSettings {
    /// Pulls a server into its mirror.
    ///
    /// # Errors
    /// Why nothing could be had; what is in the mirror stays.
    pub fn pull(
        &self,
        remote: &Remote,
        mirror: &Mirror,
        scope: Scope,
    ) -> Result<Pulled, RemoteError> {
        let (http, place) = (remote.http.open()?, remote.place());
        let pull = Pull { settings: self, remote, mirror, http, place };
        pull.run(scope).map(|pulled| pull.warninglists(pulled))
    }
}

impl Pull<'_> {
    fn run(&self, scope: Scope) -> Result<Pulled, RemoteError> {
        let question = self.settings.question(&self.place);
        let header = match Base::open_whole(self.mirror.folder()) {
            Ok(base) => base.map(|base| base.header),
            Err(error) => {
                warn!("{}: {error}", self.mirror.folder().join(BASE).display());
                None
            }
        };
        let Some(header) = header.filter(|header| header.question == question) else {
            return self.everything();
        };
        let state = self.state(&header);
        let delta = match Delta::open(self.mirror.folder()) {
            Ok(delta) if delta.id == header.id => delta,
            // every base has one from the start
            Ok(_) => {
                warn!("{}: it is gone", self.mirror.folder().join(DELTA).display());
                return self.everything();
            }
            Err(error) => {
                warn!("{}: {error}", self.mirror.folder().join(DELTA).display());
                return self.everything();
            }
        };
        let secs_max = u64::from(self.remote.reconcile_hours) * 3_600;
        let is_old = state::age_secs(state.full_secs).is_none_or(|secs| secs >= secs_max);
        let is_large = delta.bytes() > CHANGES_BYTES_MAX as u64;
        let is_due = match scope {
            Scope::Everything => true,
            Scope::Changes => is_large,
            Scope::Due => is_old || is_large || header.filter != self.settings.filter(),
        };
        if !is_due {
            let mut search = Search::new(&self.http, &self.remote.http);
            return match self.changes(&mut search, (&header, &state), &delta, &[])? {
                Some(pulled) => Ok(pulled),
                // more than is kept as changes
                None => self.everything(),
            };
        }
        match self.everything() {
            // what is too much at once may be had in parts
            Err(error) if error.may_be_too_much() && !is_large => {
                let mut search = Search::new(&self.http, &self.remote.http);
                let pulled = self.changes(&mut search, (&header, &state), &delta, &[])?;
                Ok(Pulled { trouble: Some(error), ..pulled.unwrap_or_default() })
            }
            outcome => outcome,
        }
    }

    fn state(&self, header: &Header) -> State {
        let first = State { id: header.id, since_secs: header.since_secs, full_secs: 0 };
        let state = state::load::<State>(self.mirror);
        if state.id == header.id { state } else { first }
    }

    /// Writes a file whole.
    fn put(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), RemoteError> {
        let mut draft = self.mirror.draft(name)?;
        fill(&mut draft).map_err(|error| draft.fault(&error))?;
        draft.keep().map(drop)
    }

    fn header(&self, id: u64, since_secs: u64, events: &Events) -> Header {
        Header {
            form: FORM,
            id,
            delta: false,
            question: self.settings.question(&self.place),
            provider: self.place.clone(),
            events: events.len() as u64,
            since_secs,
            filter: self.settings.filter(),
        }
    }

    /// Makes a new base of all that the server has.
    fn everything(&self) -> Result<Pulled, RemoteError> {
        let settings = self.settings;
        let begun_secs = state::now_secs();
        let mut search = Search::new(&self.http, &self.remote.http);
        let events = self.listed(&mut search)?;
        let since_secs = search.begun_secs(begun_secs);
        let old = self.old();
        // larger than any before, even where what is there is damaged
        let id = old.as_ref().map_or(0, |(base, _)| base.header.id + 1).max(begun_secs);
        let header = self.header(id, since_secs, &events);
        let mut draft = self.mirror.draft(BASE)?;
        let mut line = Vec::new();
        let mut put = |line: &[u8]| draft.write_all(line).map_err(|error| draft.fault(&error));
        write(&header, &mut line);
        put(&line)?;
        for event in events.values() {
            write(event, &mut line);
            put(&line)?;
        }
        let listed = events.values().map(|event| event.id).collect();
        let everything = Everything::new(draft, &self.place, settings, listed);
        let mut found = Reading::new(Keeper::new(everything, &self.place));
        self.all(&mut search, &events, &mut found)?;
        let was_asked =
            old.as_ref().is_some_and(|(base, _)| base.header.question == header.question);
        let mut pulled = self.compare(old, &mut search, &mut found)?;
        let Keeper { to, nameless, .. } = found.teller;
        if nameless > 0 {
            warn!("{}: {nameless} attributes without UUID were left out", self.place);
        }
        if was_asked {
            self.believe(&pulled, to.digests.len() as u64)?;
        }
        let missed = to.keep()?;
        let state = State { id, since_secs, full_secs: state::now_secs() };
        state::keep(self.mirror, &state)?;
        self.merge(&header, &Delta::default(), Changes::new(&self.place), Events::default())?;
        // what has changed meanwhile
        match self.changes(&mut search, (&header, &state), &Delta::default(), &missed) {
            Ok(more) => pulled.add(&more.unwrap_or_default()),
            Err(error) => pulled.trouble = Some(error),
        }
        Ok(pulled)
    }

    /// Fetches the server's warninglists, where they are wanted.
    fn warninglists(&self, pulled: Pulled) -> Pulled {
        if !self.settings.warninglists {
            return pulled;
        }
        match warninglists::pull(&self.http, &self.remote.http, self.mirror) {
            Ok(differ) => Pulled { differs: pulled.differs | differ, ..pulled },
            Err(error) => Pulled { trouble: pulled.trouble.or(Some(error)), ..pulled },
        }
    }

    /// Refuses an answer that leaves far less than there was, as a server does that has lost its
    /// data, or lets a user see other events.
    fn believe(&self, pulled: &Pulled, now: u64) -> Result<(), RemoteError> {
        let before = (now + pulled.gone).saturating_sub(pulled.new);
        let percent = u64::from(self.settings.shrink_percent_min);
        if now * 100 >= before * percent {
            return Ok(());
        }
        let what = format!(
            "{now} attributes, where there were {before}: fewer than {percent} percent are not \
             believed, and the last good copy stays; where it is meant: intel pull --full --force"
        );
        Err(RemoteError::Answer { place: self.place.clone(), what, may_mend: false })
    }

    /// Returns what is there, where it can be read.
    fn old(&self) -> Option<(Base, Delta)> {
        let base = Base::open(self.mirror.folder()).ok().flatten()?;
        let delta = Delta::open(self.mirror.folder()).unwrap_or_default();
        let delta = if delta.id == base.header.id { delta } else { Delta::default() };
        Some((base, delta))
    }

    /// Compares what was found with what is there; what seems gone is asked for once more.
    fn compare(
        &self,
        old: Option<(Base, Delta)>,
        search: &mut Search<'_>,
        found: &mut Reading<Keeper<Everything<'_>>>,
    ) -> Result<Pulled, RemoteError> {
        let mut pulled = Pulled { is_full: true, differs: true, ..Pulled::default() };
        let (mut same, mut gone, mut gone_lines) = (0_u64, Vec::new(), Vec::new());
        if let Some((mut base, delta)) = old {
            let digests = &found.teller.to.digests;
            let mut see = |uuid: Uuid, line: &[u8]| match digests.get(&uuid) {
                Some(new) if *new == digest(line) => same += 1,
                Some(_) => pulled.changed += 1,
                None if is_deleted(line) => {}
                None => {
                    gone.push(uuid);
                    if gone.len() <= GONE_ASKED_MAX {
                        gone_lines.push(line.to_vec());
                    }
                }
            };
            let of_base = base.events().and_then(|_| {
                base.each_attribute(|uuid, line| {
                    if !delta.has(uuid) {
                        see(uuid, line);
                    }
                })
            });
            delta.lines().for_each(|(uuid, line)| see(uuid, line));
            if let Err(error) = of_base {
                warn!("{}: {error}", self.mirror.folder().join(BASE).display());
            }
        }
        if gone.len() <= GONE_ASKED_MAX {
            for (uuid, line) in gone.iter().zip(&gone_lines) {
                if let Ok(line) = serde_json::from_slice(line) {
                    found.teller.to.hold(*uuid, &line)?;
                }
            }
            for some in gone.chunks(GONE_ASKED_AT_ONCE) {
                let uuids = some.iter().map(Uuid::to_string).collect::<Vec<_>>();
                // of any type: a JA4 is text
                let mut filters = self.settings.of_all_types().attribute_filters();
                filters.insert("uuid".to_owned(), json!(uuids));
                search.all(What::Attributes, &filters, self.settings.page_attributes, found)?;
            }
        }
        let digests = &found.teller.to.digests;
        let back = gone.iter().filter(|uuid| digests.contains_key(uuid)).count() as u64;
        pulled.gone = gone.len() as u64 - back;
        pulled.new = (digests.len() as u64).saturating_sub(same + pulled.changed + back);
        Ok(pulled)
    }
}

fn is_deleted(line: &[u8]) -> bool {
    serde_json::from_slice::<AttributeLine<'_>>(line).is_ok_and(|line| line.deleted)
}

#[cfg(test)]
mod tests;
