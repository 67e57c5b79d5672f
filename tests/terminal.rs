//! Commands on a terminal: what a person sees while a restart is under way, in whatever colours and width, and after ^C.

mod support;

use support::{Supervised, Terminal, free_port, http};

/// A service whose new generation takes a while until it is ready.
fn slow(delay: &str) -> Supervised {
    let more = format!("ready = \"delay\"\nready_delay = \"{delay}\"");
    let supervised = Supervised::start(&http("web", free_port(), &more), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    supervised
}

/// The lines on the screen that tell a phase, without their time.
fn phases(screen: &[String]) -> Vec<String> {
    let phase = |line: &String| {
        let (time, text) = line.trim_start().split_once("s ")?;
        let (seconds, tenth) = time.split_once('.')?;
        (seconds.parse::<u32>().is_ok() && tenth.len() == 1).then(|| text.to_owned())
    };
    screen.iter().filter_map(phase).collect()
}

/// The moments at which the line that waits was written, in tenths of a second.
fn moments(raw: &str) -> Vec<u32> {
    let lines = raw.split("\r\u{1b}[K").filter(|line| line.contains("waiting"));
    lines.map(|line| line.split('s').next().unwrap().trim().replace('.', "").parse().unwrap()).collect()
}

#[test]
fn a_restart_shows_its_phases_with_their_time_and_how_long_it_takes() {
    let supervised = slow("1s");
    let mut terminal = Terminal::run(&supervised.stage, 100, &["-c", "services.toml", "restart", "web"]);
    assert_eq!(terminal.end(&supervised.stage), 0, "{}", terminal.raw());
    let screen = terminal.screen();
    let phases = phases(&screen);
    for (phase, wanted) in phases.iter().zip([
        "web generation=1 asked to stop accepting",
        "web generation=1 answered \"success\"",
        "web generation=",
        "web generation=",
        "web generation=2 ready after 1s",
    ]) {
        assert!(phase.starts_with(wanted), "{phase:?} is not {wanted:?} on\n{}", screen.join("\n"));
    }
    assert!(screen.iter().any(|line| line == "web: up: generation 2 serves"), "{screen:#?}");
    assert!(screen.iter().all(|line| !line.contains("waiting")), "it is taken back: {screen:#?}");
    // Ten times in a second, on a machine that may be busy.
    let moments = moments(&terminal.raw());
    assert!(moments.len() >= 5 && moments.is_sorted(), "{moments:?}");
    assert!(moments.last().is_some_and(|last| *last >= 8), "{moments:?}");
    supervised.stop();
}

#[test]
fn a_line_that_waits_leaves_nothing_behind_on_a_terminal_of_any_width() {
    let supervised = slow("700ms");
    for columns in [1, 7, 12, 15, 40] {
        let words = ["-c", "services.toml", "restart", "web"];
        let mut terminal = Terminal::run(&supervised.stage, columns, &words);
        assert_eq!(terminal.end(&supervised.stage), 0, "{}", terminal.raw());
        let text = terminal.screen().concat();
        assert!(!text.contains("s wai"), "{columns} columns: {:#?}", terminal.screen());
        assert!(text.replace(' ', "").contains("serves"), "{columns} columns: {text}");
        // With the cursor behind it, it is one line: only such a line can be taken back.
        let raw = terminal.raw();
        let rewritten: Vec<&str> = raw.split("\r\u{1b}[K").filter(|text| !text.contains('\n')).collect();
        assert!(rewritten.len() > 3, "{raw:?}");
        assert!(rewritten.iter().all(|text| text.chars().count() < columns), "{columns}: {rewritten:?}");
    }
    supervised.stop();
}

#[test]
fn a_terminal_may_be_made_narrower_meanwhile() {
    let supervised = slow("2s");
    let mut terminal = Terminal::run(&supervised.stage, 100, &["-c", "services.toml", "restart", "web"]);
    terminal.wait_for("waiting; ^C leaves it alone");
    terminal.resize(12);
    // Shorter than the line that waits, and the rest of it is not there.
    terminal.wait_for("s wai\r");
    assert_eq!(terminal.end(&supervised.stage), 0, "{}", terminal.raw());
    supervised.stop();
}

#[test]
fn colour_is_for_those_who_want_it() {
    let supervised = slow("200ms");
    let painted = "\u{1b}[32mweb\u{1b}[0m: up";
    let coloured = |variable: Option<(&str, &str)>, words: &[&str]| {
        let words = [&["-c", "services.toml"][..], words].concat();
        let mut terminal = Terminal::run_with(&supervised.stage, 100, &words, variable);
        terminal.end(&supervised.stage);
        let raw = terminal.raw();
        assert_eq!(raw.contains(painted), raw.contains("\u{1b}[3"), "{raw:?}");
        (raw.contains(painted), raw.contains('\u{1b}'))
    };
    let no_color = Some(("NO_COLOR", "1"));
    assert_eq!(coloured(None, &["restart"]), (true, true));
    assert_eq!(
        coloured(None, &["restart", "--color", "never"]),
        (false, true),
        "the line that waits is no colour"
    );
    assert_eq!(coloured(no_color, &["restart"]), (false, true));
    assert_eq!(coloured(Some(("NO_COLOR", "")), &["restart"]), (true, true), "set to nothing is not set");
    assert_eq!(coloured(no_color, &["restart", "--color", "always"]), (true, true), "who says so gets it");
    assert_eq!(coloured(Some(("TERM", "dumb")), &["restart"]), (false, false));
    assert_eq!(coloured(None, &["wait", "--json"]), (false, false), "programs read it");
    supervised.stop();
}

#[test]
fn after_ctrl_c_the_restart_goes_on_and_the_command_says_so() {
    const INTERRUPT: u8 = 3;
    let supervised = slow("1s");
    let mut terminal = Terminal::run(&supervised.stage, 100, &["-c", "services.toml", "restart", "web"]);
    terminal.wait_for("web generation=2 started");
    terminal.press(INTERRUPT);
    terminal.wait_for("no longer waiting; what was ordered goes on, and `status` shows what comes of it");
    assert_eq!(terminal.end(&supervised.stage), 128 + 2, "it ends by the signal, as shells expect");
    let screen = terminal.screen();
    let told = screen.iter().position(|line| line.starts_with("bootstrap: no longer waiting"));
    assert!(told.is_some(), "at the start of a line: {screen:#?}");
    supervised.wait_for(" web generation=2 … ready after");
    supervised.stop();
}

/// What only looks has nothing that goes on.
#[test]
fn after_ctrl_c_a_wait_has_nothing_to_say() {
    const INTERRUPT: u8 = 3;
    let supervised = slow("1s");
    let mut restart = Terminal::run(&supervised.stage, 100, &["-c", "services.toml", "restart", "--no-wait"]);
    assert_eq!(restart.end(&supervised.stage), 0);
    let mut terminal = Terminal::run(&supervised.stage, 100, &["-c", "services.toml", "wait"]);
    terminal.wait_for("waiting");
    terminal.press(INTERRUPT);
    assert_eq!(terminal.end(&supervised.stage), 128 + 2);
    assert!(!terminal.raw().contains("goes on"), "{:?}", terminal.raw());
    supervised.stop();
}
