//! Scores of decaying models and sightings that set an end: asked for where they count.

use tapsieve::control::intel::IntelOptions;
use tapsieve::control::intel::compile::compile;
use tapsieve::control::intel::filter::Filter;
use tapsieve::model::validity::AsOf;
use tapsieve::model::validity::Validity;

use super::puller::Puller;
use super::stand::Stand;
use super::stand::State;

#[test]
fn what_is_over_is_told_where_it_is_asked_for() {
    let mut state = State::default();
    let event = state.event("Times", &[]);
    for value in ["decayed.example", "ended.example", "lasting.example"] {
        state.attribute(event, "domain", value);
    }
    state.attributes[0].is_decayed = true;
    // 14 November 2023
    state.attributes[1].ends = Some(1_700_000_000);
    let stand = Stand::new(state);
    let puller = Puller::new(&stand);
    let check = |as_of: AsOf, more: &[&str], want: &[&str]| {
        puller.pull_well(&stand, more);
        let validity = Validity { as_of, days_max: None };
        let filter = Filter { exclude_decayed: true, validity, ..Filter::default() };
        let options = IntelOptions { filter, ..IntelOptions::default() };
        let set = compile(&[puller.pulled()], &options).expect("usable").set;
        let found = set.catalog.ids().map(|id| set.catalog.value(id)).collect::<Vec<_>>();
        assert_eq!(found, want, "{more:?}");
    };
    check(AsOf::Now, &[], &["decayed.example", "ended.example", "lasting.example"]);
    check(AsOf::Now, &["--decay-scores"], &["ended.example", "lasting.example"]);
    check(AsOf::Now, &["--sightings"], &["decayed.example", "lasting.example"]);
    let both = ["--sightings", "--decay-scores"];
    check(AsOf::Now, &both, &["lasting.example"]);
    // of packets it is judged when they come
    check(AsOf::Packet, &both, &["ended.example", "lasting.example"]);
}
