//! Fork and exec. Only a [`Prepared`] can fork.
//!
//! The child is made as `posix_spawn` makes it: `clone(CLONE_VM | CLONE_VFORK)` on a stack of its own. It
//! borrows our memory, so nothing is copied however large we are, and we stand still until it has become the
//! program or ended: what it wrote about a failure is known when `clone` returns. It has copies of its own of
//! signal dispositions, limits and working directory. Our table of descriptors it shares until it has one of its own,
//! with nothing in it but what it is to get. One that becomes another user has a copy of the memory, too: what that
//! user could reach into must not be ours.
#![expect(unsafe_code, reason = "clone(2), and the async-signal-safe calls between it and execve(2)")]

use super::birth::Signature;
use super::children;
use super::dispositions::{Dispositions, reset_signals};
use super::identity::Becoming;
use super::precedence::{Patience, Precedence, Slice};
use super::strings::Strings;
use crate::core::SpawnStage;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::signal::{SigSet, SigmaskHow};
use std::ffi::{CString, c_int, c_long, c_void};
use std::num::NonZeroUsize;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

/// Where children are until they are programs: a stack, and a page that both sides see. Kept and used again.
pub(super) struct Cradle {
    stack: Box<[u128]>,
    told: NonNull<Told>,
    /// What they inherit of us and have no use for.
    slice: Option<Slice>,
}

/// What a child says about a step that failed. All zeros: nothing.
#[derive(Default)]
struct Told {
    /// The stage, as a number from 1.
    step: AtomicI32,
    /// Which of several things it was about.
    item: AtomicU32,
    errno: AtomicI32,
    /// Whether the child has signed that it is born.
    signed: AtomicBool,
}

/// A child that has become the program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newborn {
    pub(super) pid: i32,
    /// Whether it has signed, where it was to.
    pub(super) signed: bool,
}

impl Cradle {
    /// Far more than the handful of system calls needs; no signal handler runs on it.
    const BYTES: usize = 64 * 1024;

    /// From here on this thread has short slices of time.
    ///
    /// # Errors
    ///
    /// The system's, where it has no page.
    pub(super) fn new() -> nix::Result<Self> {
        let size = NonZeroUsize::new(size_of::<Told>()).expect("it has fields");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: memory that nothing else has; the kernel gives whole pages, aligned and full of zeros, which is a
        // value of `Told`.
        let page = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED)? };
        let stack = vec![0; Self::BYTES / size_of::<u128>()].into_boxed_slice();
        Ok(Self { stack, told: page.cast(), slice: Slice::shorten() })
    }

    /// Has the slices of time that were before, or short ones again.
    pub(super) fn with_short_slices(&mut self, short: bool) {
        let before = self.slice.take();
        before.into_iter().for_each(Slice::end);
        self.slice = short.then(Slice::shorten).flatten();
    }

    fn told(&self) -> &Told {
        // SAFETY: mapped for as long as this lives, and written through atomics only.
        unsafe { self.told.as_ref() }
    }

    /// Its upper end, from which it grows down; aligned as every ABI wants it.
    fn top(&mut self) -> *mut c_void {
        self.stack.as_mut_ptr_range().end.cast()
    }
}

impl Drop for Cradle {
    fn drop(&mut self) {
        self.with_short_slices(false);
        // SAFETY: mapped by `new` in this size, and nobody has the page any more.
        let _ = unsafe { munmap(self.told.cast(), size_of::<Told>()) };
    }
}

/// What to execute.
pub(super) enum Executable {
    /// The file of this name, seen from the working directory of the child.
    Named(CString),
    /// What this descriptor leads to.
    Kept(RawFd),
}

/// A process that only waits for its fork: all it needs has been allocated.
pub(super) struct Prepared<'a> {
    pub(super) program: Executable,
    pub(super) argv: Strings<'a>,
    pub(super) envp: Strings<'a>,
    pub(super) directory: Option<CString>,
    /// What becomes its stdin: one of the numbers below `end`.
    pub(super) stdin: RawFd,
    /// What becomes its stdout and its stderr, the same way; ours where there is none.
    pub(super) stdout: Option<RawFd>,
    pub(super) stderr: Option<RawFd>,
    /// It gets the descriptors below this number that are not close-on-exec.
    pub(super) end: RawFd,
    /// The signals that mean something else to us than by default.
    pub(super) dispositions: Dispositions,
    /// The signal that it starts with ignored.
    pub(super) ignored: Option<c_int>,
    /// What lets it into its cgroup.
    pub(super) entrance: Option<RawFd>,
    /// What becomes of it should the supervisor be killed.
    pub(super) tie: Tie,
    /// What it becomes first.
    pub(super) becoming: Becoming,
    /// Who goes first once it is the program.
    pub(super) precedence: Precedence,
}

/// What becomes of a child whose supervisor is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// It goes on.
    Loose,
    /// It goes on, and is found by this file: it signs that when it is born, at this place.
    Signs { file: RawFd, at: u64 },
    /// It is killed as well: nobody would wait for its answer. What it has started is not.
    EndsWithUs,
}

/// What the child needs, and where it says what failed.
struct Talk<'a> {
    prepared: &'a Prepared<'a>,
    told: &'a Told,
    supervisor: c_int,
    /// What the child has inherited of it.
    patience: Option<Patience>,
    slice: Option<Slice>,
}

/// A step of the child that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) stage: SpawnStage,
    /// Which of several things it was about.
    pub(super) item: u32,
    pub(super) errno: Errno,
}

/// The steps of the child.
const STEPS: [SpawnStage; 13] = [
    SpawnStage::Group,
    SpawnStage::Cgroup,
    SpawnStage::OomScore,
    SpawnStage::Limits,
    SpawnStage::Nice,
    SpawnStage::Descriptors,
    SpawnStage::SupplementaryGroups,
    SpawnStage::PrimaryGroup,
    SpawnStage::BoundingSet,
    SpawnStage::User,
    SpawnStage::Capabilities,
    SpawnStage::NoNewPrivs,
    SpawnStage::Directory,
];

/// As a number that an atomic can hold, from 1.
fn number(stage: SpawnStage) -> i32 {
    stage as i32 + 1
}

fn stage(step: i32) -> SpawnStage {
    STEPS.into_iter().find(|&stage| number(stage) == step).unwrap_or(SpawnStage::Exec)
}

impl Prepared<'_> {
    /// Makes the child; gives it once it has become the program. It leads a process group of its own.
    ///
    /// # Errors
    ///
    /// The step that failed and why; no process is left.
    pub(super) fn fork(&self, cradle: &mut Cradle) -> Result<Newborn, Failed> {
        let (top, slice) = (cradle.top(), cradle.slice);
        let told = cradle.told();
        told.step.store(0, Ordering::SeqCst);
        told.signed.store(false, Ordering::SeqCst);
        let patience = match self.precedence {
            Precedence::Ours => None,
            Precedence::Programs => Patience::begin(),
        };
        let supervisor = std::process::id().cast_signed();
        let talk = Talk { prepared: self, told, supervisor, patience, slice };
        let memory = if self.becoming.is_another() { 0 } else { libc::CLONE_VM };
        // No handler of ours may run in the child: it would do so in our memory.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        // SAFETY: the stack is ours alone and outlives the child's use of it, since CLONE_VFORK keeps this
        // thread in the call until the child has executed the program or ended; `talk` lives as long. What the child
        // tells is in a page that it shares with or without CLONE_VM. It does only what `become_program` argues for.
        let pid = unsafe {
            libc::clone(
                child,
                top,
                memory | libc::CLONE_VFORK | libc::CLONE_FILES | libc::SIGCHLD,
                (&raw const talk).cast_mut().cast(),
            )
        };
        let result = Errno::result(pid);
        // And with it our patience.
        drop(talk);
        if let Ok(mask) = before {
            // Fails for no mask that the kernel gave itself.
            let _ = mask.thread_set_mask();
        }
        let pid = result.map_err(|errno| Failed { stage: SpawnStage::Fork, item: 0, errno })?;
        match told.step.load(Ordering::SeqCst) {
            0 => Ok(Newborn { pid, signed: told.signed.load(Ordering::SeqCst) }),
            step => {
                // It is on its last way to `_exit`.
                children::reap(pid);
                let errno = Errno::from_raw(told.errno.load(Ordering::SeqCst));
                Err(Failed { stage: stage(step), item: told.item.load(Ordering::SeqCst), errno })
            }
        }
    }
}

/// Where the child begins.
extern "C" fn child(talk: *mut c_void) -> c_int {
    // SAFETY: `fork` passes a `Talk` that lives until the child has left our memory, or its copy of it.
    let talk = unsafe { &*talk.cast::<Talk<'_>>() };
    talk.become_program()
}

impl Talk<'_> {
    /// From `clone` to `execve`. Every call is async-signal-safe; nothing allocates, takes a lock, indexes,
    /// or can panic: this runs in the memory of the supervisor.
    fn become_program(&self) -> ! {
        let prepared = self.prepared;
        let check = |stage, item, result| self.check(stage, item, result);
        // A session is a process group as well, and has no terminal: with that of bootstrap a service could write into
        // it as if somebody typed there (TIOCSTI), whoever its user is.
        // SAFETY: takes nothing, gives an integer.
        check(SpawnStage::Group, 0, unsafe { libc::setsid() }.into());
        if self.patience.is_some() {
            Patience::end_inherited();
        }
        if let Some(slice) = self.slice {
            slice.end();
        }
        reset_signals(&prepared.dispositions, prepared.ignored);
        match prepared.tie {
            Tie::Loose => {}
            Tie::Signs { file, at } => self.sign(file, at),
            Tie::EndsWithUs => self.end_with_supervisor(),
        }
        if let Some(entrance) = prepared.entrance {
            // "0" is whoever writes it.
            // SAFETY: one byte that is readable, to a descriptor that we hold.
            let result = unsafe { libc::write(entrance, c"0".as_ptr().cast(), 1) };
            check(SpawnStage::Cgroup, 0, if result == 1 { 0 } else { -1 });
        }
        // First of all that changes a descriptor: from here on the table is the child's own.
        check(SpawnStage::Descriptors, 0, own_descriptors(prepared.end).into());
        prepared.becoming.limit_oneself(&check);
        // SAFETY: plain integers. Number 0 of this child becomes a copy, without close-on-exec.
        check(SpawnStage::Descriptors, 0, unsafe { libc::dup2(prepared.stdin, 0) }.into());
        for (held, number) in [(prepared.stdout, 1), (prepared.stderr, 2)] {
            if let Some(held) = held {
                // SAFETY: as above.
                check(SpawnStage::Descriptors, 0, unsafe { libc::dup2(held, number) }.into());
            }
        }
        prepared.becoming.give_up_rights(&check);
        if let Some(directory) = &prepared.directory {
            // As the user that it is now: one that may not enter it must not find itself there.
            // SAFETY: a string that ends with NUL, and stays.
            check(SpawnStage::Directory, 0, unsafe { libc::chdir(directory.as_ptr()) }.into());
        }
        for variable in &prepared.envp.own_pid {
            // SAFETY: no argument, no memory.
            variable.write(unsafe { libc::getpid() }.unsigned_abs());
        }
        // SAFETY: `none` is initialised by `sigemptyset` before it is read. Last of all: from here on a signal
        // acts, and its handlers are gone.
        unsafe {
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        }
        check(SpawnStage::Exec, 0, self.execute().into());
        // SAFETY: ends this child, and runs nothing of ours on the way. Not reached: `execve` only returns -1.
        unsafe { libc::_exit(126) }
    }

    /// Is killed when the supervisor is, from now on.
    fn end_with_supervisor(&self) {
        // SAFETY: plain integers. `getppid` names another parent where ours has ended already.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if libc::getppid() != self.supervisor {
                libc::_exit(126);
            }
        }
    }

    /// Says in the file who it is: a supervisor that comes later finds it. Until then it dies with this one.
    fn sign(&self, file: RawFd, at: u64) {
        self.end_with_supervisor();
        if let (Some(signature), Ok(at)) = (Signature::own(), libc::off_t::try_from(at)) {
            let text = signature.text();
            // SAFETY: bytes of ours, to a descriptor that we hold. Where it fails we write it down ourselves, later.
            let written = unsafe { libc::pwrite(file, text.as_ptr().cast(), text.len(), at) };
            self.told.signed.store(written.cast_unsigned() == text.len(), Ordering::SeqCst);
        }
        // SAFETY: as above. The program is to outlive us.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
    }

    /// Becomes the program; comes back only where that fails, with -1.
    fn execute(&self) -> c_int {
        let (argv, envp) = (self.prepared.argv.pointers.as_ptr(), self.prepared.envp.pointers.as_ptr());
        match &self.prepared.program {
            // SAFETY: strings that end with NUL and arrays that end with null, made before the fork.
            Executable::Named(path) => unsafe { libc::execve(path.as_ptr(), argv, envp) },
            Executable::Kept(number) => {
                let nameless = c"".as_ptr();
                // SAFETY: as above; the C library wraps this call only since a version that few systems have.
                unsafe {
                    libc::syscall(libc::SYS_execveat, *number, nameless, argv, envp, libc::AT_EMPTY_PATH);
                }
                -1
            }
        }
    }

    /// Goes on where a call succeeded, else says which step failed and ends the child.
    fn check(&self, stage: SpawnStage, item: u32, result: c_long) {
        if result != -1 {
            return;
        }
        // SAFETY: `errno` is always readable. It is the one of the thread that waits in `clone`, which does
        // not look at it after a success.
        let errno = unsafe { *libc::__errno_location() };
        self.told.errno.store(errno, Ordering::SeqCst);
        self.told.item.store(item, Ordering::SeqCst);
        self.told.step.store(number(stage), Ordering::SeqCst);
        // SAFETY: ends this child only; no destructor and no exit function of ours runs.
        unsafe { libc::_exit(if errno == libc::ENOENT { 127 } else { 126 }) }
    }
}

/// Makes the table of descriptors this child's own, and copies only what is below `end` into it.
fn own_descriptors(end: RawFd) -> c_int {
    const CLOSE_RANGE_UNSHARE: libc::c_uint = 1 << 1;
    // SAFETY: three integers, as the system call takes them; where it fails nothing is closed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, end, libc::c_uint::MAX, CLOSE_RANGE_UNSHARE) };
    if result == 0 { 0 } else { -1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_told_by_its_own_number() {
        for step in STEPS {
            assert_eq!(stage(number(step)), step);
        }
        assert_eq!(stage(number(SpawnStage::Exec)), SpawnStage::Exec);
    }
}
