//! What a server knows us by: a key in a file or in the environment, read anew for each pull, so
//! that it can be replaced.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use reqwest::header::HeaderValue;

use crate::control::intel::remote::RemoteError;

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

/// A key that was read, as it is shown.
pub(super) enum Shown {
    Bare(HeaderValue),
    Bearer(String),
    Basic(String, String),
}

impl Key {
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

/// Reads a small file that the setting `key` names.
pub(super) fn file(path: &Path, key: &str, bytes_max: u64) -> Result<Vec<u8>, RemoteError> {
    let wrong =
        |what: String| RemoteError::Settings { what: format!("{key} {}: {what}", path.display()) };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
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
