//! Servers that fail, each in its own way: what was pulled before stays, a line says why, and what
//! mends is had without loss.

use std::time::Duration;

use tapsieve::control::intel::misp::WARNINGLISTS;

use super::agreement::sample;
use super::puller::Puller;
use super::puller::attributes;
use super::stand::Authority;
use super::stand::Fault;
use super::stand::Good;
use super::stand::Rule;
use super::stand::Stand;

const ATTRIBUTES: &str = "/attributes/restSearch";

/// Seconds that a pull may take, all its tries and pauses together, while others run beside.
const PULL_SECS: u64 = 100;

/// A page that is not made smaller when it is too much for a server: it is tried a few times.
const SMALL: &[&str] = &["--page", "500"];

/// A server of which all was pulled, whose next pull has something new to bring.
fn pulled_once() -> (Stand, Puller, usize) {
    let stand = Stand::new(sample());
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, SMALL);
    let before = puller.attributes().len();
    assert!(before > 20, "{before}");
    stand.edit(|state| {
        state.attribute(1, "ip-dst", "30.44.77.1");
        state.attribute(1, "domain", "new.example");
    });
    (stand, puller, before)
}

/// A fault that stays fails the pull, in plain words, and changes nothing; mended, all is there.
fn stays(fault: Fault, says: &str) {
    let (stand, puller, before) = pulled_once();
    stand.fail(Rule::on(ATTRIBUTES, fault));
    let pulled = puller.pull(&stand.url(), SMALL, PULL_SECS);
    assert_eq!(pulled.code, 1, "{fault:?}: {}", pulled.stderr);
    // what is tried again is told, too, before: it ends with one line of why, and what came of it
    let place = format!("tapsieve: {}", stand.url());
    let why = pulled.stderr.lines().filter(|line| line.starts_with(&place)).collect::<Vec<_>>();
    let [why] = why[..] else { panic!("{fault:?}: {}", pulled.stderr) };
    assert!(why.contains(says), "{fault:?}: no {says} in {why}");
    assert!(why.len() < 500, "{fault:?}: {why}");
    assert!(!pulled.stderr.contains(super::stand::KEY), "{fault:?}: {}", pulled.stderr);
    assert_eq!(puller.attributes().len(), before, "{fault:?}");
    stand.mend();
    puller.pull_well(&stand, SMALL);
    assert_eq!(puller.attributes().len(), before + 2, "{fault:?}");
}

/// A fault that passes costs time and nothing else.
fn passes(fault: Fault) {
    let (stand, puller, before) = pulled_once();
    stand.fail(Rule::on(ATTRIBUTES, fault).times(2));
    let pulled = puller.pull(&stand.url(), SMALL, PULL_SECS);
    assert_eq!(pulled.code, 0, "{fault:?}: {}", pulled.stderr);
    assert_eq!(puller.attributes().len(), before + 2, "{fault:?}");
}

/// Runs each at once: they wait more than they work.
pub(super) fn all<T: Copy + Send>(cases: &[T], test: impl Fn(T) + Copy + Send) {
    std::thread::scope(|scope| {
        let started = cases.iter().map(|&case| scope.spawn(move || test(case)));
        let started = started.collect::<Vec<_>>();
        for one in started {
            if let Err(why) = one.join() {
                std::panic::resume_unwind(why);
            }
        }
    });
}

#[test]
fn a_fault_that_stays_leaves_the_last_good_copy() {
    all(
        &[
            (Fault::GatewayTimeout, "504"),
            (Fault::ServerError, "500: An Internal Error Has Occurred."),
            (Fault::EmptyServerError, "500"),
            (Fault::LoginPage, "instead of JSON"),
            (Fault::ErrorInside, "Could not search"),
            (Fault::Forbidden, "API searches are not allowed for this user role."),
            (Fault::Cut { percent: 50 }, "cut"),
            (Fault::CutUnannounced { percent: 50 }, "cut"),
            (Fault::Torn { percent: 50 }, "cut"),
            (Fault::Nothing, "cut"),
            (Fault::RedirectLoop, "redirects to"),
            (Fault::Endless, "an answer of over "),
            (Fault::Deep { levels: 1_000, is_field: false }, "not JSON as MISP writes it"),
            (Fault::Deep { levels: 100_000_000, is_field: true }, "4,096 levels"),
        ],
        |(fault, says)| stays(fault, says),
    );
}

/// What lists nothing in a shape that MISP does not give is no empty list: nothing is gone.
#[test]
fn an_answer_of_another_shape_takes_nothing_away() {
    let shapes = [
        r#"{"response":[[]]}"#,
        r#"{"response":"x"}"#,
        r#"{"response":{}}"#,
        r#"{"response":null}"#,
        r#"{"response":{"Attribute":"none"}}"#,
        r#"{"response":[{"Attribute":[]}]}"#,
        "{}",
        "null",
        "[[]]",
    ];
    let cases = ["/attributes/restSearch", "/objects/restSearch", "/events/restSearch"];
    let cases = cases.iter().flat_map(|path| shapes.map(|shape| (*path, shape)));
    all(&cases.collect::<Vec<_>>(), |(path, shape)| {
        let (stand, puller, before) = pulled_once();
        stand.fail(Rule::on(path, Fault::Instead(shape)));
        let pulled = puller.pull(&stand.url(), &[SMALL, &["--full"]].concat(), PULL_SECS);
        assert_eq!(pulled.code, 1, "{path} {shape}: {}", pulled.stderr);
        let is_told = ["not JSON as MISP writes it", "an answer without indicators"];
        let is_told = is_told.iter().any(|what| pulled.stderr.contains(what));
        assert!(is_told, "{path} {shape}: {}", pulled.stderr);
        assert_eq!(puller.attributes().len(), before, "{path} {shape}");
    });
}

#[test]
fn a_warninglist_that_is_none_is_asked_for_again() {
    let (stand, puller, _) = pulled_once();
    let lists = puller.pulled().join(WARNINGLISTS);
    let all = [SMALL, &["--full", "--warninglists"]].concat();
    for wrong in ["{}", "[]", r#"{"message":"Invalid"}"#, r#"{"Warninglist":"x"}"#, "<html>"] {
        stand.fail(Rule::on("/warninglists/view", Fault::Instead(wrong)));
        let pulled = puller.pull(&stand.url(), &all, PULL_SECS);
        assert_eq!(pulled.code, 3, "{wrong}: {}", pulled.stderr);
        assert!(pulled.stderr.contains("no warninglist: "), "{wrong}: {}", pulled.stderr);
        let is_list = |name: &str| name.ends_with(".json");
        let files = std::fs::read_dir(&lists).expect("a folder").map(|file| file.expect("one"));
        let left = files.filter(|file| is_list(&file.file_name().to_string_lossy())).count();
        assert_eq!(left, 0, "{wrong}");
        stand.mend();
    }
    puller.pull_well(&stand, &all);
    assert!(lists.join("1-20260101.json").exists());
}

#[test]
fn a_fault_that_passes_costs_time_alone() {
    all(
        &[
            Fault::TooMany { says_when: true, secs: 1 },
            Fault::TooMany { says_when: false, secs: 1 },
            Fault::GatewayTimeout,
            Fault::ServerError,
            Fault::EmptyServerError,
            Fault::Cut { percent: 50 },
            Fault::CutUnannounced { percent: 99 },
            Fault::Torn { percent: 90 },
            Fault::Silence(Duration::from_secs(2)),
            Fault::RedirectHere,
        ],
        passes,
    );
}

#[test]
fn what_is_odd_and_right_is_taken() {
    all(&[Fault::WrongType, Fault::Trickle], |fault| {
        let (stand, puller, before) = pulled_once();
        stand.fail(Rule::on(ATTRIBUTES, fault));
        let pulled = puller.pull(&stand.url(), SMALL, PULL_SECS);
        assert_eq!(pulled.code, 0, "{fault:?}: {}", pulled.stderr);
        assert_eq!(puller.attributes().len(), before + 2, "{fault:?}");
    });
}

#[test]
fn of_several_servers_one_that_fails_keeps_its_copy_and_the_others_are_pulled() {
    let (one, puller, before) = pulled_once();
    let mut other = Stand::new(sample());
    std::fs::write(puller.path("other.pem"), other.authority().pem()).expect("written");
    let config = |mebibytes: u32| {
        let server = |name: &str, url: &str, ca: &str| {
            format!(
                "[[intel]]\nmisp = \"{url}\"\nname = \"{name}\"\nkey_file = \"key\"\n\
                 ca_file = \"{ca}\"\npage_attributes = 500\n"
            )
        };
        let servers =
            server("one", &one.url(), "ca.pem") + &server("other", &other.url(), "other.pem");
        let text = format!(
            "[sensor]\nname = \"s\"\n[[capture]]\ninterface = \"lo\"\n{servers}[[sink]]\n\
             type = \"file\"\npath = \"alerts\"\n[mirror]\npath = \"mirrors\"\n\
             mebibytes = {mebibytes}\n[drop]\nuser = \"\"\n"
        );
        std::fs::write(puller.path("s.toml"), text).expect("written");
    };
    config(8);
    let pull = |code: i32| {
        let mut command = crate::run::tapsieve(&puller.path(""));
        command.args(["intel", "pull", "--config", "s.toml", "--full"]);
        let pulled = puller.bounded(&mut command, Duration::from_secs(PULL_SECS));
        assert_eq!(pulled.code, code, "{}", pulled.stderr);
        let of = |name: &str| attributes(&puller.path("mirrors").join(name)).len();
        ([of("one"), of("other")], pulled.stderr)
    };
    assert_eq!(pull(0).0, [before + 2, before]);
    other.edit(|state| state.attribute(1, "domain", "unseen.example"));
    one.edit(|state| state.attribute(1, "domain", "third.example"));
    other.close();
    let (counts, said) = pull(3);
    assert_eq!(counts, [before + 3, before]);
    assert!(said.contains(&other.url()) && said.contains(": cannot connect"), "{said}");
}

#[test]
fn a_server_that_says_when_is_left_alone_until_then() {
    all(&[false, true], |says_when| {
        let (stand, puller, before) = pulled_once();
        stand.fail(Rule::on(ATTRIBUTES, Fault::TooMany { says_when, secs: 4 }).times(1));
        stand.asked();
        puller.pull_well(&stand, SMALL);
        let asked = stand.asked_of(ATTRIBUTES);
        let pause = asked[1].at - asked[0].at;
        assert!(pause >= Duration::from_secs(4), "{says_when}: {pause:?}");
        assert_eq!(puller.attributes().len(), before + 2);
    });
}

#[test]
fn a_server_that_wants_to_be_left_alone_for_a_day_is_asked_at_the_next_pull() {
    let (stand, puller, before) = pulled_once();
    stand.fail(Rule::on(ATTRIBUTES, Fault::TooMany { says_when: true, secs: 86_400 }));
    stand.asked();
    let pulled = puller.pull(&stand.url(), SMALL, PULL_SECS);
    assert_eq!(pulled.code, 1, "{}", pulled.stderr);
    let says = "too many requests (429), it wants none for 86400 s";
    assert!(pulled.stderr.contains(says), "{}", pulled.stderr);
    assert_eq!(stand.asked_of(ATTRIBUTES).len(), 1);
    assert_eq!(puller.attributes().len(), before);
}

#[test]
fn a_redirect_to_another_host_is_refused_and_the_key_stays_here() {
    let (stand, puller, before) = pulled_once();
    let other = Stand::new(sample());
    stand.fail(Rule::on(ATTRIBUTES, Fault::RedirectAway { port: other.port() }));
    let pulled = puller.pull(&stand.url(), SMALL, PULL_SECS);
    assert_eq!(pulled.code, 1, "{}", pulled.stderr);
    let away = format!("redirects to {}", other.url());
    assert!(pulled.stderr.contains(&away), "{}", pulled.stderr);
    assert!(other.asked().is_empty());
    assert_eq!(puller.attributes().len(), before);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (stand, puller, before) = pulled_once();
    let other = Authority::new("another authority");
    for shown in [
        other.server(Good::Yes),
        stand.authority().server(Good::Elsewhere),
        stand.authority().server(Good::Once),
    ] {
        stand.show(shown);
        stand.asked();
        let pulled = puller.pull(&stand.url(), SMALL, PULL_SECS);
        assert_eq!(pulled.code, 1, "{}", pulled.stderr);
        assert!(pulled.stderr.contains("certificate is not trusted"), "{}", pulled.stderr);
        assert!(pulled.stderr.contains("ca.pem"), "{}", pulled.stderr);
        assert!(stand.asked().is_empty(), "the key was shown");
        assert_eq!(puller.attributes().len(), before);
    }
    // a new one of the same authority is as good as the old one
    stand.show(stand.authority().server(Good::Yes));
    puller.pull_well(&stand, SMALL);
    assert_eq!(puller.attributes().len(), before + 2);
}

#[test]
fn a_server_that_refuses_connections_or_hangs_is_left_in_time() {
    let (mut stand, puller, before) = pulled_once();
    stand.close();
    let pulled = puller.pull(&stand.url(), SMALL, PULL_SECS);
    assert_eq!(pulled.code, 1, "{}", pulled.stderr);
    assert!(pulled.stderr.contains("cannot connect"), "{}", pulled.stderr);
    assert_eq!(puller.attributes().len(), before);
    stand.open();
    stand.delay(Duration::from_secs(2));
    puller.pull_well(&stand, SMALL);
    assert_eq!(puller.attributes().len(), before + 2);
}

#[test]
fn a_wrong_key_says_what_to_do() {
    let (stand, puller, before) = pulled_once();
    std::fs::write(puller.path("key"), "another\n").expect("written");
    let pulled = puller.pull(&stand.url(), SMALL, PULL_SECS);
    assert_eq!(pulled.code, 1, "{}", pulled.stderr);
    assert!(pulled.stderr.contains("refused (403)"), "{}", pulled.stderr);
    assert!(pulled.stderr.contains("is the key right"), "{}", pulled.stderr);
    assert_eq!(puller.attributes().len(), before);
}
