//! Follows a process from system call to system call, its children as far as they are no other program yet, and kills
//! it before one of them.

use crate::support::{Process, comes_true};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::Signal::{self, SIGCONT, SIGKILL, SIGSTOP, SIGTRAP, SIGWINCH};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// How a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was killed where it was to be.
    Killed,
    /// What it did was done before that.
    Done,
}

/// What the thread that traces and the one that watches tell each other.
#[derive(Default)]
struct Talk {
    /// System calls so far.
    calls: AtomicUsize,
    ready: AtomicBool,
    is_done: AtomicBool,
}

/// Traces a process and has it `begin`, until it `is_done` or is about to make system call number `death`. Where it is
/// to become `program` first, calls are counted from then on. Gives how many there were.
pub(crate) fn trace(
    process: Process,
    program: Option<&str>,
    death: usize,
    begin: impl FnOnce(),
    is_done: impl Fn() -> bool,
) -> (End, usize) {
    let talk = Talk::default();
    let end = thread::scope(|scope| {
        let tracer = scope.spawn(|| Tracer::new(process, program, death, &talk).run());
        assert!(comes_true(|| talk.ready.load(Ordering::SeqCst)), "it is not traced");
        begin();
        let mut last = 0;
        let settled = || {
            // The last calls of a turn follow on what can be seen from outside.
            let now = talk.calls.load(Ordering::SeqCst);
            tracer.is_finished() || is_done() && std::mem::replace(&mut last, now) == now
        };
        let in_time = comes_true(settled);
        talk.is_done.store(true, Ordering::SeqCst);
        // It may be asleep; this means nothing to it, and its tracer hears of it.
        process.signal(SIGWINCH);
        let end = tracer.join().expect("the tracer goes on to the end");
        assert!(in_time, "it was not done before system call {}", talk.calls.load(Ordering::SeqCst));
        end
    });
    (end, talk.calls.load(Ordering::SeqCst))
}

struct Tracer<'a> {
    pid: Pid,
    program: Option<&'a str>,
    death: usize,
    talk: &'a Talk,
    /// Those that are in a system call: it, and its child.
    inside: BTreeSet<Pid>,
}

impl<'a> Tracer<'a> {
    fn new(process: Process, program: Option<&'a str>, death: usize, talk: &'a Talk) -> Self {
        Self { pid: Pid::from_raw(process.0), program, death, talk, inside: BTreeSet::new() }
    }

    fn run(mut self) -> End {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACECLONE;
        ptrace::seize(self.pid, options).expect("a process of ours may be traced");
        let _ = nix::sys::signal::kill(self.pid, SIGCONT);
        ptrace::interrupt(self.pid).expect("it is traced");
        let mut child = None;
        loop {
            // While there is a child that is no program yet, its parent stands still.
            let pid = child.unwrap_or(self.pid);
            let deliver = match wait(pid) {
                WaitStatus::PtraceSyscall(_) if self.enters(pid) => return self.kill(child),
                WaitStatus::PtraceEvent(_, _, event) if is_birth(event) && child.is_none() => {
                    let born = ptrace::getevent(pid).expect("it is stopped");
                    child = Some(Pid::from_raw(i32::try_from(born).expect("a pid")));
                    None
                }
                WaitStatus::PtraceEvent(_, _, event) if event == Event::PTRACE_EVENT_EXEC as i32 => {
                    if child.take().is_some() {
                        let _ = ptrace::detach(pid, None);
                        continue;
                    }
                    if self.program.is_some_and(|program| exe(pid).ends_with(program)) {
                        self.program = None;
                    }
                    None
                }
                // Those without an event are signals that are about to be delivered.
                WaitStatus::PtraceSyscall(_) | WaitStatus::PtraceEvent(_, SIGSTOP | SIGTRAP, 0) => None,
                WaitStatus::PtraceEvent(_, SIGWINCH, 0) if self.talk.is_done.load(Ordering::SeqCst) => {
                    let _ = ptrace::detach(pid, None);
                    return End::Done;
                }
                WaitStatus::PtraceEvent(_, signal, 0) => Some(signal),
                WaitStatus::PtraceEvent(..) => {
                    self.talk.ready.store(true, Ordering::SeqCst);
                    None
                }
                WaitStatus::Stopped(..)
                | WaitStatus::Exited(..)
                | WaitStatus::Signaled(..)
                | WaitStatus::StillAlive
                | WaitStatus::Continued(_) => {
                    if child.take().is_some() {
                        continue;
                    }
                    return End::Done;
                }
            };
            go_on(pid, deliver);
        }
    }

    /// Counts a system call that is about to be made. Is it the one before which it dies?
    fn enters(&mut self, pid: Pid) -> bool {
        if self.inside.remove(&pid) {
            return false;
        }
        self.inside.insert(pid);
        self.program.is_none() && self.talk.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.death
    }

    fn kill(self, child: Option<Pid>) -> End {
        let _ = nix::sys::signal::kill(self.pid, SIGKILL);
        // It is dead before its child goes on.
        while !matches!(peek(self.pid), WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
            thread::yield_now();
        }
        if let Some(child) = child {
            let _ = ptrace::detach(child, None);
        }
        End::Killed
    }
}

fn exe(pid: Pid) -> std::path::PathBuf {
    std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default()
}

fn is_birth(event: i32) -> bool {
    [Event::PTRACE_EVENT_VFORK, Event::PTRACE_EVENT_FORK, Event::PTRACE_EVENT_CLONE]
        .into_iter()
        .any(|birth| birth as i32 == event)
}

fn go_on(pid: Pid, deliver: Option<Signal>) {
    match ptrace::syscall(pid, deliver) {
        // It was killed meanwhile; its end comes next.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => panic!("it cannot go on: {errno}"),
    }
}

/// Waits for its next stop, or its end, which is left to whoever has started it.
fn wait(pid: Pid) -> WaitStatus {
    let any = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    let status = waitid(Id::Pid(pid), any).unwrap_or(WaitStatus::StillAlive);
    if matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..) | WaitStatus::StillAlive) {
        return status;
    }
    waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED).unwrap_or(WaitStatus::StillAlive)
}

fn peek(pid: Pid) -> WaitStatus {
    let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    waitid(Id::Pid(pid), ended).expect("it is a child of ours")
}
