//! The options of indicators on the command line, the same wherever indicators are read.

use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::control::intel::IntelError;
use crate::control::intel::IntelOptions;
use crate::control::intel::compile::Compiled;
use crate::control::intel::compile::compile;
use crate::control::intel::filter::Filter;
use crate::control::intel::filter::TagRule;
use crate::control::intel::list_form::ListForm;
use crate::control::intel::warninglist::Action;
use crate::control::intel::warninglist::WarninglistSettings;
use crate::control::output;
use crate::model::indicator::IndicatorType;
use crate::model::marking::Tlp;
use crate::model::policy::Policy;
use crate::model::special::is_wider_than_any;
use crate::model::validity::AsOf;
use crate::model::validity::Validity;

/// Which indicators, and which of them match.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct IntelArguments {
    /// MISP feed directory, MISP JSON, STIX bundle, CSV, plain list, Zeek intel.dat or compiled
    /// set, found by content; repeatable
    #[arg(long = "intel", value_name = "PATH")]
    pub intel: Vec<PathBuf>,

    /// How files are read that are no other format: lines, freetext, or `csv:COLUMNS[:DELIMITER]`
    /// for CSV whose columns have no names that are known, as csv:2 or csv:1,3:;
    #[arg(long, value_name = "FORM", value_parser = ListForm::from_text, default_value = "lines")]
    pub list_form: ListForm,

    /// MISP types that are off by default: user-agent, port, mac-address, AS, cookie, http-method
    #[arg(long, value_name = "TYPE", value_delimiter = ',', value_parser = opt_in_type)]
    pub opt_in: Vec<IndicatorType>,

    /// Take addresses in special-purpose ranges: private, loopback, documentation ... (RFC 6890)
    #[arg(long)]
    pub allow_special: bool,

    /// Take public suffixes and top-level domains as domains: all names under them match
    #[arg(long)]
    pub allow_public_suffix: bool,

    /// An own network: addresses in it, and prefixes in or around it, are no indicators; repeatable
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub own_network: Vec<IpNet>,

    /// Match attributes whose to_ids is false, too
    #[arg(long)]
    pub include_non_ids: bool,

    /// Take addresses in objects like ip-port without their ports, and each half of a domain-ip
    #[arg(long)]
    pub objects_in_parts: bool,

    /// Match only attributes with this tag, of their own or their event's (* stands for anything);
    /// with ! before it, only those without; repeatable
    #[arg(long = "tag", value_name = "[!]TAG", value_parser = TagRule::from_text)]
    pub tag: Vec<TagRule>,

    /// Match nothing with a stricter marking: clear, green, amber, amber+strict, red
    #[arg(long, value_name = "TLP", value_parser = tlp)]
    pub max_tlp: Option<Tlp>,

    /// Leave out attributes whose time is over by all of MISP's decaying models (decay_score)
    #[arg(long)]
    pub exclude_decayed: bool,

    /// Leave out what was last seen, or else changed, longer ago; see --as-of
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_age_days: Option<u32>,

    /// Which time ages are judged at: that of the packet, now (when indicators are read), or off
    #[arg(long, value_name = "TIME", value_parser = as_of, default_value = "packet")]
    pub as_of: AsOf,

    /// Warninglists: a folder as misp-warninglists has it, or one list; ACTION (drop, downgrade,
    /// inform) is for all in it, else as their category says; repeatable
    #[arg(long, value_name = "PATH[=ACTION]", value_parser = warninglists)]
    pub warninglists: Vec<(PathBuf, Option<Action>)>,

    /// What one warninglist does, by its name or folder: drop, downgrade, inform, off; repeatable
    #[arg(long, value_name = "NAME=ACTION", value_parser = warninglist_action)]
    pub warninglist_action: Vec<(String, Option<Action>)>,

    /// Look for the hosts of URLs in TLS server names, where nothing else of a URL is visible
    #[arg(long)]
    pub tls_url_hosts: bool,
}

impl IntelArguments {
    /// Tells whether no indicators were named.
    pub fn is_empty(&self) -> bool {
        self.intel.is_empty()
    }

    /// Reads and compiles the indicators.
    ///
    /// # Errors
    /// Nothing usable is in them.
    pub fn compile(&self) -> Result<Compiled, IntelError> {
        let compiled = compile(&self.intel, &self.options())?;
        output::say_all(&compiled.notes);
        Ok(compiled)
    }

    /// Returns the decided options.
    pub fn options(&self) -> IntelOptions {
        let policy = Policy {
            allow_special: self.allow_special,
            allow_public_suffix: self.allow_public_suffix,
            own_networks: self.own_network.clone(),
            tls_url_hosts: self.tls_url_hosts,
            opt_in: self.opt_in.clone(),
        };
        let lists = self.warninglist_action.iter().cloned();
        let inputs = self.warninglists.clone();
        let warninglists = WarninglistSettings { inputs, lists: lists.collect() };
        let include_non_ids = self.include_non_ids;
        let filter = Filter {
            tags: self.tag.clone(),
            tlp_max: self.max_tlp,
            published_only: false,
            exclude_decayed: self.exclude_decayed,
            validity: self.validity(),
        };
        IntelOptions {
            policy,
            include_non_ids,
            objects_in_parts: self.objects_in_parts,
            filter,
            warninglists,
            list_forms: vec![(PathBuf::new(), self.list_form.clone())],
            canary: false,
        }
    }

    /// Returns how old indicators may be.
    pub fn validity(&self) -> Validity {
        Validity { as_of: self.as_of, days_max: self.max_age_days }
    }
}

/// Reads a network: an address, or a prefix, of which bits below its mask are ignored.
///
/// # Errors
/// It is none.
pub fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
    let net = text.parse::<IpNet>().map(|net| net.trunc()).or_else(|_| address());
    let what = "not a network: give an address or a prefix, as 192.0.2.0/24";
    let net = net.map_err(|_| what.to_owned())?;
    match is_wider_than_any(net) {
        true => Err(format!("{net} is wider than any network: no indicator in it would match")),
        false => Ok(net),
    }
}

fn tlp(word: &str) -> Result<Tlp, String> {
    let what = "clear, green, amber, amber+strict or red is wanted";
    Tlp::from_word(word).ok_or_else(|| what.to_owned())
}

fn as_of(word: &str) -> Result<AsOf, String> {
    match word {
        "packet" => Ok(AsOf::Packet),
        "now" => Ok(AsOf::Now),
        "off" => Ok(AsOf::Off),
        _ => Err("packet, now or off is wanted".to_owned()),
    }
}

fn warninglists(text: &str) -> Result<(PathBuf, Option<Action>), String> {
    let parts = text.rsplit_once('=');
    if let Some((path, name)) = parts
        && Action::from_name(name).is_none()
        && !Path::new(text).exists()
        && Path::new(path).exists()
    {
        let names = Action::ALL.map(Action::name).join(", ");
        return Err(format!("{name:?} is nothing to do with what {path} names: give {names}"));
    }
    let named = parts.and_then(|(path, name)| Some((path, Action::from_name(name)?)));
    Ok(match named {
        Some((path, action)) => (PathBuf::from(path), Some(action)),
        None => (PathBuf::from(text), None),
    })
}

fn warninglist_action(text: &str) -> Result<(String, Option<Action>), String> {
    let (name, action) = text.rsplit_once('=').ok_or("NAME=ACTION is wanted")?;
    let action = match Action::from_name(action) {
        None if action != "off" => {
            return Err("drop, downgrade, inform or off is wanted".to_owned());
        }
        action => action,
    };
    Ok((name.trim().to_lowercase(), action))
}

fn opt_in_type(name: &str) -> Result<IndicatorType, String> {
    let all = || IndicatorType::ALL.iter().filter(|ty| ty.is_opt_in());
    if let Some(ty) = all().find(|ty| ty.name().eq_ignore_ascii_case(name.trim())) {
        return Ok(*ty);
    }
    if IndicatorType::from_name(name).is_some() {
        return Err("matches without opting in".to_owned());
    }
    let names = all().map(|ty| ty.name()).collect::<Vec<_>>();
    Err(format!("not a type to opt in: give one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        intel: IntelArguments,
    }

    #[test]
    fn networks_and_actions_that_cannot_be_meant_say_so() {
        for wide in ["0.0.0.0/0", "::/0", "128.0.0.0/1", "2000::/3"] {
            let told = network(wide).expect_err(wide);
            assert!(told.contains("wider than any network"), "{told}");
        }
        for good in ["10.0.0.0/8", "fc00::/7", "192.0.2.1", "2001:db8::/32"] {
            assert!(network(good).is_ok(), "{good}");
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path().display().to_string();
        let told = warninglists(&format!("{place}=kill")).expect_err("no action");
        assert!(told.ends_with("give drop, downgrade, inform"), "{told}");
        let dropping = warninglists(&format!("{place}=drop")).expect("an action");
        assert_eq!(dropping, (folder.path().to_owned(), Some(Action::Drop)));
        // a name may have the sign in it
        let odd = folder.path().join("a=b");
        std::fs::create_dir(&odd).expect("a folder");
        let told = warninglists(&odd.display().to_string()).expect("a folder");
        assert_eq!(told, (odd, None));
    }

    #[test]
    fn types_to_opt_in_are_checked() {
        let line = ["x", "--intel", "a", "--intel", "b", "--opt-in", "user-agent,as"];
        let args = Line::try_parse_from(line).expect("a good line").intel;
        assert_eq!(args.intel.len(), 2);
        let opt_in = args.options().policy.opt_in;
        assert_eq!(opt_in, [IndicatorType::UserAgent, IndicatorType::As]);
        for bad in ["domain", "nothing"] {
            assert!(Line::try_parse_from(["x", "--opt-in", bad]).is_err(), "{bad}");
        }
    }
}
