//! stub
use crate::model::indicator::*;
use crate::model::story::*;
use std::collections::BTreeMap;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct IntelError;
#[derive(clap::Args, Debug)]
pub struct IntelArguments {}
pub mod compile {
    use super::*;
    pub struct Compiled {
        pub set: Set,
        pub damages: Vec<String>,
        pub ledger: Ledger,
    }
}
pub struct Set;
impl Set {
    pub fn index(&self) -> &crate::pipeline::matcher::Index {
        &crate::pipeline::matcher::Index
    }
    pub fn version_text(&self) -> &str {
        ""
    }
    pub fn indicators_by_type(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::new()
    }
    pub fn bytes_by_part(&self) -> Vec<(&'static str, u64)> {
        vec![]
    }
}
impl Catalog for Set {
    fn version(&self) -> &str {
        ""
    }
    fn indicator(&self, _: IndicatorId) -> Option<(IndicatorType, &str)> {
        None
    }
    fn canonical(&self, _: IndicatorId) -> Option<String> {
        None
    }
    fn sources(&self, _: IndicatorId) -> Vec<Source> {
        vec![]
    }
}
pub struct Ledger;
impl Ledger {
    pub fn refused_by_reason(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
}
impl IntelArguments {
    pub fn compile(&self) -> Result<compile::Compiled, IntelError> {
        Err(IntelError)
    }
    pub fn is_empty(&self) -> bool {
        true
    }
}
