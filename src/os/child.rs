//! Fork and exec. Only a [`Prepared`] can fork.
//!
//! The child is made as `posix_spawn` makes it: `clone(CLONE_VM | CLONE_VFORK)` on a stack of its own. It
//! borrows our memory, so nothing is copied however large we are, and we stand still until it has become the
//! program or ended: what it wrote into our memory about a failure is known when `clone` returns. It has
//! copies of its own of signal dispositions, limits and working directory. Our table of descriptors it shares
//! until it has one of its own, with nothing in it but what it is to get.
#![expect(unsafe_code, reason = "clone(2), and the async-signal-safe calls between it and execve(2)")]

use super::children;
use super::inherited::DescriptorLimit;
use crate::core::SpawnStage;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};
use std::ffi::{CString, c_char, c_int, c_void};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

/// The stack on which children run until they are programs. Kept and used again.
pub(super) struct Stack(Box<[u128]>);

impl Stack {
    /// Far more than the handful of system calls needs; no signal handler runs on it.
    const BYTES: usize = 64 * 1024;

    pub(super) fn new() -> Self {
        Self(vec![0; Self::BYTES / size_of::<u128>()].into_boxed_slice())
    }

    /// Its upper end, from which it grows down; aligned as every ABI wants it.
    fn top(&mut self) -> *mut c_void {
        self.0.as_mut_ptr_range().end.cast()
    }
}

/// Strings as `execve` takes them: pointers, the last of them null.
pub(super) struct Strings {
    pointers: Vec<*const c_char>,
    _owned: Vec<CString>,
    own_pid: Option<OwnPid>,
}

/// `NAME=` and room for a pid that only the child will know; it ends with NUL before and after that is written.
struct OwnPid {
    text: Box<[AtomicU8]>,
    value_at: usize,
}

impl OwnPid {
    /// The decimal places that a pid may have.
    const PLACES: [u32; 10] =
        [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1000, 100, 10, 1];

    fn new(name: &str) -> Self {
        let room = [0; Self::PLACES.len() + 1];
        let bytes = name.bytes().chain([b'=']).chain(room);
        Self { text: bytes.map(AtomicU8::new).collect(), value_at: name.len() + 1 }
    }

    /// Writes the pid. Neither allocates nor panics.
    fn write(&self, pid: u32) {
        let mut room = self.text.iter().skip(self.value_at);
        for place in Self::PLACES {
            if pid < place && place != 1 {
                continue;
            }
            let digit = u8::try_from(pid / place % 10).unwrap_or(0);
            if let Some(slot) = room.next() {
                slot.store(b'0' + digit, Ordering::Relaxed);
            }
        }
    }
}

impl Strings {
    /// Fails where a string holds a NUL.
    pub(super) fn new(strings: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, Errno> {
        Self::with_own_pid(strings, None)
    }

    /// The same, and a variable that will hold the child's own pid.
    pub(super) fn with_own_pid(
        strings: impl IntoIterator<Item = Vec<u8>>,
        name: Option<&str>,
    ) -> Result<Self, Errno> {
        let owned: Vec<CString> =
            strings.into_iter().map(CString::new).collect::<Result<_, _>>().map_err(|_| Errno::EINVAL)?;
        let own_pid = name.map(OwnPid::new);
        let pid = own_pid.iter().map(|variable| variable.text.as_ptr().cast());
        let pointers = owned.iter().map(|s| s.as_ptr()).chain(pid).chain([std::ptr::null()]).collect();
        Ok(Self { pointers, _owned: owned, own_pid })
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
pub(super) struct Prepared {
    pub(super) program: Executable,
    pub(super) argv: Strings,
    pub(super) envp: Strings,
    pub(super) directory: Option<CString>,
    /// What becomes its stdin: one of the numbers below `end`.
    pub(super) stdin: RawFd,
    /// It gets the descriptors below this number that are not close-on-exec.
    pub(super) end: RawFd,
    /// The signal that it starts with ignored.
    pub(super) ignored: Option<c_int>,
    /// The limit of descriptors that it gets.
    pub(super) limit: DescriptorLimit,
}

/// What the child says about itself, in memory that both see.
struct Talk<'a> {
    prepared: &'a Prepared,
    step: AtomicI32,
    errno: AtomicI32,
}

/// The steps of the child, as numbers that an atomic can hold.
const GROUP: i32 = 1;
const LIMITS: i32 = 2;
const DIRECTORY: i32 = 3;
const DESCRIPTORS: i32 = 4;
const EXEC: i32 = 5;

fn stage(step: i32) -> SpawnStage {
    match step {
        GROUP => SpawnStage::Group,
        LIMITS => SpawnStage::Limits,
        DIRECTORY => SpawnStage::Directory,
        DESCRIPTORS => SpawnStage::Descriptors,
        _ => SpawnStage::Exec,
    }
}

impl Prepared {
    /// Makes the child; gives its pid once it has become the program. It leads a process group of its own.
    ///
    /// # Errors
    ///
    /// The step that failed and why; no process is left.
    pub(super) fn fork(&self, stack: &mut Stack) -> Result<i32, (SpawnStage, Errno)> {
        let talk = Talk { prepared: self, step: AtomicI32::new(0), errno: AtomicI32::new(0) };
        // No handler of ours may run in the child: it would do so in our memory.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        // SAFETY: the stack is ours alone and outlives the child's use of it, since CLONE_VFORK keeps this
        // thread in the call until the child has executed the program or ended; `talk` lives as long and is
        // shared, with atomics where it is written. The child does only what `become_program` argues for.
        let pid = unsafe {
            libc::clone(
                child,
                stack.top(),
                libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::SIGCHLD,
                (&raw const talk).cast_mut().cast(),
            )
        };
        let result = Errno::result(pid);
        if let Ok(mask) = before {
            // Fails for no mask that the kernel gave itself.
            let _ = mask.thread_set_mask();
        }
        let pid = result.map_err(|errno| (SpawnStage::Fork, errno))?;
        match talk.step.load(Ordering::SeqCst) {
            0 => Ok(pid),
            step => {
                // It is on its last way to `_exit`.
                children::reap(pid);
                Err((stage(step), Errno::from_raw(talk.errno.load(Ordering::SeqCst))))
            }
        }
    }
}

/// Where the child begins.
extern "C" fn child(talk: *mut c_void) -> c_int {
    // SAFETY: `fork` passes a `Talk` that lives until the child has left our memory, and shares it.
    let talk = unsafe { &*talk.cast::<Talk<'_>>() };
    talk.become_program()
}

impl Talk<'_> {
    /// From `clone` to `execve`. Every call is async-signal-safe; nothing allocates, takes a lock, indexes,
    /// or can panic: this runs in the memory of the supervisor.
    fn become_program(&self) -> ! {
        let prepared = self.prepared;
        // SAFETY: plain integers.
        self.check(GROUP, unsafe { libc::setpgid(0, 0) });
        reset_signals(prepared.ignored);
        let limit = libc::rlimit { rlim_cur: prepared.limit.soft, rlim_max: prepared.limit.hard };
        // SAFETY: `limit` is readable for the time of the call.
        self.check(LIMITS, unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) });
        if let Some(directory) = &prepared.directory {
            // SAFETY: a string that ends with NUL, and stays.
            self.check(DIRECTORY, unsafe { libc::chdir(directory.as_ptr()) });
        }
        // First of all that touches a descriptor: from here on the table is the child's own.
        self.check(DESCRIPTORS, own_descriptors(prepared.end));
        // SAFETY: plain integers. Number 0 of this child becomes a copy, without close-on-exec.
        self.check(DESCRIPTORS, unsafe { libc::dup2(prepared.stdin, 0) });
        if let Some(variable) = &prepared.envp.own_pid {
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
        self.check(EXEC, self.execute());
        // SAFETY: ends this child, and runs nothing of ours on the way. Not reached: `execve` only returns -1.
        unsafe { libc::_exit(126) }
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
    fn check(&self, step: i32, result: c_int) {
        if result != -1 {
            return;
        }
        // SAFETY: `errno` is always readable. It is the one of the thread that waits in `clone`, which does
        // not look at it after a success.
        let errno = unsafe { *libc::__errno_location() };
        self.errno.store(errno, Ordering::SeqCst);
        self.step.store(step, Ordering::SeqCst);
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

/// Gives every signal its default, and has one ignored. An ignored signal stays ignored over exec (Rust
/// ignores SIGPIPE, nohup SIGHUP), and servers expect the default.
fn reset_signals(ignored: Option<c_int>) {
    // All zeros is SIG_DFL, without flags, with an empty mask, in whichever order an architecture has them.
    // The C library's function would refuse the two signals that it keeps for itself.
    const DEFAULT: [u64; 8] = [0; 8];
    const SIGNAL_SET_BYTES: usize = 8;
    for signal in 1..=64 as c_int {
        let none = std::ptr::null_mut::<c_void>();
        // SAFETY: `DEFAULT` is at least as large as the kernel's structure and readable. For SIGKILL and
        // SIGSTOP it fails, which changes nothing.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), none, SIGNAL_SET_BYTES);
        }
    }
    if let Some(signal) = ignored {
        // SAFETY: a number and a constant; this child's dispositions are its own.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn the_childs_own_pid_is_written_with_all_its_digits_and_no_more() {
        for pid in [1, 9, 10, 305, 4_194_304, 1_000_000_000, u32::MAX] {
            let variable = OwnPid::new("LISTEN_PID");
            variable.write(pid);
            let bytes: Vec<u8> = variable.text.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
            let text = CStr::from_bytes_until_nul(&bytes).unwrap();
            assert_eq!(text.to_str(), Ok(&*format!("LISTEN_PID={pid}")));
        }
    }
}
