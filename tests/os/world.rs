//! An `Os`, and what a test does with it.

use bootstrap::core::{Action, Event, ExitStatus, Request, RunEvent, Time};
use bootstrap::os::{Input, Os};
use bootstrap::plan::{
    Definition, Generation, Handshake, Identity, ListenerId, Pid, Policy, Program, RunId, ServiceId,
    ServiceName,
};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

static ALONE: Mutex<()> = Mutex::new(());

/// Lets one test at a time through.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One `Os` and the runs it was asked for.
pub(crate) struct World {
    pub(crate) os: Os,
    runs: Vec<RunId>,
    _alone: MutexGuard<'static, ()>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::after(alone())
    }

    /// For tests that prepare the process first.
    pub(crate) fn after(alone: MutexGuard<'static, ()>) -> Self {
        Self { os: Os::new().unwrap(), runs: Vec::new(), _alone: alone }
    }

    /// Asks for a start of `definition` with these sockets.
    pub(crate) fn spawn(&mut self, definition: &Definition, listeners: &[ListenerId]) -> RunId {
        self.order(definition, None, listeners)
    }

    /// Asks for a start of the program that was kept of another run.
    pub(crate) fn spawn_program_of(&mut self, definition: &Definition, kept: RunId) -> RunId {
        self.order(definition, Some(kept), &[])
    }

    /// Asks for a start, of the program that was kept of another run if one is named.
    pub(crate) fn order(
        &mut self,
        definition: &Definition,
        kept: Option<RunId>,
        listeners: &[ListenerId],
    ) -> RunId {
        let generation = Generation(u32::try_from(self.runs.len()).unwrap() + 1);
        let run = RunId { service: ServiceId(0), generation };
        self.runs.push(run);
        self.os.perform(Action::Spawn {
            run,
            worker: 0,
            definition: Arc::new(definition.clone()),
            program_of: kept,
            listeners: listeners.to_vec(),
        });
        run
    }

    /// Starts it and waits until it runs.
    pub(crate) fn start(&mut self, definition: &Definition) -> (RunId, Pid) {
        let run = self.spawn(definition, &[]);
        match self.next() {
            Event::Run(spawned, RunEvent::Spawned { pid }) if spawned == run => (run, pid),
            other => panic!("not started: {other:?}"),
        }
    }

    /// The next event. The limit only ends a hanging test.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Event {
        let deadline = self.os.now() + Duration::from_secs(30);
        self.next_before(deadline).expect("nothing happened")
    }

    /// What else happened: nothing, where the answer is `None`.
    pub(crate) fn next_before(&mut self, deadline: Time) -> Option<Event> {
        loop {
            match self.os.wait(Some(deadline)).1 {
                Input::Event(Event::DeadlinePassed) => return None,
                Input::Event(event) => return Some(event),
                Input::Calm => self.os.give_back(|| ()),
                other => panic!("there is no control socket: {other:?}"),
            }
        }
    }

    /// Sees that nothing is waiting to be told: what is asked for now comes next.
    #[track_caller]
    pub(crate) fn quiet(&mut self) {
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP).unwrap();
        assert_eq!(self.next(), Event::Request(Request::Reload));
    }

    /// Sends SIGKILL and waits for the end of the whole group.
    #[track_caller]
    pub(crate) fn end(&mut self, run: RunId) {
        self.os.perform(Action::Kill { run });
        loop {
            match self.next() {
                Event::Run(ended, RunEvent::Exited { group_left: false, .. }) if ended == run => return,
                Event::Run(ended, RunEvent::GroupEmpty) if ended == run => return,
                _ => {}
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A failed test leaves no process behind.
        for run in self.runs.drain(..) {
            self.os.perform(Action::Kill { run });
        }
        self.os.release();
    }
}

/// A service that runs `command`.
pub(crate) fn service(command: &[&str], handshake: Handshake) -> Definition {
    Definition {
        name: ServiceName::parse("web").unwrap(),
        listeners: [].into(),
        after: [].into(),
        requires: [].into(),
        program: Program {
            command: command.iter().map(ToString::to_string).collect(),
            directory: None,
            env: BTreeMap::new(),
            env_file: None,
            handshake,
            identity: Identity::default().into(),
            watchdog: None,
            output: None,
        }
        .into(),
        policy: Policy { stop_signal: handshake.default_stop_signal(), ..Policy::default() }.into(),
    }
}

/// A script with the pipe handshake; `$1` is the number of its pipe.
pub(crate) fn script(text: &str) -> Definition {
    service(&["/bin/sh", "-c", text, "sh"], Handshake::Pipe)
}

pub(crate) fn code(code: i32) -> ExitStatus {
    ExitStatus::Code(code)
}

/// Does this process have children, living or dead?
pub(crate) fn has_children() -> bool {
    use nix::sys::wait::{WaitPidFlag, waitpid};
    waitpid(None, Some(WaitPidFlag::WNOHANG)) != Err(nix::errno::Errno::ECHILD)
}

/// The number of open descriptors.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Where the example server of this name was built.
pub(crate) fn example(name: &str) -> std::path::PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join("examples").join(name)
}

/// Puts a program at `path` as a deployment does: whole, by a rename.
pub(crate) fn deploy(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, path).unwrap();
}
