//! What the sensor gives up: root, capabilities, files, system calls.
//!
//! In this order, as each step needs what the next one takes: what needs root is opened; user and
//! capabilities (`identity`), no-new-privileges and Landlock (`files`), while there is one thread,
//! since all of these are a thread's own, and those that it starts have them from it; then sinks,
//! indicators and, with the capability that is left, interfaces; last seccomp (`calls`), on every
//! thread at once.

mod calls;
mod files;
mod identity;
pub(super) mod places;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::Uid;
use tracing::warn;

use crate::control::config::Config;
use crate::control::config::confinement::Confinement;
use crate::control::sensor::confine::identity::Identity;
use crate::control::sensor::confine::places::Places;
use crate::report::spool::Spool;
use crate::report::spool::SpoolError;

/// Why the sensor cannot give up what it should.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// Nobody to become.
    #[error(
        "[drop] user `{user}`: this host has none: create it (useradd --system {user}), name \
         another, or \"\" to stay root"
    )]
    NoUser {
        /// The name.
        user: String,
    },
    /// The system's refusal, where it would leave the sensor with root's power.
    #[error(
        "[drop] user `{user}`: cannot {what}: {why}: start it as that user with CAP_NET_RAW, or \
         let root have CAP_SETUID, CAP_SETGID and CAP_SETPCAP"
    )]
    Identity {
        /// The name.
        user: String,
        /// What was refused.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A place of alerts that the user cannot write.
    #[error(
        "{}: user `{user}` cannot write it: chown it to {user}, or name another [drop] user",
        path.display()
    )]
    Unwritable {
        /// A folder or file.
        path: PathBuf,
        /// The name.
        user: String,
    },
    /// A measure that the kernel does not have, where it must be had.
    #[error("[drop] {measure}: {why}: with strict = false the sensor goes on without")]
    Lacking {
        /// Its name.
        measure: &'static str,
        /// Why.
        why: String,
    },
    /// A folder of mirrors that cannot be made.
    #[error("[mirror] path: {}: {why}: give a folder that the sensor may write", path.display())]
    Mirror {
        /// The folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A folder of spools that cannot be made.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// How a measure stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Measure {
    /// In force; what there is to say of it.
    InForce(String),
    /// Switched off, or not to be had: why.
    Absent(String),
}

/// What the sensor has given up.
#[derive(Clone, Debug)]
pub(super) struct Confined {
    user: Measure,
    capabilities: Measure,
    no_new_privs: Measure,
    landlock: Measure,
    seccomp: Measure,
}

/// Whether each measure is in force, by its name in metrics.
pub(super) type Measures = [(&'static str, bool); 5];

/// Who may read mirrors: the sensor and its group.
const MIRROR_MODE: u32 = 0o750;

const SWITCHED_OFF: &str = "switched off";

/// Says what a configuration asks for that this host does not have; opens nothing.
pub(super) fn check(settings: &Confinement) {
    if let Err(error) = Identity::find(settings, true) {
        warn!("started as root it would end here: {error}");
    }
}

/// Becomes the user that a sensor would run as, so that it may use what is written; no more.
///
/// # Errors
///
/// When there is no such user, or root's power cannot be given up.
pub fn assume_user(settings: &Confinement) -> Result<(), ConfineError> {
    let was_root = Uid::effective().is_root();
    Identity::find(settings, was_root)?.assume()?;
    identity::reduce(settings, was_root).map(drop)
}

impl Confined {
    /// Becomes the user, and gives up all but the files that the configuration names; while there
    /// is one thread.
    ///
    /// # Errors
    ///
    /// When there is no such user, root's power cannot be given up, or what must be had cannot.
    pub(super) fn enter(path: &Path, config: &Config) -> Result<Self, ConfineError> {
        let settings = &config.confinement;
        let was_root = Uid::effective().is_root();
        let identity = Identity::find(settings, was_root)?;
        let places = Places::of(path, config);
        let user = identity.assume()?;
        let capabilities = identity::reduce(settings, was_root)?;
        let no_new_privs = identity::no_new_privs(settings)?;
        places.look(&identity.name())?;
        // made while its parent can be written
        let spool = config.spool.as_ref();
        spool.map(|spool| Spool::make_folder(&spool.path)).transpose()?;
        if !config.remotes.is_empty() {
            let path = &config.mirror.path;
            DirBuilder::new().recursive(true).mode(MIRROR_MODE).create(path).map_err(|error| {
                ConfineError::Mirror { path: path.clone(), why: error.to_string() }
            })?;
        }
        let landlock = if settings.landlock {
            required(settings, "landlock", files::restrict(&places, settings.strict))?
        } else {
            Measure::Absent(SWITCHED_OFF.to_owned())
        };
        let seccomp = Measure::Absent(SWITCHED_OFF.to_owned());
        Ok(Self { user, capabilities, no_new_privs, landlock, seccomp })
    }

    /// Gives up, on every thread, the system calls that a sensor does not make.
    ///
    /// # Errors
    ///
    /// When it must be had and cannot.
    pub(super) fn filter_calls(&mut self, settings: &Confinement) -> Result<(), ConfineError> {
        if settings.seccomp {
            self.seccomp = required(settings, "seccomp", calls::filter())?;
        }
        Ok(())
    }

    /// Returns whether each measure is in force.
    pub(super) fn in_force(&self) -> Measures {
        let is = |measure: &Measure| matches!(measure, Measure::InForce(_));
        [
            ("user", is(&self.user)),
            ("capabilities", is(&self.capabilities)),
            ("no_new_privs", is(&self.no_new_privs)),
            ("landlock", is(&self.landlock)),
            ("seccomp", is(&self.seccomp)),
        ]
    }

    /// Returns the line that tells all of it.
    pub(super) fn line(&self) -> String {
        let (Measure::InForce(user) | Measure::Absent(user)) = &self.user;
        let rest = [
            ("capabilities", &self.capabilities),
            ("no-new-privileges", &self.no_new_privs),
            ("Landlock", &self.landlock),
            ("seccomp", &self.seccomp),
        ];
        let rest = rest.map(|(name, measure)| match measure {
            Measure::InForce(text) => text.clone(),
            Measure::Absent(why) if name == "capabilities" => why.clone(),
            Measure::Absent(why) => format!("no {name} ({why})"),
        });
        let confined = self.in_force().iter().any(|(_, in_force)| *in_force);
        let word = if confined { "confined" } else { "not confined" };
        format!("{word}: {user}, {}", rest.join(", "))
    }
}

/// Judges what became of a measure that is on.
fn required(
    settings: &Confinement,
    measure: &'static str,
    outcome: Result<String, String>,
) -> Result<Measure, ConfineError> {
    match outcome {
        Ok(text) => Ok(Measure::InForce(text)),
        Err(why) if settings.strict => Err(ConfineError::Lacking { measure, why }),
        Err(why) => Ok(Measure::Absent(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(off: &[&str], line: &str) {
        let measure = |name: &str, text: &str| match off.contains(&name) {
            true => Measure::Absent(SWITCHED_OFF.to_owned()),
            false => Measure::InForce(text.to_owned()),
        };
        let confined = Confined {
            user: Measure::InForce("user tapsieve (uid 998)".to_owned()),
            capabilities: Measure::InForce("CAP_NET_RAW alone".to_owned()),
            no_new_privs: measure("no_new_privs", "no new privileges"),
            landlock: measure("landlock", "Landlock ABI 5"),
            seccomp: measure("seccomp", "seccomp"),
        };
        assert_eq!(confined.line(), format!("confined: user {line}"));
        let absent = confined.in_force().iter().filter(|(_, is)| !is).count();
        assert_eq!(absent, off.len());
    }

    #[test]
    fn the_line_tells_what_is_in_force_and_what_is_not() {
        check(
            &[],
            "tapsieve (uid 998), CAP_NET_RAW alone, no new privileges, Landlock ABI 5, seccomp",
        );
        check(
            &["landlock", "seccomp", "no_new_privs"],
            "tapsieve (uid 998), CAP_NET_RAW alone, no no-new-privileges (switched off), \
             no Landlock (switched off), no seccomp (switched off)",
        );
    }

    #[test]
    fn what_must_be_had_and_cannot_ends_the_start() {
        let lax = Confinement::default();
        let strict = Confinement { strict: true, ..Confinement::default() };
        let lacking = || Err("the kernel has none".to_owned());
        let absent = required(&lax, "landlock", lacking()).expect("goes on");
        assert_eq!(absent, Measure::Absent("the kernel has none".to_owned()));
        let error = required(&strict, "landlock", lacking()).expect_err("ends");
        assert!(error.to_string().starts_with("[drop] landlock: the kernel has none"));
    }
}
