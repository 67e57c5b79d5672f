//! `wait` for a supervisor that is not there yet: no script has to ask again and again.

mod support;

use nix::sys::signal::Signal::SIGKILL;
use std::fs;
use std::process::{Child, Stdio};
use support::{Process, Stage, Supervised, eventually, free_port, http, service};

/// Starts a `wait`, and waits until there is nothing that it does.
#[expect(clippy::disallowed_methods, reason = "a command, beside the supervisor")]
fn wait(stage: &Stage, arguments: &[&str]) -> Child {
    let mut command = stage.command(&[&["-c", "services.toml", "wait"], arguments].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = Process(i32::try_from(child.id()).unwrap());
    eventually("it sleeps", || {
        let wchan = fs::read_to_string(format!("/proc/{}/wchan", process.0)).unwrap_or_default();
        wchan.contains("poll") || wchan.contains("schedule_hrtimeout")
    });
    child
}

fn told(child: Child) -> (String, Option<i32>) {
    let output = child.wait_with_output().unwrap();
    (String::from_utf8([output.stdout, output.stderr].concat()).unwrap(), output.status.code())
}

/// It said that the service is up. One that was there before that was so has told how it came about, from where it came in.
#[track_caller]
fn must_say_up(child: Child, name: &str, supervised: &Supervised) {
    let (said, code) = told(child);
    let (way, end) = said.trim_end_matches('\n').rsplit_once('\n').unwrap_or(("", said.trim_end()));
    assert_eq!(
        (end, said.ends_with('\n'), code),
        (&*format!("{name}: up: generation 1 serves"), true, Some(0))
    );
    let steps = ["started: ", "ready after "].map(|step| format!("{name} generation=1 {step}"));
    let way: Vec<&str> = way.lines().collect();
    assert!(way.len() <= steps.len(), "{said}\n{supervised}");
    let came_in = &steps[steps.len() - way.len()..];
    assert!(way.iter().zip(came_in).all(|(line, step)| line.starts_with(step)), "{said}\n{supervised}");
}

fn config() -> String {
    http("web", free_port(), "ready = \"pipe\"")
}

#[test]
fn a_supervisor_whose_directory_is_not_there_yet_is_waited_for() {
    let stage = Stage::new();
    let deep = stage.path("not/yet/there");
    let stage = stage.env("RUNTIME_DIRECTORY", &deep);
    let config = config();
    stage.write("services.toml", &config);
    let waiting = wait(&stage, &["--timeout", "1m"]);
    fs::create_dir_all(stage.dir().join("not/yet")).unwrap();
    let supervised = stage.start(&config, &["web"]);
    must_say_up(waiting, "web", &supervised);
    supervised.stop();
}

#[test]
fn the_next_supervisor_is_waited_for_where_one_was_killed() {
    let config = config();
    let mut supervised = Stage::new().start(&config, &["web"]);
    supervised.wait_for("web generation=1 … ready after");
    supervised.signal(SIGKILL);
    assert_eq!(supervised.wait_exit(), -9);
    assert!(supervised.stage.dir().join("run/control").exists());
    let waiting = wait(&supervised.stage, &["--timeout", "1m"]);
    supervised.start_again();
    must_say_up(waiting, "web", &supervised);
    supervised.stop();
}

#[test]
fn one_that_does_not_come_is_told_with_the_reason_and_without_a_time_to_wait_at_once() {
    let stage = Stage::new();
    stage.write("services.toml", &config());
    for (arguments, begin) in [
        (&["--timeout", "300ms"][..], "bootstrap: waited for 300ms: the supervisor is not reachable: "),
        (&[], "bootstrap: the supervisor is not reachable: "),
        (&["--timeout", "1h", "-c", "other.toml"], ""),
    ] {
        let file: &[&str] = if begin.is_empty() { &["wait"] } else { &["-c", "services.toml", "wait"] };
        let output = stage.run(&[file, arguments].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(begin) && said.contains("/run/control: No such file"), "{said}");
        assert_eq!(output.status.code(), Some(7), "{said}");
    }
}

/// Without any time it says how things are.
#[test]
fn what_is_so_already_is_told_however_short_the_time() {
    let slow = service("slow", free_port(), &["sleep", "60"], "ready = \"pipe\"\nready_timeout = \"1m\"");
    let mut supervised = Stage::new().start(&(config() + &slow), &["web", "slow"]);
    supervised.wait_for("web generation=1 … ready after");
    let now = |name, timeout| {
        let output = supervised.stage.run(&["-c", "services.toml", "wait", name, "--timeout", timeout]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for timeout in ["0s", "1ms", "0s", "1ms", "0s"] {
        assert_eq!(now("web", timeout), (Some(0), String::new()), "{supervised}");
    }
    let (code, said) = now("slow", "0s");
    assert!(code == Some(6) && said.contains("not up after 0s"), "{code:?} {said}");
    supervised.signal(nix::sys::signal::Signal::SIGQUIT);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
}

/// The socket is there before those of the services are: a wait that came in between was told to try again.
#[test]
fn a_wait_in_the_midst_of_a_boot_waits_for_its_end() {
    for _ in 0..3 {
        let stage = Stage::new();
        let config: String =
            (0..40).map(|n| http(&format!("s{n}"), free_port(), "ready = \"started\"")).collect();
        stage.write("services.toml", &config);
        let waiting = wait(&stage, &["--timeout", "1m", "s39"]);
        let supervised = stage.launch(&config);
        must_say_up(waiting, "s39", &supervised);
    }
}
