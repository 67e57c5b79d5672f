//! The numbers under which a child gets its descriptors: 3, 4, 5 and so on, kept free of anything of ours.
//!
//! A child shares our table of descriptors until it asks for one of its own, into which the kernel copies only
//! what is below a number (`close_range(2)`). Else each start would copy every socket that we hold, only to
//! close it again. So what a child gets has to stand below: it is put there before the fork, and taken away after.
#![expect(unsafe_code, reason = "fcntl(2) and dup3(2) on numbers instead of descriptors with an owner")]

use crate::limits::LISTENERS_PER_SERVICE;
use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The first of them: what comes before are the standard streams.
const FIRST: RawFd = 3;

/// The listeners of a service, what it talks to us on (einhorn's workers in two ways, others on a pipe of which they have both
/// ends), its program where that is pinned, with the interpreter of that, its three streams, and the other ends of two.
const COUNT: usize = LISTENERS_PER_SERVICE + 9;

/// One past the last of them.
fn end() -> RawFd {
    FIRST + RawFd::try_from(COUNT).expect("a limit far below that of the kernel")
}

/// The same descriptor under a number that is none of them.
pub(super) fn moved_up(held: OwnedFd) -> Option<OwnedFd> {
    copy_from(&File::from(held), end()).ok()
}

/// The numbers, each open on nothing.
pub(super) struct Slots {
    null: OwnedFd,
}

impl Slots {
    /// Takes the numbers. What our parent left open under them moves up: it may be a lock that is to be held.
    pub(super) fn reserve() -> io::Result<Self> {
        let null = copy_from(&File::open("/dev/null")?, end())?;
        let slots = Self { null };
        for number in FIRST..end() {
            // SAFETY: plain integers; a number that is not open gives EBADF.
            if unsafe { libc::fcntl(number, libc::F_GETFD) } != -1 {
                // SAFETY: as above. The copy stays open for good, like what it was copied from.
                Errno::result(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, end()) })?;
            }
            slots.clear(number)?;
        }
        Ok(slots)
    }

    /// What stands under no number yet, for one child.
    pub(super) fn lend(&self) -> Lending<'_> {
        Lending { slots: self, next: FIRST }
    }

    fn clear(&self, number: RawFd) -> Result<(), Errno> {
        put(self.null.as_raw_fd(), number, libc::O_CLOEXEC)
    }
}

/// The numbers of one child. They are free again when this is dropped.
pub(super) struct Lending<'a> {
    slots: &'a Slots,
    next: RawFd,
}

impl Lending<'_> {
    /// Puts a descriptor under the next number; the program gets it.
    pub(super) fn give(&mut self, held: RawFd) -> Result<RawFd, Errno> {
        self.put_next(held, 0)
    }

    /// The same, for the child alone: it closes when the child becomes the program.
    pub(super) fn show(&mut self, held: RawFd) -> Result<RawFd, Errno> {
        self.put_next(held, libc::O_CLOEXEC)
    }

    /// The first number that is not lent. What is below is copied for the child.
    pub(super) fn end(&self) -> RawFd {
        self.next
    }

    fn put_next(&mut self, held: RawFd, flags: i32) -> Result<RawFd, Errno> {
        if self.next >= end() {
            return Err(Errno::EMFILE);
        }
        let number = self.next;
        put(held, number, flags)?;
        self.next += 1;
        Ok(number)
    }
}

impl Drop for Lending<'_> {
    fn drop(&mut self) {
        for number in FIRST..self.next {
            // It fails for no number that is open already, and leaves it as it was where it does.
            let _ = self.slots.clear(number);
        }
    }
}

/// Makes `number` a copy of `held`.
fn put(held: RawFd, number: RawFd, flags: i32) -> Result<(), Errno> {
    // SAFETY: plain integers. `number` is one of the slots, which only this file opens, and which are nobody's.
    Errno::result(unsafe { libc::dup3(held, number, flags) }).map(drop)
}

/// A copy, close-on-exec, whose number is at least `lowest`.
fn copy_from(file: &File, lowest: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: plain integers.
    let copy = Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest) })?;
    // SAFETY: the kernel has just made it, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
