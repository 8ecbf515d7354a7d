//! `[drop]`: what the sensor gives up once it has opened what needs a privilege.

use std::path::PathBuf;

use crate::control::config::reader::Section;

/// What the sensor gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Whom it runs as where it was started as root; empty: root it stays.
    pub user: String,
    /// Keeps `CAP_NET_RAW`, to open an interface again that comes back; nothing where off.
    pub keep_net_raw: bool,
    /// No program that it starts may have more privileges.
    pub no_new_privs: bool,
    /// Sees the files that it needs, and connects nowhere else.
    pub landlock: bool,
    /// Makes the system calls that it needs.
    pub seccomp: bool,
    /// What is on and cannot be had ends the start.
    pub strict: bool,
    /// More files and folders that it may read: where links in a feed lead to.
    pub read: Vec<PathBuf>,
}

impl Default for Confinement {
    fn default() -> Self {
        Self {
            user: "tapsieve".to_owned(),
            keep_net_raw: true,
            no_new_privs: true,
            landlock: true,
            seccomp: true,
            strict: false,
            read: Vec::new(),
        }
    }
}

/// Reads `[drop]`.
pub(super) fn confinement(mut section: Section<'_, '_>) -> Confinement {
    let default = Confinement::default();
    let confinement = Confinement {
        user: section.text("user", &default.user),
        keep_net_raw: section.flag("keep_net_raw", default.keep_net_raw),
        no_new_privs: section.flag("no_new_privs", default.no_new_privs),
        landlock: section.flag("landlock", default.landlock),
        seccomp: section.flag("seccomp", default.seccomp),
        strict: section.flag("strict", default.strict),
        read: section.texts("read").into_iter().map(|(_, path)| PathBuf::from(path)).collect(),
    };
    if !confinement.no_new_privs && (confinement.landlock || confinement.seccomp) {
        let what = "landlock and seccomp need it: leave it on, or switch both of them off, too";
        section.note("no_new_privs", what);
    }
    section.end();
    confinement
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::config::Config;

    const LEAST: &str = "[[capture]]\ninterface = \"eth1\"\n[[intel]]\npath = \"/feed\"\n";

    fn check(text: &str, expected: Result<Confinement, &str>) {
        let config = Config::parse(&format!("{LEAST}{text}"));
        let got = config.map(|config| config.confinement);
        let got = got.map_err(|problems| problems[0].to_string());
        assert_eq!(got, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn each_measure_is_switched_off_by_name() {
        let all = Confinement::default;
        check("", Ok(all()));
        check("[drop]\n", Ok(all()));
        check("[drop]\nuser = \"\"\n", Ok(Confinement { user: String::new(), ..all() }));
        check("[drop]\nkeep_net_raw = false\n", Ok(Confinement { keep_net_raw: false, ..all() }));
        check("[drop]\nlandlock = false\n", Ok(Confinement { landlock: false, ..all() }));
        check("[drop]\nseccomp = false\n", Ok(Confinement { seccomp: false, ..all() }));
        check("[drop]\nstrict = true\n", Ok(Confinement { strict: true, ..all() }));
        let read = vec![PathBuf::from("/srv/feeds")];
        check("[drop]\nread = [\"/srv/feeds\"]\n", Ok(Confinement { read, ..all() }));
        let none = Confinement { no_new_privs: false, landlock: false, seccomp: false, ..all() };
        check("[drop]\nno_new_privs = false\nlandlock = false\nseccomp = false\n", Ok(none));
        check(
            "[drop]\nno_new_privs = false\nseccomp = false\n",
            Err("6:16: no_new_privs: landlock and seccomp need it: leave it on, or switch both \
                 of them off, too"),
        );
        check("[drop]\nuser = 1\n", Err("6:8: user: a text in quotes is wanted, not 1"));
    }
}
