//! `tapsieve intel pull`: servers are pulled into local copies once, for cron and for the first
//! time.

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Instant;

use clap::ArgGroup;
use clap::Args;
use serde::Serialize;

use crate::control::cli::DAMAGED;
use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::config::Config;
use crate::control::config::remote::MirrorConfig;
use crate::control::config::remote::RECONCILE_HOURS;
use crate::control::intel::filter::TagRule;
use crate::control::intel::list_form::ListForm;
use crate::control::intel::misp::MispSettings;
use crate::control::intel::misp::PAGE_ATTRIBUTES;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::HttpSettings;
use crate::control::intel::remote::http::ProxyRule;
use crate::control::intel::remote::http::READ_SECS;
use crate::control::intel::remote::http::address;
use crate::control::intel::remote::http::place;
use crate::control::intel::remote::key::Key;
use crate::control::intel::remote::key::KeyPlace;
use crate::control::intel::remote::key::KeyScheme;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::remote::source::RemoteKind;
use crate::control::intel::remote::source::Scope;
use crate::control::intel::remote::source::name_of;
use crate::control::log;
use crate::control::log::LogFormat;
use crate::control::output;
use crate::control::sensor::confine::assume_user;
use crate::model::marking::Tlp;
use crate::model::plain::plain;

/// Pulls servers into local copies.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["config", "misp", "feed", "taxii"]))]
#[command(group = ArgGroup::new("server").args(["misp", "feed", "taxii"]))]
pub struct PullArguments {
    /// Pull all servers of a sensor's configuration into its [mirror]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Pull this MISP server
    #[arg(long, value_name = "URL", requires = "to")]
    misp: Option<String>,
    /// Pull this feed: a file of any format, or, where the address ends in /, a MISP feed
    #[arg(long, value_name = "URL", requires = "to")]
    feed: Option<String>,
    /// Pull this collection of a TAXII 2.1 server: https://HOST/API/collections/ID/
    #[arg(long, value_name = "URL", requires = "to")]
    taxii: Option<String>,
    /// How the feed is read where it is a list, as --list-form of other commands; it must have
    /// indicators, read so, to take the place of the last
    #[arg(long, value_name = "FORM", requires = "feed", value_parser = ListForm::from_text)]
    #[arg(default_value = "lines")]
    list_form: ListForm,
    /// Into this folder, which --intel takes
    #[arg(long, value_name = "FOLDER", requires = "server")]
    to: Option<PathBuf>,
    /// The file with the API key
    #[arg(long, value_name = "FILE", requires = "server")]
    key_file: Option<PathBuf>,
    /// The variable of the environment with the API key
    #[arg(long, value_name = "NAME", requires = "server", conflicts_with = "key_file")]
    key_env: Option<String>,
    /// How the key of a feed or a TAXII server is shown: bearer, basic (user:password) or bare
    #[arg(long, value_name = "SCHEME", conflicts_with = "misp", value_parser = scheme)]
    #[arg(default_value = "bearer")]
    auth: KeyScheme,
    /// Trust these authorities alone (PEM); by default the system's
    #[arg(long, value_name = "FILE", requires = "server")]
    ca_file: Option<PathBuf>,
    /// Go through this proxy; "": through none; by default as HTTPS_PROXY says
    #[arg(long, value_name = "URL", requires = "server")]
    proxy: Option<String>,
    /// Allow http:// to another host
    #[arg(long, requires = "server")]
    allow_plain_http: bool,
    /// Seconds of silence after which the server is left
    #[arg(long, value_name = "SECS", requires = "server", default_value_t = READ_SECS)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3_600))]
    timeout_secs: u32,
    /// Match only attributes with this tag; with ! before it, only those without; repeatable
    #[arg(long = "tag", value_name = "[!]TAG", requires = "misp")]
    tag: Vec<String>,
    /// Match nothing with a stricter marking
    #[arg(long, value_name = "TLP", requires = "misp")]
    max_tlp: Option<String>,
    /// Fetch attributes whose to_ids is false, too
    #[arg(long, requires = "misp")]
    include_non_ids: bool,
    /// Fetch scores of decaying models, for --exclude-decayed; servers work them out one by one
    #[arg(long, requires = "misp")]
    decay_scores: bool,
    /// Fetch sightings: counts in alerts, and the ends that they set
    #[arg(long, requires = "misp")]
    sightings: bool,
    /// Match attributes of events that are not published, too
    #[arg(long, requires = "misp")]
    include_unpublished: bool,
    /// Fetch attributes of all types, also of those that match nothing
    #[arg(long, requires = "misp")]
    all_types: bool,
    /// Attributes of one page
    #[arg(long, value_name = "N", requires = "misp", default_value_t = PAGE_ATTRIBUTES)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    page: u32,
    /// Fetch the server's warninglists, too: into FOLDER/.warninglists, which --warninglists takes
    #[arg(long, requires = "misp")]
    warninglists: bool,
    /// Compare everything, even if that is not due
    #[arg(long)]
    full: bool,
    /// Believe a server that has far less than before
    #[arg(long)]
    force: bool,
    /// Write a JSON line for each server
    #[arg(long)]
    json: bool,
}

/// What became of one server, for people and programs.
#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    folder: String,
    ok: bool,
    full: bool,
    new: u64,
    changed: u64,
    gone: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Pulls, and tells a line for each server.
///
/// # Errors
/// The settings are wrong, or nothing could be pulled.
pub fn run(arguments: &PullArguments) -> Result<u8, Failure> {
    let (mut remotes, mirror) = match &arguments.config {
        Some(path) => of_config(path)?,
        None => (vec![one(arguments)?], MirrorConfig::default()),
    };
    for remote in &mut remotes {
        if let RemoteKind::Misp(settings) = &mut remote.kind
            && arguments.force
        {
            settings.shrink_percent_min = 0;
        }
    }
    log::start(LogFormat::Text);
    let scope = if arguments.full { Scope::Everything } else { Scope::Due };
    let folder = |remote: &Remote| match &arguments.to {
        Some(folder) => folder.clone(),
        None => remote.folder(&mirror.path),
    };
    let (tell, told) = channel();
    let mut outcomes = Vec::new();
    std::thread::scope(|threads| {
        for remote in &remotes {
            let (tell, folder) = (tell.clone(), folder(remote));
            let bytes_max = mirror.bytes_max();
            threads.spawn(move || {
                let begun = Instant::now();
                let outcome = remote.pull(&folder, bytes_max, scope);
                // whoever reads ends only when all have told
                let _read = tell.send((remote, folder, outcome, begun.elapsed()));
            });
        }
        drop(tell);
        told.iter().try_for_each(|(remote, folder, outcome, took)| {
            let line = Line::of(remote, &folder, &outcome, took.as_secs_f64());
            outcomes.push(outcome.map(|pulled| pulled.trouble.is_none()));
            line.write(arguments.json)
        })
    })?;
    let (whole, none) = (
        outcomes.iter().all(|outcome| matches!(outcome, Ok(true))),
        outcomes.iter().all(Result::is_err),
    );
    match (whole, none) {
        (true, _) => Ok(DONE),
        (_, true) => Err(Failure::NothingPulled),
        _ => Ok(DAMAGED),
    }
}

fn of_config(path: &Path) -> Result<(Vec<Remote>, MirrorConfig), Failure> {
    let config = Config::read(path)?;
    if config.remotes.is_empty() {
        let what = "no [[intel]] of it is a server: give one as `misp`, `feed` or `taxii`";
        return Err(Failure::Usage(format!("{}: {what}", path.display())));
    }
    // what root wrote the sensor could not replace
    assume_user(&config.confinement)?;
    Ok((config.remotes, config.mirror))
}

/// Returns the server that the command line names.
fn one(arguments: &PullArguments) -> Result<Remote, Failure> {
    let named =
        [("--misp", &arguments.misp), ("--feed", &arguments.feed), ("--taxii", &arguments.taxii)];
    let mut named = named.into_iter().filter_map(|(option, url)| Some((option, url.as_deref()?)));
    let (option, text) = named.next().unwrap_or_default();
    let url = address(text, arguments.allow_plain_http).map_err(|what| usage(option, &what))?;
    let place_of_key = match (&arguments.key_file, &arguments.key_env) {
        (Some(path), _) => KeyPlace::File(path.clone()),
        (None, Some(name)) => KeyPlace::Environment(name.clone()),
        (None, None) if option == "--misp" => {
            let what = "MISP wants a key: give --key-file or --key-env".to_owned();
            return Err(Failure::Usage(what));
        }
        (None, None) => KeyPlace::None,
    };
    let (scheme, kind) = match option {
        "--feed" => (arguments.auth, RemoteKind::Feed),
        "--taxii" => (arguments.auth, RemoteKind::Taxii),
        _ => (KeyScheme::Bare, RemoteKind::Misp(misp(arguments)?)),
    };
    let proxy = match arguments.proxy.as_deref() {
        None => ProxyRule::Environment,
        Some("") => ProxyRule::Direct,
        Some(text) => {
            ProxyRule::Through(address(text, true).map_err(|what| usage("--proxy", &what))?)
        }
    };
    let label = place(&url);
    let http = HttpSettings {
        key: Key { place: place_of_key, scheme },
        ca_file: arguments.ca_file.clone(),
        proxy,
        read_secs: arguments.timeout_secs,
        ..HttpSettings::new(url)
    };
    let (name, period_secs, reconcile_hours) = (name_of(&label), 0, RECONCILE_HOURS);
    let list_form = arguments.list_form.clone();
    Ok(Remote { name, label, http, period_secs, reconcile_hours, list_form, kind })
}

/// Returns what is asked of a MISP server.
fn misp(arguments: &PullArguments) -> Result<MispSettings, Failure> {
    for tag in &arguments.tag {
        TagRule::from_text(tag).map_err(|what| usage("--tag", &what))?;
    }
    if let Some(word) = arguments.max_tlp.as_deref().filter(|word| Tlp::from_word(word).is_none()) {
        let what = format!("`{word}` is none of clear, green, amber, amber+strict and red");
        return Err(usage("--max-tlp", &what));
    }
    let default = MispSettings::default();
    Ok(MispSettings {
        types: if arguments.all_types { Vec::new() } else { default.types },
        tags: arguments.tag.clone(),
        max_tlp: arguments.max_tlp.clone(),
        published_only: !arguments.include_unpublished,
        include_non_ids: arguments.include_non_ids,
        decay_scores: arguments.decay_scores,
        sightings: arguments.sightings,
        page_attributes: arguments.page,
        warninglists: arguments.warninglists,
        ..MispSettings::default()
    })
}

fn usage(option: &str, what: &str) -> Failure {
    Failure::Usage(format!("{option}: {what}"))
}

fn scheme(name: &str) -> Result<KeyScheme, String> {
    KeyScheme::from_name(name).ok_or_else(|| "bearer, basic or bare is wanted".to_owned())
}

impl<'a> Line<'a> {
    fn of(
        remote: &'a Remote,
        folder: &Path,
        outcome: &Result<Pulled, RemoteError>,
        seconds: f64,
    ) -> Self {
        let none = Pulled::default();
        let pulled = outcome.as_ref().unwrap_or(&none);
        let error = outcome.as_ref().map_or_else(Some, |pulled| pulled.trouble.as_ref());
        Self {
            source: &remote.label,
            folder: folder.display().to_string(),
            ok: outcome.is_ok(),
            full: pulled.is_full,
            new: pulled.new,
            changed: pulled.changed,
            gone: pulled.gone,
            seconds,
            reason: error.map(RemoteError::reason),
            error: error.map(ToString::to_string),
        }
    }

    fn write(&self, json: bool) -> Result<(), Failure> {
        if json {
            // numbers and texts: nothing that JSON lacks
            let line = serde_json::to_string(self).unwrap_or_default();
            return writeln!(io::stdout(), "{line}").map_err(Failure::Told);
        }
        if let Some(error) = &self.error {
            output::say(&format!("tapsieve: {error}\n"));
        }
        if !self.ok {
            return Ok(());
        }
        let Self { source, new, changed, gone, seconds, .. } = self;
        let what = if self.full { "everything compared" } else { "changes alone" };
        let line = format!(
            "{}: {new} new, {changed} changed, {gone} gone, in {seconds:.1} s; {what}",
            plain(source)
        );
        writeln!(io::stdout(), "{line}").map_err(Failure::Told)
    }
}
