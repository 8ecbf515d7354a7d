//! Fuzz entry: a file of indicators, of any format.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::control::intel::IntelError;
use crate::control::intel::IntelOptions;
use crate::control::intel::compile::Compiled;
use crate::control::intel::compile::compile;
use crate::control::intel::warninglist::Action;
use crate::control::intel::warninglist::WarninglistSettings;
use crate::model::indicator::IndicatorType;
use crate::model::policy::Policy;

/// Numbers the files, since tests run on several threads.
static FILES: AtomicU64 = AtomicU64::new(0);

/// Compiles any bytes as a feed, strictly, with everything allowed, and with themselves as a
/// warninglist: totals add up, errors are one line, and the same file makes the same set.
pub fn fuzz(data: &[u8]) {
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let name = format!("tapsieve-fuzz-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::write(&path, data).expect("a file in the folder for temporary ones");
    let opt_in = IndicatorType::ALL.to_vec();
    let all = Policy { tls_url_hosts: true, opt_in, ..Policy::wide() };
    let strict = made(&path, &IntelOptions::default());
    let wide = made(
        &path,
        &IntelOptions { policy: all, include_non_ids: true, ..IntelOptions::default() },
    );
    let again = made(&path, &IntelOptions::default());
    let inputs = vec![(path.clone(), Some(Action::Drop))];
    let warninglists = WarninglistSettings { inputs, ..WarninglistSettings::default() };
    let listed = made(&path, &IntelOptions { warninglists, ..IntelOptions::default() });
    fs::remove_file(&path).expect("the file");
    assert_eq!(version(&strict), version(&again));
    if let (Ok(listed), Ok(strict)) = (&listed, &strict) {
        assert!(listed.ledger.accepted_total() <= strict.ledger.accepted_total());
    }
    if let Ok(compiled) = &strict {
        let wider = wide.as_ref().map(|wide| wide.ledger.accepted_total());
        assert!(wider.is_ok_and(|wider| wider >= compiled.ledger.accepted_total()));
    }
}

fn made(path: &PathBuf, options: &IntelOptions) -> Result<Compiled, IntelError> {
    let made = compile(std::slice::from_ref(path), options);
    match &made {
        Ok(compiled) => {
            let ledger = &compiled.ledger;
            assert_eq!(ledger.seen, ledger.accepted_total() + ledger.left_out_total());
            assert!(compiled.set.indicators_by_type().values().sum::<u64>() > 0);
            for damage in &compiled.damages {
                assert!(!damage.to_string().contains('\n'), "{damage:?} is not one line");
            }
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error:?} is not one line"),
    }
    made
}

fn version(made: &Result<Compiled, IntelError>) -> Option<&str> {
    made.as_ref().ok().map(|compiled| compiled.set.version_text())
}
