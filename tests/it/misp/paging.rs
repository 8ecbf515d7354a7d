//! Pages: short ones, empty ones in the middle, rows that are on two, numbers that are text; and
//! what becomes of changes and deletions between pulls.

use std::collections::BTreeSet;

use super::agreement::sample;
use super::puller::Puller;
use super::stand::Stand;
use super::stand::State;

/// Attributes on a page.
const SMALL: &[&str] = &["--page", "10"];

/// The values that were pulled.
fn values(puller: &Puller) -> BTreeSet<String> {
    puller.attributes().into_values().map(|(_, value)| value).collect()
}

/// An event of so many addresses; those between two numbers are held back by the server.
fn addresses(count: u64, held_back: std::ops::Range<u64>) -> State {
    let mut state = State::default();
    let event = state.event("Addresses", &[]);
    for number in 0..count {
        let uuid = state.attribute(event, "ip-dst", &format!("30.44.5.{number}"));
        state.named(&uuid).is_held_back = held_back.contains(&number);
    }
    state
}

#[test]
fn pages_of_which_all_is_skipped_are_not_the_last() {
    // pages 2 to 4 of ten are empty, page 1 and 5 are short
    let stand = Stand::new(addresses(77, 5..43));
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, SMALL);
    assert_eq!(puller.attributes().len(), 77 - 38);
    let pages = stand.asked_of("/attributes/restSearch").iter().map(|one| one.page()).max();
    assert!(pages >= Some(8), "{pages:?}");
}

#[test]
fn rows_that_are_on_two_pages_are_one() {
    let mut state = addresses(95, 0..0);
    state.repeats_rows = true;
    let stand = Stand::new(state);
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, SMALL);
    // `attributes` fails where one is there twice
    assert_eq!(puller.attributes().len(), 95);
}

#[test]
fn the_same_is_read_whole_in_pages_packed_and_in_numbers() {
    let whole = Stand::new(sample());
    let puller = Puller::new(&whole);
    puller.pull_well(&whole, &[]);
    let expected = puller.attributes();
    assert!(expected.len() > 20);
    for small in [false, true] {
        let stand = Stand::new(sample());
        stand.edit(|state| state.has_plain_numbers = small);
        stand.pack();
        let puller = Puller::new(&stand);
        puller.pull_well(&stand, if small { SMALL } else { &[] });
        assert_eq!(puller.attributes(), expected);
    }
}

#[test]
fn a_delta_brings_what_is_new_and_changed_and_asks_for_little() {
    let stand = Stand::new(addresses(50, 0..0));
    // what was changed in the last minutes is asked for anew
    stand.edit(|state| state.attributes.iter_mut().for_each(|one| one.timestamp -= 7_200));
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, SMALL);
    stand.asked();
    stand.edit(|state| {
        state.attribute(1, "domain", "new.example");
        let first = state.attributes[0].uuid.clone();
        state.change(&first, "30.44.6.6");
        state.publish(1);
    });
    puller.pull_well(&stand, SMALL);
    let values = values(&puller);
    assert!(values.contains("new.example") && values.contains("30.44.6.6"), "{values:?}");
    assert!(!values.contains("30.44.5.0"), "{values:?}");
    assert_eq!(values.len(), 51);
    let asked = stand.asked_of("/attributes/restSearch");
    assert!(asked.iter().all(|one| !one.body["attribute_timestamp"].is_null()), "{asked:?}");
    // what is new and what follows it, what was deleted, and what came with the event's change
    assert!(asked.len() <= 5, "{} pages", asked.len());
    stand.asked();
    puller.pull_well(&stand, SMALL);
    // what is known by now is asked for by its time alone
    let asked = stand.asked_of("/attributes/restSearch");
    assert!(asked.iter().all(|one| one.body["eventid"].is_null()), "{asked:?}");
}

#[test]
fn what_comes_from_another_server_with_its_old_times_goes_with_the_delta() {
    let stand = Stand::new(addresses(20, 0..0));
    stand.edit(|state| state.arrive(1, 90_000));
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, SMALL);
    let ja4 = "t13d1516h2_8daaf6152771_e5627efa2ab1";
    stand.edit(|state| {
        let event = state.event("From afar", &[]);
        state.attribute(event, "domain", "afar.example");
        let parts = [("ja4-fingerprint", "text", ja4), ("ja4-type", "text", "JA4")];
        state.object(event, "ja4-plus", &parts);
        state.arrive(event, 86_400);
    });
    puller.pull_well(&stand, SMALL);
    assert!(values(&puller).is_superset(&["afar.example", ja4].map(str::to_owned).into()));
    // and what was changed there since, however long ago
    stand.edit(|state| {
        let all = state.attributes.iter().map(|one| one.uuid.clone()).collect::<Vec<_>>();
        state.change(&all[3], "30.44.6.3");
        state.soft_delete(&all[4]);
        state.publish(1);
        let time = state.event_of(1).timestamp - 86_000;
        state.named(&all[3]).timestamp = time;
        state.named(&all[4]).timestamp = time;
        state.events[0].timestamp = time;
    });
    puller.pull_well(&stand, SMALL);
    let values = values(&puller);
    assert!(values.contains("30.44.6.3"), "{values:?}");
    assert!(!values.contains("30.44.5.3") && !values.contains("30.44.5.4"), "{values:?}");
    assert_eq!(values.len(), 21);
}

#[test]
fn a_soft_deletion_goes_with_the_delta() {
    for sanitises in [false, true] {
        let stand = Stand::new(addresses(20, 0..0));
        stand.edit(|state| state.sanitises = sanitises);
        let puller = Puller::new(&stand);
        puller.pull_well(&stand, &[]);
        stand.edit(|state| {
            let gone = state.attributes[7].uuid.clone();
            state.soft_delete(&gone);
            state.publish(1);
        });
        puller.pull_well(&stand, &[]);
        let values = values(&puller);
        assert!(!values.contains("30.44.5.7"), "sanitises: {sanitises}");
        assert_eq!(values.len(), 19);
    }
}

#[test]
fn one_that_becomes_another_type_goes_with_the_delta() {
    let stand = Stand::new(addresses(20, 0..0));
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, &[]);
    stand.edit(|state| {
        let uuid = state.attributes[7].uuid.clone();
        state.change(&uuid, "a remark");
        state.named(&uuid).ty = "comment".to_owned();
        // what was never asked for is not taken because it is new
        state.attribute(1, "md5", "d41d8cd98f00b204e9800998ecf8427e");
        state.publish(1);
    });
    puller.pull_well(&stand, &[]);
    assert_eq!(values(&puller).len(), 19);
    let delta = std::fs::read_to_string(puller.pulled().join("delta.misp")).expect("there");
    assert!(delta.contains("a remark") && !delta.contains("d41d8cd98f"), "{delta}");
}

#[test]
fn an_event_that_the_list_missed_is_asked_for() {
    let mut state = addresses(5, 0..0);
    let draft = state.event("Draft", &["tlp:red"]);
    let published = state.event("Published", &["tlp:green"]);
    state.attribute(draft, "domain", "draft.example");
    state.attribute(published, "domain", "published.example");
    state.unpublish(draft);
    // as when another event is deleted while the list is read
    state.unlisted = vec![draft, published];
    let stand = Stand::new(state);
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, &["--tag", "!tlp:red"]);
    let values = values(&puller);
    assert!(
        values.contains("published.example") && !values.contains("draft.example"),
        "{values:?}"
    );
}

#[test]
fn an_event_that_gets_its_tag_later_comes_whole() {
    let mut state = addresses(5, 0..0);
    state.attributes.iter_mut().for_each(|one| one.timestamp -= 7_200);
    let other = state.event("Tagged", &["tlp:green"]);
    state.attribute(other, "domain", "tagged.example");
    let stand = Stand::new(state);
    let puller = Puller::new(&stand);
    let tagged = ["--tag", "tlp:*"];
    puller.pull_well(&stand, &tagged);
    assert_eq!(values(&puller).len(), 1);
    stand.edit(|state| {
        state.events[0].tags = vec!["tlp:green".to_owned()];
        state.publish(1);
    });
    puller.pull_well(&stand, &tagged);
    assert_eq!(values(&puller).len(), 6);
}

#[test]
fn hard_deletion_and_unpublishing_go_with_reconciliation() {
    let mut state = addresses(20, 0..0);
    let other = state.event("Another", &[]);
    state.attribute(other, "domain", "other.example");
    let stand = Stand::new(state);
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, &[]);
    assert_eq!(puller.attributes().len(), 21);
    stand.edit(|state| {
        let gone = state.attributes[3].uuid.clone();
        state.hard_delete(&gone);
        state.publish(1);
        state.unpublish(other);
    });
    puller.pull_well(&stand, &["--full"]);
    let values = values(&puller);
    assert!(!values.contains("30.44.5.3") && !values.contains("other.example"), "{values:?}");
    assert_eq!(values.len(), 19);
}

#[test]
fn a_reconciliation_that_saw_an_error_takes_nothing_away() {
    use super::stand::Fault;
    use super::stand::Rule;
    let stand = Stand::new(addresses(50, 0..0));
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, SMALL);
    stand.edit(|state| {
        let gone = state.attributes[3].uuid.clone();
        state.hard_delete(&gone);
        state.publish(1);
    });
    stand.fail(Rule::on("/attributes/restSearch", Fault::ServerError).page(4));
    let pulled = puller.pull(&stand.url(), &[SMALL, &["--full"]].concat(), 100);
    assert_ne!(pulled.code, 0, "{}", pulled.stderr);
    assert_eq!(puller.attributes().len(), 50);
    stand.mend();
    puller.pull_well(&stand, &[SMALL, &["--full"]].concat());
    assert_eq!(puller.attributes().len(), 49);
}

#[test]
fn requests_are_such_as_misp_knows() {
    let stand = Stand::new(sample());
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, &[]);
    puller.pull_well(&stand, &[]);
    for asked in stand.asked() {
        assert_eq!(asked.unknown(), Vec::<String>::new(), "{}", asked.path);
        assert_eq!(asked.key.as_deref(), Some(super::stand::KEY));
    }
}

/// A number of events of as many addresses each.
fn events_of(events: u64, addresses: u64) -> State {
    let mut state = State::default();
    for number in 0..events {
        let event = state.event("Addresses", &[]);
        for address in 0..addresses {
            state.attribute(event, "ip-dst", &format!("30.44.{number}.{address}"));
        }
    }
    state
}

#[test]
fn what_is_deleted_while_pages_are_read_hides_nothing_else() {
    let delete = |count: usize, is_soft: bool| {
        move |state: &mut State| {
            let first = state.attributes.iter().take(count).map(|one| one.uuid.clone());
            for uuid in first.collect::<Vec<_>>() {
                if is_soft { state.soft_delete(&uuid) } else { state.hard_delete(&uuid) }
            }
        }
    };
    // parts of one page, of several, and of nobody knows how many
    for (events, addresses, counts_nothing) in [(20, 3, false), (2, 30, false), (2, 30, true)] {
        for is_soft in [true, false] {
            let stand = Stand::new(events_of(events, addresses));
            stand.edit(|state| state.counts_nothing = counts_nothing);
            stand.after("/attributes/restSearch", 1, delete(10, is_soft));
            let puller = Puller::new(&stand);
            puller.pull_well(&stand, &[SMALL, &["--include-unpublished"]].concat());
            let alive = stand.edit(|state| {
                let alive = state.attributes.iter().filter(|one| !one.deleted);
                alive.map(|one| one.value.clone()).collect::<BTreeSet<_>>()
            });
            assert_eq!(alive.len(), 50);
            let case = format!("{events} events, no counts: {counts_nothing}, soft: {is_soft}");
            assert!(values(&puller).is_superset(&alive), "{case}: {}", values(&puller).len());
        }
    }
}

#[test]
fn an_event_that_was_still_being_saved_comes_whole_later() {
    for counts_nothing in [false, true] {
        let mut state = addresses(5, 0..0);
        state.counts_nothing = counts_nothing;
        let event = state.event("In the making", &[]);
        state.attribute(event, "domain", "first.example");
        state.arrive(event, 7_200);
        state.unpublish(event);
        let stand = Stand::new(state);
        let puller = Puller::new(&stand);
        puller.pull_well(&stand, &[]);
        assert_eq!(values(&puller).len(), 5);
        stand.edit(|state| {
            let late = state.attribute(event, "domain", "second.example");
            state.named(&late).timestamp -= 90_000;
            state.publish(event);
        });
        puller.pull_well(&stand, &[]);
        let values = values(&puller);
        assert!(values.contains("second.example"), "{counts_nothing}: {values:?}");
        assert_eq!(values.len(), 7);
    }
}

#[test]
fn an_event_that_is_known_by_what_is_new_in_it_alone_is_asked_for() {
    let stand = Stand::new(addresses(5, 0..0));
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, &[]);
    stand.edit(|state| {
        let event = state.event("Unlisted", &[]);
        state.attribute(event, "domain", "new.example");
        state.unlisted = vec![event];
    });
    puller.pull_well(&stand, &[]);
    assert!(values(&puller).contains("new.example"), "{:?}", values(&puller));
}

#[test]
fn an_event_that_is_made_anew_under_another_number_keeps_its_objects() {
    let ja4 = "t13d1516h2_8daaf6152771_e5627efa2ab1";
    let mut state = addresses(5, 0..0);
    let event = state.event("JA4", &[]);
    let parts = [("ja4-fingerprint", "text", ja4), ("ja4-type", "text", "JA4")];
    state.object(event, "ja4-plus", &parts);
    state.arrive(event, 7_200);
    let stand = Stand::new(state);
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, &[]);
    assert!(values(&puller).contains(ja4));
    stand.edit(|state| {
        let again = state.event("Another", &[]);
        let uuids = [event, again].map(|id| state.event_of(id).uuid.clone());
        state.renumber(event, again, uuids);
    });
    puller.pull_well(&stand, &[]);
    assert!(values(&puller).contains(ja4), "{:?}", values(&puller));
}

#[test]
fn a_server_that_has_lost_its_data_is_not_believed() {
    let stand = Stand::new(addresses(20, 0..0));
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, &[]);
    let gone = stand.edit(|state| state.attributes.split_off(9));
    for keeps in [9, 0] {
        stand.edit(|state| state.attributes.truncate(keeps));
        let pulled = puller.pull(&stand.url(), &["--full"], 60);
        assert_eq!(pulled.code, 1, "{}", pulled.stderr);
        let says = format!("{keeps} attributes, where there were 20: fewer than 50 percent");
        assert!(pulled.stderr.contains(&says), "{}", pulled.stderr);
        assert_eq!(puller.attributes().len(), 20);
    }
    puller.pull_well(&stand, &["--full", "--force"]);
    let base = std::fs::read_to_string(puller.pulled().join("base.misp")).expect("there");
    assert!(base.ends_with("{\"end\":0}\n"), "{base}");
    stand.edit(|state| state.attributes = gone);
    puller.pull_well(&stand, &["--full"]);
    assert_eq!(puller.attributes().len(), 11);
}

#[test]
fn tags_that_are_not_exported_are_judged() {
    let mut state = addresses(5, 0..0);
    let event = state.event("Rejected", &["workflow:state=\"rejected\""]);
    state.attribute(event, "domain", "rejected.example");
    state.unexported_tags.insert("workflow:state=\"rejected\"");
    let stand = Stand::new(state);
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, &["--tag", "!workflow:*"]);
    assert_eq!(values(&puller).len(), 5);
}

#[test]
fn a_warninglist_that_grows_is_fetched_with_the_next_changes() {
    let mut state = addresses(5, 0..0);
    state.warninglist("Names of others", "hostname", &["common.example"]);
    let stand = Stand::new(state);
    let puller = Puller::new(&stand);
    let lists = ["--warninglists"];
    puller.pull_well(&stand, &lists);
    stand.edit(|state| {
        state.warninglists[0].values.push("shared.example".to_owned());
        state.warninglists[0].version += 1;
    });
    stand.asked();
    puller.pull_well(&stand, &lists);
    assert_eq!(stand.asked_of("/warninglists/view").len(), 1);
    let file = puller.pulled().join(".warninglists/1-20260102.json");
    assert!(std::fs::read_to_string(file).expect("there").contains("shared.example"));
    stand.asked();
    puller.pull_well(&stand, &lists);
    assert_eq!(stand.asked_of("/warninglists/view").len(), 0);
}
