//! The command line: what it takes, and what it says where it cannot be heard.

mod support;

#[path = "support/command.rs"]
#[allow(dead_code, reason = "it is for all commands")]
mod command;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use support::{Stage, free_port, http};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `bootstrap -c bad.toml check -c ok.toml` once checked the second file alone, and a mistaken deployment passed.
#[test]
fn a_file_that_is_named_on_both_sides_of_the_command_is_a_mistake() {
    let stage = Stage::new();
    stage.write("ok.toml", &http("web", free_port(), ""));
    stage.write("bad.toml", "[[service]]\n");
    for arguments in [
        &["-c", "bad.toml", "check", "-c", "ok.toml"][..],
        &["-c", "ok.toml", "check", "--config", "ok.toml"],
        &["check", "-c", "ok.toml", "-c", "ok.toml"],
        &["--color=never", "check", "-c", "ok.toml", "--color", "always"],
    ] {
        let output = stage.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} said\n{}", stderr(&output));
        assert_eq!(output.stdout, b"", "{arguments:?}");
    }
    let said = stderr(&stage.run(&["-c", "bad.toml", "check", "-c", "ok.toml"]));
    assert!(said.contains("--config stands before the command and after it"), "{said}");
}

/// `check >/dev/full` once said nothing and exited with 0, as if it had told that all is well.
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let stage = Stage::new().through(&["sh", "-c", "exec \"$0\" \"$@\" >/dev/full"]);
    stage.write("ok.toml", &http("web", free_port(), ""));
    for arguments in [&["-c", "ok.toml", "check"][..], &["--help"], &["--version"], &["help", "check"]] {
        let output = stage.run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?} said\n{said}");
        assert!(
            said.contains("bootstrap: cannot write to stdout: No space left"),
            "{arguments:?} said\n{said}"
        );
    }
}

/// At night the file is broken and a service down, and what it wrote last is what matters.
#[test]
fn logs_reads_a_file_with_mistakes_as_far_as_it_goes() {
    let stage = Stage::new();
    let service = |name: &str, more: &str| {
        let log = stage.path(&format!("{name}.log"));
        stage.write(&format!("{name}.log"), &format!("{name} was here\n"));
        format!("[[service]]\nname = '{name}'\nstdout = 'file:{log}'\nstderr = 'null'\n{more}\n")
    };
    let (odd, wrong) = (service("odd", "prot = 1"), service("wrong", "restart = 'alway'"));
    stage.write("a.toml", &format!("{odd}{wrong}[bootstrap]\nwhen_idle = 3\n"));
    let output = stage.run(&["-c", "a.toml", "logs"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("odd was here\n") && printed.contains("wrong was here\n"), "{printed}");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("prot") && !said.contains("alway"), "{said}");

    stage.write(
        "b.toml",
        &format!("[defaults]\nlog_timestamps = 1\nstdout = 'fiel:x'\n{odd}[[service]]\nname = 'c'\n"),
    );
    let output = stage.run(&["-c", "b.toml", "logs", "c"]);
    let said = stderr(&output);
    assert_eq!((output.status.code(), &*output.stdout), (Some(78), &b""[..]), "{said}");
    for wanted in
        ["[defaults]: `log_timestamps` is 1", "`stdout` is \"fiel:x\"", "b.toml: refused: 2 mistakes"]
    {
        assert_eq!(said.matches(wanted).count(), 1, "{wanted}\nin\n{said}");
    }
    assert!(said.contains("bootstrap: no service matches \"c\" among those that can be read"), "{said}");

    // What is asked for can be read.
    stage.write("c.toml", &format!("{odd}\ngarbage\n"));
    for (arguments, code) in [(&["-c", "c.toml", "logs", "odd"][..], 0), (&["-c", "c.toml", "logs"], 78)] {
        let output = stage.run(arguments);
        assert_eq!((&*output.stdout, output.status.code()), (&b"odd was here\n"[..], Some(code)));
        assert!(stderr(&output).contains("c.toml: refused: 1 mistake"), "{}", stderr(&output));
    }

    let output = stage.run(&["-c", "nowhere.toml", "logs"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("help: write it, or name another with `-c`"), "{}", stderr(&output));
    let output = stage.run(&["-c", "a.toml", "logs", "-n", "-1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("invalid value '-1' for '--lines <N>'"), "{}", stderr(&output));
}

/// A supervisor with a `runtime_dir` of its own cannot be found by a file that is empty now.
#[test]
fn who_is_not_found_by_a_broken_file_may_run_all_the_same() {
    let stage = Stage::new();
    stage.write("empty.toml", "");
    stage.write("whole.toml", &http("web", free_port(), ""));
    let hint = "may have named a `runtime_dir`, which --runtime-dir names as well";
    for (file, hinted) in [("empty.toml", true), ("whole.toml", false)] {
        let output = stage.run(&["-c", file, "status"]);
        assert_eq!(output.status.code(), Some(7));
        assert_eq!(stderr(&output).contains(hint), hinted, "{}", stderr(&output));
    }
}

/// Whoever reads only the first line of `--help` has seen enough; that is no failure.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let stage = Stage::new().through(&["bash", "-c", "exec \"$0\" \"$@\" > >(exit 0)"]);
    stage.write("ok.toml", &http("web", free_port(), ""));
    for arguments in [&["-c", "ok.toml", "check"][..], &["--help"]] {
        let output = stage.run(arguments);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{arguments:?}");
    }
}

/// A deployment of a file whose program was not there passed `check`, and failed at the start. Elsewhere it may be there:
/// so it is no mistake.
#[test]
fn what_is_not_on_this_machine_is_a_note_of_check_and_no_mistake() {
    let stage = Stage::new();
    for (name, text, mode) in [
        ("script", "#!/opt/no-python\n", 0o755),
        ("plain", "#!/bin/sh\n", 0o644),
        ("good", "#!/bin/sh\n", 0o755),
    ] {
        let path = stage.write(name, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    stage.write("bad.env", "A=b\noops\n");
    let link = stage.path("a.log");
    std::os::unix::fs::symlink("elsewhere", &link).unwrap();
    stage.write("path.env", &format!("PATH={}\n", stage.dir().display()));
    let services = [
        ("missing", "command = './server'"),
        ("like-it", "command = './server'"),
        ("and-it", "command = ['./server', '2']\nenv = { A = 'b' }"),
        ("nowhere", "command = 'no-such-program | tee'"),
        ("root", "command = './good'\n[service.env]\nA = 'b'\nuser = 'nobody'"),
        ("plain", "command = './plain'"),
        ("script", "command = './script'"),
        ("place", "command = './server'\ndirectory = '/no/such/place'"),
        ("secret", "command = './good'\nenv_file = 'no.env'"),
        ("broken", "command = './good'\nenv_file = 'bad.env'"),
        ("lost", &format!("command = './good'\nstdout = 'file:{link}'\nstderr = 'file:{link}'")),
        ("log-there", &format!("command = './good'\nstdout = 'file:{}'", stage.dir().display())),
        ("log-nowhere", "command = './good'\nstdout = 'file:/no/such/a.log'"),
        ("checked", "command = './good'\ncheck = { exec = ['./no-check'] }"),
        ("at-nowhere", "command = './good'\nlisten = 'unix:/no/such/s'"),
        ("at-a-file", &format!("command = './good'\nlisten = 'unix:{}'", stage.path("plain"))),
        // These start.
        ("found", "command = 'good'\nenv_file = 'path.env'"),
        ("over", &format!("command = 'good'\nenv = {{ PATH = '{}' }}", stage.dir().display())),
        ("varies", "command = './server-{worker}'"),
        ("from-there", "command = './sh'\ndirectory = '/bin'"),
        ("beside-us", "command = './good'\nlisten = 'unix:beside-us.sock'"),
    ];
    let service = |(name, body): &(&str, &str)| format!("[[service]]\nname = '{name}'\n{body}\n");
    stage.write("a.toml", &services.iter().map(service).collect::<String>());
    let notes = [
        "service \"missing\" and 2 others: it would not start here: ./server: No such file or directory",
        "service \"nowhere\": `command` has \"|\", and no shell runs it; if one is meant, write [\"sh\", \"-c\", \"exec ...\"]",
        "service \"nowhere\": it would not start here: no program \"no-such-program\" in PATH",
        "service \"root\": `env` sets a variable \"user\", which is also a key: keys stand before [service.env]",
        "service \"plain\": it would not start here: ./plain: Permission denied",
        "service \"script\": it would not start here: its interpreter /opt/no-python is missing",
        "service \"place\": it would not start here: directory /no/such/place: No such file or directory",
        "service \"secret\": it would not start here: env_file no.env: No such file or directory",
        "service \"broken\": it would not start here: env_file bad.env: line 2 is not NAME=value",
        &format!(
            "service \"lost\": {link} is a symbolic link, which is not followed: nothing is written there"
        ),
        &format!("service \"log-there\": {} is a directory: nothing is written there", stage.dir().display()),
        "service \"log-nowhere\": there is no directory /no/such: nothing is written to /no/such/a.log before somebody makes it",
        "service \"checked\": its `check` would fail here: ./no-check: No such file or directory",
        "service \"at-nowhere\": there is no directory /no/such: unix:/no/such/s cannot be bound",
        &format!("service \"at-a-file\": {0} is no socket: unix:{0} cannot be bound", stage.path("plain")),
    ];
    let output = stage.run(&["-c", "a.toml", "check"]);
    let told: Vec<String> = notes.iter().map(|note| format!("bootstrap: a.toml: note: {note}")).collect();
    assert_eq!(stderr(&output).lines().collect::<Vec<_>>(), told);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a.toml: ok: 21 services, 3 sockets\n");
    assert_eq!(output.status.code(), Some(0));
    let output = stage.run(&["-c", "a.toml", "check", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    command::is_valid(&value);
    assert_eq!((&value["ok"], &value["notes"]), (&true.into(), &notes.to_vec().into()), "{value:#}");
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}
