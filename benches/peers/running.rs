//! Services that run under one of the ways.

use crate::support::{LIMIT, Process, Stage, Supervised};
use nix::sys::signal::Signal::{self, SIGKILL, SIGTERM, SIGUSR1};
use std::process::{Child, Command, Stdio};
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

/// What runs, or is to be run by `bootstrap` as this config says.
#[expect(clippy::large_enum_variant, reason = "there is one of it at a time")]
pub(super) enum Begun {
    Config(String),
    /// Programs to start, one or several side by side.
    Other(Vec<Command>, Restart, Stop),
}

/// How the first service is restarted.
pub(super) enum Restart {
    Signal(Signal),
    /// End the process, wait for it, and start it again.
    Loop,
    Command(Command),
}

/// How everything ends.
pub(super) enum Stop {
    Signal(Signal),
    /// The program is ended by SIGTERM, and what it leaves behind by this.
    Then(Command),
}

/// Services under one of the ways. Dropping it ends every process that it, or a process of it, has started.
pub(crate) struct Running {
    kind: Kind,
    /// When its programs were about to be started, with all their files in place.
    pub(crate) began: Instant,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it at a time")]
enum Kind {
    Bootstrap(Supervised),
    Other {
        commands: Vec<Command>,
        children: Vec<Child>,
        restart: Restart,
        stop: Stop,
        marker: String,
        /// Its files are there as long as this is.
        _stage: Stage,
    },
}

impl Running {
    pub(super) fn new(stage: Stage, begun: Begun) -> Self {
        let now = Instant::now();
        let kind = match begun {
            Begun::Config(config) => Kind::Bootstrap(stage.launch_with(&config, Stdio::null())),
            Begun::Other(mut commands, restart, stop) => {
                // Its environment, by which every process of it is found at the end.
                let marker = format!("bench {}", stage.dir().display());
                for command in &mut commands {
                    command.env("BOOTSTRAP_TEST", &marker).current_dir(stage.dir());
                    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                }
                let children = commands.iter_mut().map(|command| command.spawn().unwrap()).collect();
                Kind::Other { commands, children, restart, stop, marker, _stage: stage }
            }
        };
        Self { kind, began: now }
    }

    /// Has the first service restarted. It may not be complete when this returns.
    pub(crate) fn restart(&mut self) {
        match &mut self.kind {
            Kind::Bootstrap(supervised) => supervised.signal(SIGUSR1),
            Kind::Other { children, restart: Restart::Signal(signal), .. } => {
                process(&children[0]).signal(*signal);
            }
            Kind::Other { children, commands, restart: Restart::Loop, .. } => {
                process(&children[0]).signal(SIGTERM);
                children[0].wait().unwrap();
                children[0] = commands[0].spawn().unwrap();
            }
            Kind::Other { restart: Restart::Command(command), .. } => {
                let output = command.output().unwrap();
                assert!(output.status.success(), "{command:?}: {output:?}");
            }
        }
    }

    /// Every process that supervises: those that were started here and all below, but for the `services` and
    /// what is below these.
    pub(crate) fn supervisors(&self, services: &[i32]) -> Vec<Process> {
        let mut ahead: Vec<Process> = match &self.kind {
            Kind::Bootstrap(supervised) => vec![supervised.process()],
            Kind::Other { children, .. } => children.iter().map(process).collect(),
        };
        let mut found = Vec::new();
        while let Some(process) = ahead.pop() {
            if services.binary_search(&process.0).is_err() && process.is_alive() {
                ahead.extend(process.children());
                found.push(process);
            }
        }
        found
    }

    /// Asks everything to stop and waits for what was started here.
    pub(crate) fn end(&mut self) {
        match &mut self.kind {
            Kind::Bootstrap(supervised) => {
                supervised.signal(SIGTERM);
                supervised.wait_exit();
            }
            Kind::Other { children, stop, .. } => {
                let signal = if let Stop::Signal(signal) = stop { *signal } else { SIGTERM };
                for child in children.iter() {
                    process(child).signal(signal);
                }
                children.iter_mut().for_each(wait);
                if let Stop::Then(command) = stop {
                    let output = command.output().unwrap();
                    assert!(output.status.success(), "{command:?}: {output:?}");
                }
            }
        }
    }

    pub(crate) fn stop(mut self) {
        self.end();
    }
}

/// For as long as it may take.
fn wait(child: &mut Child) {
    let until = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() && Instant::now() < until {
        sleep(Duration::from_millis(1));
    }
}

fn process(child: &Child) -> Process {
    Process(i32::try_from(child.id()).expect("pids are small"))
}

impl Drop for Running {
    fn drop(&mut self) {
        let Kind::Other { children, marker, .. } = &mut self.kind else { return };
        for child in children {
            let _ = child.kill();
            let _ = child.wait();
        }
        loop {
            let mut left = Process::marked(&format!("BOOTSTRAP_TEST={marker}"));
            left.retain(|process| process.is_alive());
            if left.is_empty() {
                return;
            }
            for process in left {
                process.signal(SIGKILL);
            }
            yield_now();
        }
    }
}
