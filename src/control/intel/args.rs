//! The options of indicators on the command line, the same wherever indicators are read.

use std::path::PathBuf;

use crate::control::intel::IntelError;
use crate::control::intel::IntelOptions;
use crate::control::intel::compile::Compiled;
use crate::control::intel::compile::compile;
use crate::control::output;
use crate::model::indicator::IndicatorType;
use crate::model::policy::Policy;

/// Which indicators, and which of them match.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct IntelArguments {
    /// MISP feed directory, MISP JSON, CSV, plain list, Zeek intel.dat or compiled set, found by
    /// content; repeatable
    #[arg(long = "intel", value_name = "PATH")]
    pub intel: Vec<PathBuf>,

    /// MISP types that are off by default: user-agent, port, mac-address, AS, cookie, http-method
    #[arg(long, value_name = "TYPE", value_delimiter = ',', value_parser = opt_in_type)]
    pub opt_in: Vec<IndicatorType>,

    /// Take addresses in special-purpose ranges: private, loopback, documentation ... (RFC 6890)
    #[arg(long)]
    pub allow_special: bool,

    /// Match attributes whose to_ids is false, too
    #[arg(long)]
    pub include_non_ids: bool,

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
            tls_url_hosts: self.tls_url_hosts,
            opt_in: self.opt_in.clone(),
        };
        IntelOptions { policy, include_non_ids: self.include_non_ids, canary: false }
    }
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
