//! Becoming another program: same pid, same children, same sockets.
//!
//! Everything that can fail is done while this program can still go on.

use super::arguments::own_arguments;
use super::control::LeftControl;
use super::inherited::{Numbers, keep_from_children};
use super::kept::{Kept, Left, seal};
use super::poller::Token;
use super::runtime_dir::RuntimeDir;
use super::successor::{Check, arguments_to_go_on};
use super::trail::Trail;
use super::{Os, clock, signals};
use crate::core::{Event, Time, UpgradeRefusal};
use crate::limits::{UPGRADE_LAST_LOOK, UPGRADE_PATIENCE};
use nix::errno::Errno;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::Duration;

/// Makes the snapshot: the core, beside it what the system layer keeps.
pub type Write<'a> = dyn Fn(&Kept) -> Result<String, String> + 'a;

impl Os {
    /// Goes on where another program left off.
    ///
    /// # Errors
    ///
    /// The system's, or a descriptor that should have been left to us was not.
    pub fn restore(kept: Kept, mut left: Left) -> io::Result<(Self, Duration)> {
        let mut os = Self::prepare(kept.limit, kept.program, Vec::new())?;
        let legacy = &mut left.legacy;
        os.processes = super::Processes::restore(&os.poller, kept.processes, legacy)?;
        os.pins = super::Pins::restore(&kept.pins, legacy)?;
        os.env_files = kept.env_files;
        os.listeners = super::Listeners::restore_kept(&os.poller, kept.listeners, legacy)?;
        os.log.take_over(kept.log);
        os.logs = super::Logs::restore(&os.poller, kept.logs, legacy, clock::now())?;
        os.records = match (kept.written, kept.records) {
            (Some(kept), _) => Some(super::Records::restore(kept, legacy)?),
            // Without them nobody is found after a SIGKILL, until the next SIGHUP; that is no reason not to go on.
            (None, Some(former)) => super::Records::of_former(&former).ok(),
            (None, None) => None,
        };
        os.runtime_dir = kept.runtime_dir.and_then(|kept| RuntimeDir::restore(kept, legacy));
        os.left_control = LeftControl::restore(kept.control.as_ref(), kept.clients, legacy, clock::now())?;
        os.restore_store(kept.stored);
        os.handed_down = kept.handed_down;
        os.events = kept.events;
        let (probes, questions) = super::Probes::restore(kept.probes);
        os.probes = probes;
        os.probes.leave_trail(Trail::of(os.runtime_dir.as_ref().map(RuntimeDir::path)));
        let (watches, changed) = super::Watches::restore(&os.poller, kept.watches);
        os.watches = watches;
        os.events.extend(changed.into_iter().map(|service| Event::ProgramChanged { service }));
        // Signals were blocked meanwhile, so none is lost; but that of a child may have been before.
        os.events.extend(os.processes.reap(&os.poller, &mut os.probes, clock::now()));
        for question in questions {
            os.perform(question);
        }
        Ok((os, clock::now() - kept.since))
    }

    /// Where the program is that an upgrade would become.
    pub fn program(&self) -> &std::path::Path {
        &self.program
    }

    /// Asks the program now on disk whether it can go on from here; tells whether that was not under way already.
    /// Answered by `SuccessorFit` or `UpgradeRefused`.
    pub fn check_successor(&mut self, write: &Write<'_>) -> bool {
        if self.check.is_some() {
            return false;
        }
        let since = self.now();
        let check = self.snapshot(since, write).and_then(|(shown, _)| {
            Check::start(&mut self.spawner, &self.program, shown, since, since + UPGRADE_PATIENCE)
        });
        let watched = check.and_then(|check| {
            self.poller.watch_readable(&check, Token::Successor).map_err(system)?;
            Ok(check)
        });
        match watched {
            Ok(check) => self.check = Some(check),
            Err(why) => self.events.push_back(Event::UpgradeRefused(why)),
        }
        true
    }

    /// Takes the answer, once it is there.
    pub(super) fn hear_successor(&mut self) {
        let answer = self.check.as_mut().and_then(Check::hear);
        self.successor_answered(answer);
    }

    /// Gives up a successor that does not answer.
    pub(super) fn give_successor_up(&mut self, now: Time) {
        let late = self.check.as_ref().filter(|check| check.by <= now).map(|check| Err(check.too_late()));
        self.successor_answered(late);
    }

    fn successor_answered(&mut self, answer: Option<Result<(), UpgradeRefusal>>) {
        let Some(answer) = answer else { return };
        if let Some(check) = &self.check {
            self.poller.forget(check);
        }
        match answer {
            Ok(()) => {
                self.fit = self.check.take();
                self.events.push_back(Event::SuccessorFit);
            }
            Err(why) => {
                self.check = None;
                self.events.push_back(Event::UpgradeRefused(why));
            }
        }
    }

    /// Becomes the program that was found fit. Comes back only where that fails, which is `UpgradeRefused`.
    pub fn become_successor(&mut self, write: &Write<'_>) {
        let Some(check) = self.fit.take() else { return };
        let held = signals::hold();
        // From here on signals wait in the kernel, for whoever is there then. Those that came before are events.
        self.take(Token::Signal);
        self.take(Token::SignalWaits);
        // The next program knows of it by what is written down.
        self.write_changes();
        let why = self.try_to_become(&check, write);
        self.spawner.cradle.with_short_slices(true);
        self.events.push_back(Event::UpgradeRefused(why));
        signals::let_in(held);
    }

    fn try_to_become(&mut self, check: &Check, write: &Write<'_>) -> UpgradeRefusal {
        let mut attempt = || -> Result<std::convert::Infallible, UpgradeRefusal> {
            let (text, mut numbers) = self.snapshot(check.since, write)?;
            let shown = if text == check.shown || check.was_replaced() {
                Ok(())
            } else {
                // It has shown that it is quick; nothing happens here until it has seen the latest, too.
                let by = self.now() + UPGRADE_LAST_LOOK;
                Check::start(&mut self.spawner, &check.path, text.clone(), check.since, by)
                    .and_then(|mut latest| latest.wait(clock::now))
            };
            // First of all: what another program has said since tells nothing about this one.
            if check.was_replaced() {
                return Err(UpgradeRefusal::Replaced);
            }
            shown?;
            let state = seal(&text)
                .map_err(|error| UpgradeRefusal::System(error.raw_os_error().unwrap_or(libc::EIO)))?;
            let number = numbers.keep(&state);
            let lines = |all: Vec<Vec<u8>>| -> Result<Vec<CString>, UpgradeRefusal> {
                all.into_iter().map(CString::new).collect::<Result<_, _>>().map_err(|_| system(Errno::EINVAL))
            };
            let path = lines(vec![check.path.as_os_str().as_bytes().to_vec()])?;
            let environment =
                std::env::vars_os().map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='));
            let (argv, envp) = (lines(arguments_to_go_on(number))?, lines(environment.collect())?);
            let path = path.first().ok_or(system(Errno::EINVAL))?;
            self.spawner.cradle.with_short_slices(false);
            become_program(&numbers, path, &argv, &envp).map_err(UpgradeRefusal::NotBecome)
        };
        match attempt() {
            Err(why) => why,
        }
    }

    fn snapshot(&self, since: Time, write: &Write<'_>) -> Result<(String, Numbers), UpgradeRefusal> {
        let mut numbers = Numbers::default();
        let kept = Kept {
            program: self.program.clone(),
            limit: self.limit,
            since,
            processes: self.processes.keep(&mut numbers),
            probes: self.probes.keep(),
            watches: self.watches.keep(),
            pins: self.pins.keep_all(&mut numbers),
            env_files: self.env_files.clone(),
            listeners: self.listeners.keep(&mut numbers),
            log: self.log.keep(),
            logs: self.logs.keep(&mut numbers),
            records: None,
            written: self.records.as_ref().map(|records| records.keep(&mut numbers)),
            runtime_dir: self.runtime_dir.as_ref().map(|held| held.keep(&mut numbers)),
            control: self.control.as_ref().map(|control| control.keep(&mut numbers)),
            clients: self
                .control
                .as_ref()
                .map_or_else(Vec::new, |control| control.keep_clients(&mut numbers)),
            stored: self.stored(),
            handed_down: self.handed_down.clone(),
            events: self.events.iter().cloned().chain(self.processes.ends()).collect(),
        };
        write(&kept).map(|text| (text, numbers)).map_err(UpgradeRefusal::Unwritten)
    }
}

/// Executes this program once more, as if it had just been started: what it was left is closed, and who runs is found
/// by what was written down. Comes back only where that fails.
pub fn begin_anew() -> Errno {
    // A signal that comes now is for the next one.
    signals::hold();
    let attempt = || -> nix::Result<std::convert::Infallible> {
        keep_from_children().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
        let lines = |all: Vec<Vec<u8>>| -> nix::Result<Vec<CString>> {
            all.into_iter().map(CString::new).collect::<Result<_, _>>().map_err(|_| Errno::EINVAL)
        };
        // What a manager once gave to this pid is not open any more.
        let ours = std::env::vars_os().filter(|(name, _)| !name.as_bytes().starts_with(b"LISTEN_"));
        let environment = ours.map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='));
        nix::unistd::execve(c"/proc/self/exe", &lines(own_arguments())?, &lines(environment.collect())?)
    };
    match attempt() {
        Err(errno) => errno,
    }
}

/// The last step. Where it fails no child gets what was to be kept.
fn become_program(
    numbers: &Numbers,
    path: &CString,
    argv: &[CString],
    envp: &[CString],
) -> Result<std::convert::Infallible, i32> {
    let became = numbers.set_kept(true).and_then(|()| nix::unistd::execve(path, argv, envp));
    became.map_err(|errno| {
        // Each is open, so this cannot fail.
        let _ = numbers.set_kept(false);
        errno as i32
    })
}

fn system(errno: Errno) -> UpgradeRefusal {
    UpgradeRefusal::System(errno as i32)
}
