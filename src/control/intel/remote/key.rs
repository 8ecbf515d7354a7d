//! What a server knows us by: a key in a file or in the environment, read anew for each pull, so
//! that it can be replaced.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use nix::fcntl::OFlag;
use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::mirror::only_plain;

/// Bytes of a file of a key.
const KEY_BYTES_MAX: u64 = 8 * 1024;

/// What a server knows us by.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Key {
    /// Where it is.
    pub place: KeyPlace,
    /// How it is shown.
    pub scheme: KeyScheme,
}

/// Where a key is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum KeyPlace {
    /// There is none.
    #[default]
    None,
    /// In a file, alone.
    File(PathBuf),
    /// In a variable of the environment.
    Environment(String),
}

/// How a key is shown in `Authorization`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyScheme {
    /// As it is, as MISP wants it.
    #[default]
    Bare,
    /// After `Bearer`.
    Bearer,
    /// The key is `user:password`, shown after `Basic` (RFC 7617).
    Basic,
}

impl KeyScheme {
    /// Returns the one of a name in settings.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "bare" => Some(Self::Bare),
            "bearer" => Some(Self::Bearer),
            "basic" => Some(Self::Basic),
            _ => None,
        }
    }
}

/// A key that was read, as it is shown.
pub(super) enum Shown {
    Bare(HeaderValue),
    Bearer(String),
    Basic(String, String),
}

/// What nobody may read in what a server says: a key in all forms that it was shown in.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

/// Characters of a key from which on it is one, and hidden.
const SECRET_CHARS_MIN: usize = 4;

/// What stands for a key.
const HIDDEN: &str = "(the key)";

impl Secrets {
    /// Returns those of a key.
    pub(super) fn of(shown: Option<&Shown>) -> Self {
        let bare = match shown {
            None => Vec::new(),
            Some(Shown::Bare(key)) => vec![String::from_utf8_lossy(key.as_bytes()).into_owned()],
            Some(Shown::Bearer(token)) => vec![token.clone()],
            Some(Shown::Basic(user, password)) => {
                let both = format!("{user}:{password}");
                vec![base64(both.as_bytes()), both, password.clone()]
            }
        };
        let mut all = Vec::new();
        for secret in bare.into_iter().filter(|secret| secret.len() >= SECRET_CHARS_MIN) {
            let in_json = serde_json::Value::from(secret.as_str()).to_string();
            all.push(in_json.trim_matches('"').to_owned());
            let mut url = Url::parse("http://x/").ok();
            if let Some(url) = &mut url {
                url.query_pairs_mut().append_key_only(&secret);
                all.extend(url.query().map(str::to_owned));
            }
            all.push(secret);
        }
        // a longer one may hold a shorter one
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Self(all)
    }

    /// Hides them in a text, also one that its end cuts; upper and lower case are the same.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            let secret = secret.to_ascii_lowercase();
            let mut from = 0;
            let find = |text: &str, from: usize| {
                let at = text.get(from..)?.to_ascii_lowercase().find(&secret)?;
                Some(from + at)
            };
            while let Some(at) = find(&text, from) {
                text.replace_range(at..at + secret.len(), HIDDEN);
                from = at + HIDDEN.len();
            }
            let lower = text.to_ascii_lowercase();
            let begins = (SECRET_CHARS_MIN..secret.len()).rev();
            let cut = begins.filter_map(|n| secret.get(..n)).find(|begin| lower.ends_with(begin));
            if let Some(begin) = cut {
                text.truncate(text.len() - begin.len());
                text.push_str(HIDDEN);
            }
        }
        text
    }
}

/// Returns bytes in base64 (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let byte = |at| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        out.extend((0..4_usize).map(|at| match at <= three.len() {
            true => char::from(DIGITS[(bits >> (18 - 6 * at)) as usize % 64]),
            false => '=',
        }));
    }
    out
}

impl Key {
    /// Hides it in an error.
    pub(super) fn hide_in(&self, error: RemoteError) -> RemoteError {
        // one that cannot be read was not shown
        let shown = self.read().ok().flatten();
        let secrets = Secrets::of(shown.as_ref());
        error.map_texts(|text| secrets.hide(text))
    }

    /// Reads it; `None`: there is none to be shown.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub(super) fn read(&self) -> Result<Option<Shown>, RemoteError> {
        let (name, text) = match &self.place {
            KeyPlace::None => return Ok(None),
            KeyPlace::File(path) => {
                let bytes = file(path, "key_file", KEY_BYTES_MAX)?;
                (format!("key_file {}", path.display()), String::from_utf8_lossy(&bytes).into())
            }
            KeyPlace::Environment(name) => {
                let absent = format!("key_env: the environment has no {name}");
                let text = std::env::var(name);
                let text = text.map_err(|_| RemoteError::Settings { what: absent })?;
                (format!("key_env {name}"), text)
            }
        };
        let wrong = |what: &str| RemoteError::Settings { what: format!("{name}: {what}") };
        let key = text.trim();
        if key.is_empty() {
            return Err(wrong("no key in it"));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(wrong("not a key: one line of plain characters is wanted"));
        }
        Ok(Some(match self.scheme {
            KeyScheme::Bare => {
                let mut header = HeaderValue::from_str(key).map_err(|_| wrong("not a key"))?;
                header.set_sensitive(true);
                Shown::Bare(header)
            }
            KeyScheme::Bearer => Shown::Bearer(key.to_owned()),
            KeyScheme::Basic => {
                let parts = key.split_once(':').ok_or_else(|| wrong("user:password is wanted"))?;
                Shown::Basic(parts.0.to_owned(), parts.1.to_owned())
            }
        }))
    }
}

/// Opens a plain file that a setting names; a link to one is followed, as secrets are mounted so,
/// and a pipe that nobody writes to is not waited for.
fn named(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK.bits();
    OpenOptions::new().read(true).custom_flags(flags).open(path).and_then(only_plain)
}

/// Reads a small file that the setting `key` names.
pub(super) fn file(path: &Path, key: &str, bytes_max: u64) -> Result<Vec<u8>, RemoteError> {
    let wrong =
        |what: String| RemoteError::Settings { what: format!("{key} {}: {what}", path.display()) };
    let mut bytes = Vec::new();
    let file = named(path).map_err(|error| wrong(error.to_string()))?;
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > bytes_max {
        return Err(wrong(format!("over {bytes_max} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file holds, and what is shown, or said.
    fn check(scheme: KeyScheme, text: &str, want: Result<&str, &str>) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        std::fs::write(&path, text).expect("written");
        let key = Key { place: KeyPlace::File(path), scheme };
        let got = match key.read() {
            Ok(Some(Shown::Bare(header))) => header.to_str().expect("text").to_owned(),
            Ok(Some(Shown::Bearer(token))) => token,
            Ok(Some(Shown::Basic(user, password))) => format!("{user}/{password}"),
            Ok(None) => "none".to_owned(),
            Err(error) => {
                let (error, want) = (error.to_string(), want.expect_err("refused"));
                return assert!(
                    error.starts_with("key_file /") && error.ends_with(want),
                    "{error}"
                );
            }
        };
        assert_eq!(Ok(got.as_str()), want);
    }

    #[test]
    fn a_key_is_hidden_in_all_forms() {
        let hide = |shown: Shown, text: &str| Secrets::of(Some(&shown)).hide(text);
        let basic = || Shown::Basic("me".to_owned(), "pass+word".to_owned());
        assert_eq!(base64(b"me:pass+word"), "bWU6cGFzcyt3b3Jk");
        assert_eq!(base64(b"a"), "YQ==");
        assert_eq!(base64(b"ab"), "YWI=");
        for text in ["bad bWU6cGFzcyt3b3Jk", "bad me:pass+word", "bad pass+word", "bad PASS%2Bword"]
        {
            let hidden = hide(basic(), text);
            assert!(hidden.ends_with("(the key)") && !hidden.contains("ord"), "{hidden}");
        }
        let bearer = || Shown::Bearer("se\"same-open".to_owned());
        assert_eq!(hide(bearer(), "a SE\"SAME-OPEN b"), "a (the key) b");
        assert_eq!(hide(bearer(), r#"{"k":"se\"same-open"}"#), r#"{"k":"(the key)"}"#);
        assert_eq!(hide(bearer(), "bad key se\"same"), "bad key (the key)");
        assert_eq!(hide(Shown::Bearer("ab".to_owned()), "about"), "about");
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
        let key = Key { place: KeyPlace::File(path), scheme: KeyScheme::Bare };
        assert!(key.read().is_err_and(|error| error.to_string().ends_with("not a plain file")));
    }

    #[test]
    fn keys_are_one_line() {
        check(KeyScheme::Bare, "abc123\n", Ok("abc123"));
        check(KeyScheme::Bearer, " abc ", Ok("abc"));
        check(KeyScheme::Basic, "me:it:is\n", Ok("me/it:is"));
        check(KeyScheme::Basic, "me", Err("user:password is wanted"));
        check(KeyScheme::Bare, "\n", Err("no key in it"));
        check(KeyScheme::Bare, "a\nb", Err("one line of plain characters is wanted"));
        check(KeyScheme::Bare, &"x".repeat(9_000), Err("over 8192 bytes"));
        let place = KeyPlace::Environment("TAPSIEVE_NO_SUCH_VARIABLE".to_owned());
        let key = Key { place, scheme: KeyScheme::Bare };
        assert!(key.read().is_err_and(|e| e.to_string().starts_with("key_env: the environment")));
    }
}
