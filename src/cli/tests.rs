//! How command lines are read, and that each command has its help.

use super::*;

fn parse(line: &str) -> Result<Invocation, ErrorKind> {
    match Invocation::parse(line.split(' ').map(OsString::from)) {
        Ok(Asked::OfFile(invocation)) => Ok(invocation),
        Ok(Asked::Print(printing)) => panic!("{line:?} is {printing:?}"),
        Err(error) => Err(error.kind()),
    }
}

#[test]
fn the_definition_is_sound() {
    definition().debug_assert();
}

#[test]
fn the_file_may_be_named_before_and_after_the_command() {
    let run = Invocation {
        config: "a.toml".into(),
        log_format: LogFormat::Text,
        color: Color::Auto,
        state: None,
        check_state: None,
        write_logs: None,
        command: None,
    };
    assert_eq!(parse("bootstrap -c a.toml"), Ok(run.clone()));
    assert_eq!(parse("bootstrap --config=a.toml"), Ok(run.clone()));
    let check = Invocation { command: Some(Command::Check(CheckArgs::default())), ..run };
    assert_eq!(parse("bootstrap -c a.toml check"), Ok(check.clone()));
    assert_eq!(parse("bootstrap check -c a.toml"), Ok(check.clone()));
    let before = parse("bootstrap --log-format json -c a.toml check");
    assert_eq!(before, Ok(Invocation { log_format: LogFormat::Json, ..check.clone() }));
    let dressed = Invocation { log_format: LogFormat::Json, color: Color::Never, ..check };
    assert_eq!(parse("bootstrap check --log-format json -c a.toml --color never"), Ok(dressed));
}

#[test]
fn a_wrong_command_line_is_told_from_a_question() {
    for (line, kind, code) in [
        ("bootstrap", ErrorKind::MissingRequiredArgument, 2),
        ("bootstrap check", ErrorKind::MissingRequiredArgument, 2),
        ("bootstrap -c a.toml chek", ErrorKind::InvalidSubcommand, 2),
        ("bootstrap -c a.toml --log-format xml", ErrorKind::InvalidValue, 2),
        ("bootstrap -c a.toml -c b.toml", ErrorKind::ArgumentConflict, 2),
        ("bootstrap -c a.toml check -c b.toml", ErrorKind::ArgumentConflict, 2),
        ("bootstrap --color never check -c b.toml --color never", ErrorKind::ArgumentConflict, 2),
        ("bootstrap -c a.toml --verbose", ErrorKind::UnknownArgument, 2),
        ("bootstrap --help", ErrorKind::DisplayHelp, 0),
        ("bootstrap --version", ErrorKind::DisplayVersion, 0),
    ] {
        let error = Invocation::parse(line.split(' ').map(OsString::from)).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, code), "{line}");
    }
}

#[test]
fn every_command_has_examples_that_are_command_lines_of_it() {
    for command in definition().get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_name();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<&str> = help.lines().filter(|line| line.starts_with("  ")).collect();
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            // Variables before it, and what it is piped into, are the shell's.
            let (line, _) = example.split_once('|').unwrap_or((example, ""));
            let words = shlex::split(line).unwrap();
            let words = words.into_iter().skip_while(|word| word != "bootstrap");
            let parsed = Invocation::parse(words.map(OsString::from));
            assert!(parsed.is_ok() && line.contains(name), "{example}: {:?}", parsed.err());
        }
    }
}

#[test]
fn help_lists_signals_and_exit_codes() {
    let help = definition().render_long_help().to_string();
    for wanted in ["SIGUSR1", "SIGHUP", "SIGQUIT", "\n  78 ", "check", "--log-format"] {
        assert!(help.contains(wanted), "no {wanted} in:\n{help}");
    }
}
