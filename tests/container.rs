//! As PID 1 of a container: a bundle made by the recipe in packages/container, run by a runtime of OCI.

mod support;

use std::process::{Command, Output};
use support::{Load, Stage, Supervised, example, free_port};

const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packages/container/bundle");

/// A container that runs; dropping it ends it.
struct Container {
    supervised: Supervised,
    name: String,
}

impl Container {
    /// Makes the bundle of this config, and runs it. The network is the machine's, so that clients reach it.
    fn run(config: &str) -> Self {
        let stage = Stage::new();
        let name = stage.dir().file_name().unwrap().to_str().unwrap().to_owned();
        let (bootstrap, http) = (env!("CARGO_BIN_EXE_bootstrap"), example("http"));
        let script = format!(
            "{RECIPE} bundle services.toml {bootstrap} {http} && exec runc --root state run --bundle bundle {name}"
        );
        // What the stage adds, the program and its arguments, is only ever said to the shell.
        let supervised = stage.through(&["sh", "-c", &script]).launch(config);
        Self { supervised, name }
    }

    fn runc(&self, arguments: &[&str]) -> Output {
        let mut runc = Command::new("runc");
        runc.args(["--root", &self.supervised.stage.path("state")]).args(arguments);
        runc.output().expect("runc; run tests/install")
    }

    fn kill(&self, signal: &str) {
        let output = self.runc(&["kill", &self.name, signal]);
        assert!(output.status.success(), "{output:?}\n{}", self.supervised);
    }

    /// Runs the client inside.
    fn client(&self, words: &[&str]) -> Output {
        let command = ["exec", &self.name, "/usr/bin/bootstrap", "-c", "/etc/bootstrap/services.toml"];
        self.runc(&[&command[..], words].concat())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.runc(&["delete", "--force", &self.name]);
    }
}

/// A machine that cannot run containers at all is told apart from a container that does not run: whoever is root has
/// what it takes, and a failure is one.
fn may_not() -> bool {
    let may_not = !nix::unistd::geteuid().is_root();
    if may_not {
        eprintln!("skipped: only root runs containers");
    }
    may_not
}

#[test]
fn as_pid_1_of_a_container_it_restarts_without_a_failed_request_and_stops_gracefully() {
    if may_not() {
        return;
    }
    let port = free_port();
    let mut container = Container::run(&format!(
        "[[service]]\nname = \"web\"\nlisten = \"tcp://127.0.0.1:{port}\"\ncommand = [\"/usr/bin/http\", \"--name\", \"web\"]\n\
         ready = \"pipe\"\nrestart = \"always\"\n"
    ));
    container.supervised.wait_for(" bootstrap pid=1 holds 1 socket");
    container.supervised.wait_for(" web generation=1 … ready after");
    let load = Load::start("web", port, 2);
    for generation in 2..=6 {
        container.kill("USR1");
        container.supervised.wait_for(&format!(" web generation={generation} … ready after"));
        load.wait_requests(60);
    }
    let status = container.client(&["status"]);
    let table = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.status.success() && table.contains("web") && table.contains("up"), "{status:?}");
    load.finish().must_be_perfect();

    container.kill("TERM");
    container.supervised.wait_for(" web generation=6 … ended with exit code 0");
    assert_eq!(container.supervised.wait_exit(), 0, "{}", container.supervised);
}

#[test]
fn the_container_ends_with_the_code_of_its_services() {
    if may_not() {
        return;
    }
    let mut container =
        Container::run("[[service]]\nname = \"once\"\ncommand = [\"/usr/bin/bootstrap\", \"--version\"]\n");
    assert_eq!(container.supervised.wait_exit(), 0, "{}", container.supervised);
    let mut container =
        Container::run("[[service]]\nname = \"once\"\ncommand = [\"/usr/bin/bootstrap\", \"--unknown\"]\n");
    assert_eq!(container.supervised.wait_exit(), 1, "{}", container.supervised);
    // Nobody in there is root.
    let config = "[[service]]\nname = \"low\"\nport = 80\nuser = \"root\"\ncommand = [\"/usr/bin/http\"]\n";
    let mut container = Container::run(config);
    assert_eq!(container.supervised.wait_exit(), 78, "{}", container.supervised);
}
