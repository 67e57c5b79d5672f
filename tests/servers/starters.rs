//! The other end of two protocols: our example servers under the starters that those were made for.

use crate::support::{Client, Failure, Load, Log, Process, eventually, example, free_port, get};
use nix::sys::signal::Signal;
use std::process::{Child, Command, Stdio};

/// A starter. Its server is a child of it, or has taken its place.
struct Starter {
    child: Child,
    log: Log,
}

impl Starter {
    /// Starts it with these arguments; a program that is missing fails the test.
    #[expect(clippy::disallowed_methods, reason = "it is not ours to be spawned like a service")]
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{program}: {error}: run tests/install"));
        let log = Log::of(child.stderr.take().unwrap());
        Self { child, log }
    }

    fn process(&self) -> Process {
        Process(self.child.id().cast_signed())
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        // After a failure: the servers first, or they would have lost their parent.
        for process in self.process().children().into_iter().chain([self.process()]) {
            process.signal(Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

#[test]
fn server_starter_restarts_our_example_without_a_failed_request() {
    let port = free_port();
    let (address, server) = (format!("127.0.0.1:{port}"), example("starter"));
    let mut starter = Starter::start(
        "start_server",
        &["--port", &address, "--interval", "1", "--", &server, "--name", "web"],
    );
    eventually("it serves", || get(port, "/").is_ok());
    let load = Load::start("web", port, 2);
    for generation in 2..=4 {
        starter.process().signal(Signal::SIGHUP);
        eventually(&format!("only {generation} answers\n{:#?}", starter.log.lines()), || {
            // While both are there either may answer: the old one is asked to leave after the interval.
            starter.process().children().len() == 1
                && get(port, "/").is_ok_and(|answer| answer.generation() == generation)
        });
    }
    // The four clients had no answer of the last one yet, if it has just come.
    load.wait_requests(8);
    let outcome = load.finish();
    outcome.must_be_perfect();
    assert!(outcome.generations.iter().eq(&[1, 2, 3, 4]), "{outcome}");
    starter.process().signal(Signal::SIGTERM);
    let status = starter.child.wait().unwrap();
    assert!(status.success(), "{status}\n{:#?}", starter.log.lines());
    assert_eq!(get(port, "/"), Err(Failure::Refused));
}

#[test]
fn systemd_socket_activate_hands_its_socket_to_our_example() {
    let port = free_port();
    let (address, server) = (format!("127.0.0.1:{port}"), example("systemd"));
    let mut starter = Starter::start(
        "systemd-socket-activate",
        &["--listen", &address, &server, "--name", "web", "--grace", "0s"],
    );
    // It is started for the first client, and takes the place of its starter.
    eventually("it listens", || Client::connect(port).is_ok());
    let answer = get(port, "/").unwrap();
    assert_eq!(
        answer.body,
        format!("web generation=0 pid={}\n", starter.child.id()),
        "{:#?}",
        starter.log.lines()
    );
    starter.process().signal(Signal::SIGTERM);
    let status = starter.child.wait().unwrap();
    assert!(status.success(), "{status}\n{:#?}", starter.log.lines());
}
