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

#[test]
fn what_is_over_is_so_in_objects_too_and_stays_so_when_they_change() {
    let mut state = State::default();
    let event = state.event("Objects", &[]);
    let mut object = |address: &str| {
        let port = ("dst-port", "port", "443");
        state.object(event, "ip-port", &[("ip", "ip-dst", address), port])
    };
    let (over, lasting) = (object("30.44.7.1"), object("30.44.7.2"));
    state.named(&over[0]).is_decayed = true;
    state.attributes.iter_mut().for_each(|one| one.timestamp -= 7_200);
    let stand = Stand::new(state);
    let puller = Puller::new(&stand);
    let check = |want: &[&str]| {
        puller.pull_well(&stand, &["--decay-scores"]);
        let filter = Filter { exclude_decayed: true, ..Filter::default() };
        let options = IntelOptions { filter, ..IntelOptions::default() };
        let set = compile(&[puller.pulled()], &options).expect("usable").set;
        let found = set.catalog.ids().map(|id| set.catalog.value(id)).collect::<Vec<_>>();
        assert_eq!(found, want);
    };
    check(&["30.44.7.2|443"]);
    stand.edit(|state| {
        state.change(&over[1], "8443");
        state.change(&lasting[1], "8444");
        state.publish(event);
    });
    check(&["30.44.7.2|8444"]);
}
