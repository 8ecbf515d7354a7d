//! `docs/alert.schema.json` is what the types say, and every alert is valid against it.

use std::fs;

use tapsieve::report::alert::Alert;

use crate::golden::cases;
use crate::golden::strs;
use crate::run::root;
use crate::run::run;

const PATH: &str = "docs/alert.schema.json";

#[test]
fn the_schema_is_that_of_the_types() {
    let schema = schemars::schema_for!(Alert);
    let made = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    let path = root().join(PATH);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &made).expect("write");
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    assert!(known == made, "{PATH} is stale: make bless");
}

#[test]
fn every_alert_is_valid() {
    let text = fs::read_to_string(root().join(PATH)).expect("the schema");
    let schema = serde_json::from_str(&text).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut alerts = 0;
    for case in cases() {
        let run = run(&case.folder, &strs(&case.arguments(&[&case.input])));
        for alert in run.lines() {
            let wrong: Vec<String> = validator
                .iter_errors(&alert)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(wrong.is_empty(), "{}: {wrong:?}\n{alert}", case.folder.display());
            alerts += 1;
        }
    }
    assert!(alerts > 50, "only {alerts} alerts");
}

#[test]
fn what_is_no_alert_is_invalid() {
    let schema = serde_json::to_value(schemars::schema_for!(Alert)).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(!validator.is_valid(&serde_json::json!({"@timestamp": "now"})));
}
