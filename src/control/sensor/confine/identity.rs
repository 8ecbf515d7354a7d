//! Who the sensor is, and what it may: user, groups, capabilities.

use std::ffi::CString;

use caps::CapSet;
use caps::Capability;
use caps::CapsHashSet;
use caps::errors::CapsError;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::Uid;
use nix::unistd::User;
use nix::unistd::initgroups;
use nix::unistd::setresgid;
use nix::unistd::setresuid;

use crate::control::config::confinement::Confinement;
use crate::control::sensor::confine::ConfineError;
use crate::control::sensor::confine::Measure;
use crate::control::sensor::confine::SWITCHED_OFF;
use crate::control::sensor::confine::required;

/// Whom the sensor is to run as.
#[derive(Debug)]
pub(super) enum Identity {
    /// As whom it was started, and why.
    Stays(&'static str),
    /// As another.
    Becomes(User),
}

impl Identity {
    /// Looks up the user, where root starts the sensor.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(super) fn find(settings: &Confinement, is_root: bool) -> Result<Self, ConfineError> {
        let user = &settings.user;
        if user.is_empty() {
            return Ok(Self::Stays("[drop] user is empty"));
        }
        if !is_root {
            return Ok(Self::Stays("not started as root"));
        }
        match User::from_name(user) {
            Ok(Some(user)) => Ok(Self::Becomes(user)),
            // some services of names answer so for "none"
            Ok(None) | Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => {
                Err(ConfineError::NoUser { user: user.clone() })
            }
            Err(why) => Err(refusal(user, "look it up", why.desc())),
        }
    }

    /// Returns the name.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Becomes(user) => user.name.clone(),
            Self::Stays(_) => own_name(),
        }
    }

    /// Becomes it: its groups, its group, itself, for good. What root may is kept until
    /// capabilities are given up.
    pub(super) fn assume(&self) -> Result<Measure, ConfineError> {
        let text = |uid: Uid| format!("user {} (uid {uid})", self.name());
        let user = match self {
            Self::Becomes(user) => user,
            Self::Stays(why) => {
                let text = format!("{} as started: {why}", text(Uid::effective()));
                let root = Uid::effective().is_root();
                return Ok(if root { Measure::Absent(text) } else { Measure::InForce(text) });
            }
        };
        let refused = |what| move |why: Errno| refusal(&user.name, what, why.desc());
        prctl::set_keepcaps(true).map_err(refused("keep capabilities"))?;
        let name = CString::new(user.name.as_str()).unwrap_or_default();
        initgroups(&name, user.gid).map_err(refused("take its groups"))?;
        setresgid(user.gid, user.gid, user.gid).map_err(refused("take its group"))?;
        setresuid(user.uid, user.uid, user.uid).map_err(refused("become it"))?;
        prctl::set_keepcaps(false).map_err(refused("let go of capabilities"))?;
        let text = text(user.uid);
        Ok(if user.uid.is_root() { Measure::Absent(text) } else { Measure::InForce(text) })
    }
}

/// Leaves `CAP_NET_RAW` of this thread's capabilities, or nothing.
///
/// # Errors
///
/// When they cannot be given up where root started the sensor, or where they must be.
pub(super) fn reduce(settings: &Confinement, was_root: bool) -> Result<Measure, ConfineError> {
    let mut kept = CapsHashSet::new();
    if settings.keep_net_raw {
        kept.insert(Capability::CAP_NET_RAW);
    }
    match narrow(&kept) {
        Ok(left) if left.is_empty() => Ok(Measure::InForce("no capability".to_owned())),
        Ok(_) => Ok(Measure::InForce("CAP_NET_RAW alone".to_owned())),
        Err(why) if was_root => {
            Err(refusal(&settings.user, "give up capabilities", &why.to_string()))
        }
        // another's filter of system calls, perhaps, which bounds them as well
        Err(why) => {
            required(settings, "capabilities", Err(format!("capabilities as started ({why})")))
        }
    }
}

/// Takes all but `kept` out of every set, and the rest out of those that a program started from
/// here would get; returns what is left.
fn narrow(kept: &CapsHashSet) -> Result<CapsHashSet, CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    // it takes a capability to bound capabilities: an unprivileged start lacks it
    if permitted.contains(&Capability::CAP_SETPCAP) {
        caps::raise(None, CapSet::Effective, Capability::CAP_SETPCAP)?;
        for bound in caps::read(None, CapSet::Bounding)?.difference(kept) {
            caps::drop(None, CapSet::Bounding, *bound)?;
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    let left: CapsHashSet = permitted.intersection(kept).copied().collect();
    // effective before permitted, which must hold it at any time
    for (set, wanted) in [
        (CapSet::Effective, &left),
        (CapSet::Inheritable, &CapsHashSet::new()),
        (CapSet::Permitted, &left),
    ] {
        if caps::read(None, set)? != *wanted {
            caps::set(None, set, wanted)?;
        }
    }
    caps::read(None, CapSet::Permitted)
}

/// Sees to it that no program started from here gets more privileges than this one.
///
/// # Errors
///
/// When it must be had and cannot.
pub(super) fn no_new_privs(settings: &Confinement) -> Result<Measure, ConfineError> {
    let text = || "no new privileges".to_owned();
    if settings.no_new_privs {
        let set = prctl::set_no_new_privs().map(|()| text());
        return required(settings, "no_new_privs", set.map_err(|why| why.desc().to_owned()));
    }
    // whoever started the sensor may have seen to it
    let is_set = prctl::get_no_new_privs() == Ok(true);
    Ok(if is_set { Measure::InForce(text()) } else { Measure::Absent(SWITCHED_OFF.to_owned()) })
}

fn own_name() -> String {
    let uid = Uid::effective();
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

fn refusal(user: &str, what: &'static str, why: &str) -> ConfineError {
    ConfineError::Identity { user: user.to_owned(), what, why: why.to_owned() }
}
