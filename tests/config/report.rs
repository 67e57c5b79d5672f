//! The report as a whole: its order, its picture, its end; files that are no config file at all.

use super::{in_service, lines, plan};
use bootstrap::config::{Problem, load, parse};
use bootstrap::limits::{CONFIG_BYTES, MISTAKES_SHOWN};
use proptest::prelude::*;

#[test]
fn syntax_and_all_else_are_told_together() {
    let text = include_str!("syntax.toml");
    let expected = include_str!("syntax.lines");
    assert_eq!(lines(text).join("\n") + "\n", expected);
}

#[test]
fn the_picture_shows_place_line_and_remedy() {
    let text = include_str!("mistakes.toml");
    let picture = parse("services.toml", text).unwrap_err().render(false);
    assert_eq!(picture, include_str!("mistakes.txt"));
}

#[test]
fn colour_comes_only_when_asked_for() {
    let refused = parse("f", "x = 1").unwrap_err();
    assert!(refused.render(true).contains("\u{1b}["));
    assert!(!refused.render(false).contains('\u{1b}'));
}

#[test]
fn what_a_report_leaves_out_is_counted() {
    let text = |count: usize| {
        let keys = (0..count).map(|number| format!("zzzzz{number} = 1\n")).collect::<Vec<_>>().concat();
        format!("[bootstrap]\n{keys}{}", in_service(""))
    };
    assert_eq!(lines(&text(MISTAKES_SHOWN)).len(), MISTAKES_SHOWN);
    let refused = parse("f", &text(MISTAKES_SHOWN + 12)).unwrap_err();
    assert_eq!(refused.mistakes().len(), MISTAKES_SHOWN + 12);
    assert_eq!(refused.lines().len(), MISTAKES_SHOWN + 1);
    assert_eq!(refused.lines().last().unwrap(), "f: ... and 12 more mistakes");
    assert!(refused.render(false).ends_with("... and 12 more mistakes\nf: refused: 62 mistakes\n"));
}

#[test]
fn byte_order_mark_and_carriage_returns_are_no_mistakes() {
    let text = format!("\u{feff}{}", in_service("port = 80").replace('\n', "\r\n"));
    assert_eq!(plan(&text), plan(&in_service("port = 80")));
    let refused = parse("f", "\u{feff}prot = 1").unwrap_err();
    let at = refused.mistakes()[0].position.clone().unwrap();
    assert_eq!((at.line, at.column), (1, 1));
}

/// The lines of the report on a file that holds these bytes, without the name of its directory.
fn lines_of_file(bytes: &[u8]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f");
    std::fs::write(&path, bytes).unwrap();
    let prefix = format!("{}/", directory.path().display());
    load(&path).unwrap_err().lines().iter().map(|line| line.replace(&prefix, "")).collect()
}

#[test]
fn what_is_no_config_file_is_refused_in_a_sentence() {
    assert_eq!(
        lines_of_file(b"a = 1\nb\xff = 2"),
        ["f: line 2: the byte 0xff is no UTF-8 text; save the file as UTF-8"]
    );
    let large = vec![b'\n'; usize::try_from(CONFIG_BYTES).unwrap() + 1];
    assert_eq!(lines_of_file(&large), ["f: has more than 8388608 bytes; a config file never needs as many"]);
    assert_eq!(lines_of_file(&large[1..]), lines_of_file(b"\n"), "at the limit it is read");
    assert_eq!(lines_of_file(&vec![b'a'; 10_000_000]).len(), 1);

    let directory = tempfile::tempdir().unwrap();
    let said = load(directory.path()).unwrap_err();
    assert_eq!(said.mistakes()[0].problem, Problem::Directory);
    let missing = load(&directory.path().join("none")).unwrap_err();
    let reason = "/none: cannot be read: No such file or directory (os error 2)";
    assert!(missing.lines()[0].ends_with(&format!("{reason}; write it, or name another with `-c`")));
    assert!(missing.render(false).contains("cannot be read"));
}

/// Mistakes that have nothing to do with each other, one line each.
const INDEPENDENT: &[&str] = &[
    "port = 0",
    "restart = 3",
    "handshake = 'x'",
    "ready = 'x'",
    "directory = 3",
    "env = 3",
    "env_file = 3",
    "stop_signal = 0",
    "handover_timeout = 3",
    "drain_timeout = 3",
    "stop_timeout = 3",
    "ready_timeout = 3",
    "restart_delay = 3",
    "restart_delay_max = 3",
    "healthy_after = 3",
    "zzz = 3",
    "listen = 'x'",
    "check = 1",
    "yyy = = 3",
    "command = 'a",
];

proptest! {
    #[test]
    fn any_independent_mistakes_are_all_reported(
        chosen in proptest::sample::subsequence(INDEPENDENT, 1..=INDEPENDENT.len()),
        services in 1_usize..4,
    ) {
        let command = if chosen.contains(&"command = 'a") { "" } else { "command = 'a'\n" };
        let body = chosen.join("\n");
        let one = |number| format!("[[service]]\nname = 's{number}'\n{body}\n{command}");
        let text = (0..services).map(one).collect::<Vec<_>>().concat();
        let refused = parse("f", &text).unwrap_err();
        prop_assert_eq!(refused.mistakes().len(), chosen.len() * services, "{:#?}\n{}", refused, text);
    }

    #[test]
    fn no_text_makes_it_panic_and_every_mistake_lies_within_the_text(
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(INDEPENDENT).prop_map(String::from),
                proptest::sample::select(&[
                    "[[service]]", "[service]", "[service.env]", "[defaults]", "[bootstrap]", "name = 'a'", "\u{feff}",
                    "command = ['a', '{fd}'", "]", "\"\"\"", "'''", "listen = [{", "}", "\r", "\"\\u0000\"", "é = 'ü", "#",
                    "service", "= 1", "x.y.z = 1", "[[", ",",
                ][..]).prop_map(String::from),
                any::<String>(),
            ],
            0..24,
        ),
        separator in prop_oneof![Just("\n"), Just("\r\n"), Just(""), Just(" ")],
    ) {
        let text = pieces.join(separator);
        if let Err(refused) = parse("f", &text) {
            prop_assert!(!refused.mistakes().is_empty());
            for mistake in refused.mistakes() {
                let at = mistake.position.as_ref().unwrap();
                prop_assert!(text.get(at.span.clone()).is_some(), "{:?}", mistake);
                prop_assert!(at.line >= 1 && at.line <= text.matches('\n').count() + 1);
            }
            refused.render(true);
            prop_assert!(refused.lines().iter().all(|line| !line.contains('\n')), "{:?}", refused.lines());
        }
    }
}
