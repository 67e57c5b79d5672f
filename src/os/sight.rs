//! Whether a process waits for clients on a socket of ours, seen from outside (docs/protocols.md).
//!
//! A server waits in one of two ways: the socket is in an epoll set of its, or a thread of it is blocked in a
//! system call that was given the socket. `/proc` shows both, to the same user and to root. It is a sample: a
//! thread that is busy with a client shows nothing.

use crate::core::Sight;
use crate::limits::{SIGHT_DESCRIPTORS, SIGHT_EPOLL_BYTES, SIGHT_POLLED, SIGHT_PROCESSES, SIGHT_THREADS};
use nix::unistd::{Pid, getpgid};
use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Looks at the processes of a group.
pub(super) fn look(members: &[i32], sockets: &BTreeSet<u64>) -> Sight {
    let (mut blind, mut closed) = (false, !members.is_empty());
    for &pid in members {
        match look_at(pid, sockets) {
            Ok(Sight::Accepting) => return Sight::Accepting,
            Ok(Sight::NotAccepting | Sight::Busy) => closed = false,
            Ok(Sight::Closed) => {}
            Ok(Sight::Hidden) => blind = true,
            // Of one that has ended nothing can be seen, whoever asks. Other errors mean that it is gone.
            Err(error) => {
                blind |= error.kind() == io::ErrorKind::PermissionDenied && !super::children::is_ending(pid);
            }
        }
    }
    match (blind, closed) {
        (true, _) => Sight::Hidden,
        (false, true) => Sight::Closed,
        (false, false) => Sight::NotAccepting,
    }
}

/// The processes of the group that `leader` leads, the leader first: at most [`SIGHT_PROCESSES`], and as many are looked through.
/// `orphans` says that the leader has ended: what is left of its group are children of ours.
pub(super) fn members(leader: i32, orphans: bool) -> Vec<i32> {
    let mut found = Vec::new();
    let mut next = VecDeque::from([leader]);
    if orphans {
        next.extend(children(std::process::id().cast_signed()).unwrap_or_default());
        next.retain(|&pid| group(pid) == Some(leader));
    }
    let mut passed = 0;
    while let Some(pid) = next.pop_front()
        && passed < SIGHT_PROCESSES
    {
        passed += 1;
        if group(pid) == Some(leader) {
            found.push(pid);
        }
        match children(pid) {
            Some(more) => next.extend(more),
            // A kernel without that file, or one that was asked about a process that has just ended.
            None if group(pid).is_some() => return scan(leader),
            None => {}
        }
    }
    found
}

/// The process group of a process.
pub(super) fn group(pid: i32) -> Option<i32> {
    getpgid(Some(Pid::from_raw(pid))).ok().map(Pid::as_raw)
}

/// The children of all threads of a process.
pub(super) fn children(pid: i32) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    for thread in numbers(&format!("/proc/{pid}/task"), SIGHT_THREADS).ok()? {
        let list = match fs::read_to_string(format!("/proc/{pid}/task/{thread}/children")) {
            Ok(list) => list,
            // The thread has ended, or there is no such file at all: then its folder is there all the same.
            Err(_) if Path::new(&format!("/proc/{pid}/task/{thread}")).exists() => return None,
            Err(_) => continue,
        };
        found.extend(list.split_ascii_whitespace().filter_map(|child| child.parse::<i32>().ok()));
    }
    Some(found)
}

/// The processes of the group, found among all there are.
pub(super) fn scan(leader: i32) -> Vec<i32> {
    let all = numbers("/proc", usize::MAX).unwrap_or_default();
    all.into_iter().filter(|&pid| group(pid) == Some(leader)).take(SIGHT_PROCESSES).collect()
}

/// The names in a folder that are numbers, the lowest first in every folder of `/proc` that is asked for.
fn numbers(folder: &str, most: usize) -> io::Result<Vec<i32>> {
    let entries = fs::read_dir(folder)?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).take(most).collect())
}

fn look_at(pid: i32, sockets: &BTreeSet<u64>) -> io::Result<Sight> {
    let mut blind = false;
    // Servers open their epoll sets before they have clients, so these are among the lowest numbers.
    let descriptors = numbers(&format!("/proc/{pid}/fd"), SIGHT_DESCRIPTORS)?;
    let mut has_one = descriptors.len() == SIGHT_DESCRIPTORS;
    for number in descriptors {
        let Ok(target) = fs::read_link(format!("/proc/{pid}/fd/{number}")) else { continue };
        has_one |= inode_of_socket(&target).is_some_and(|inode| sockets.contains(&inode));
        match target.to_str() {
            Some("anon_inode:[eventpoll]") if in_epoll_set(pid, number, sockets)? => {
                return Ok(Sight::Accepting);
            }
            Some("anon_inode:[io_uring]") => blind = true,
            _ => {}
        }
    }
    for thread in numbers(&format!("/proc/{pid}/task"), SIGHT_THREADS)? {
        if is_blocked(pid, thread, sockets)? {
            return Ok(Sight::Accepting);
        }
    }
    Ok(match (blind, has_one) {
        (true, _) => Sight::Hidden,
        (false, true) => Sight::NotAccepting,
        (false, false) => Sight::Closed,
    })
}

/// Turns "it has just closed that, or ended" into nothing, and keeps "you may not".
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Err(_) => Ok(None),
    }
}

/// Is one of the sockets in this epoll set, so that clients wake it?
fn in_epoll_set(pid: i32, number: i32, sockets: &BTreeSet<u64>) -> io::Result<bool> {
    let Some(file) = unless_gone(File::open(format!("/proc/{pid}/fdinfo/{number}")))? else {
        return Ok(false);
    };
    for line in BufReader::new(file.take(SIGHT_EPOLL_BYTES)).lines() {
        let Some(line) = unless_gone(line)? else { return Ok(false) };
        if let Some((target, inode)) = watched(&line)
            && sockets.contains(&inode)
            // A set keeps what it watches for as long as anybody has it open, and we have: one that the server
            // closed without taking it out is still there.
            && socket_of(pid, target) == Some(inode)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Number and inode of what a line of an epoll set says is watched for clients:
/// `tfd:        4 events:       19 data:                4  pos:0 ino:1a2b sdev:9`.
fn watched(line: &str) -> Option<(i32, u64)> {
    let mut words = line.strip_prefix("tfd:")?.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let events = u32::from_str_radix(words.find(|word| *word == "events:").and(words.next())?, 16).ok()?;
    let inode = u64::from_str_radix(words.find_map(|word| word.strip_prefix("ino:"))?, 16).ok()?;
    // One that fired under EPOLLONESHOT has no event left until it is armed again.
    (events & libc::EPOLLIN.cast_unsigned() != 0).then_some((number, inode))
}

/// The inodes of the sockets that a process has, as far as may be seen.
pub(super) fn sockets_of(pid: i32) -> Vec<u64> {
    let numbers = numbers(&format!("/proc/{pid}/fd"), SIGHT_DESCRIPTORS).unwrap_or_default();
    numbers.into_iter().filter_map(|number| socket_of(pid, number)).collect()
}

/// The inode of the socket that this is, if it is one.
fn socket_of(pid: i32, number: i32) -> Option<u64> {
    inode_of_socket(&fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()?)
}

/// The inode of the socket that such a link leads to: `socket:[4711]`.
fn inode_of_socket(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Is this thread blocked until a client comes?
fn is_blocked(pid: i32, thread: i32, sockets: &BTreeSet<u64>) -> io::Result<bool> {
    let call = unless_gone(fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")))?;
    let Some(call) = call.as_deref().and_then(Call::parse) else { return Ok(false) };
    let numbers = match call.waits_for() {
        Waits::Not => return Ok(false),
        Waits::For(number) => vec![number],
        Waits::Poll { at, count } => {
            const ENTRY: usize = 8;
            let bytes = memory(pid, at, count.min(SIGHT_POLLED) * ENTRY)?;
            bytes.chunks_exact(ENTRY).filter_map(polled).collect()
        }
        Waits::Select { at, count } => {
            let count = count.min(SIGHT_POLLED);
            let bytes = memory(pid, at, count.next_multiple_of(64) / 8)?;
            (0..count).filter(|&bit| in_set(&bytes, bit)).filter_map(|bit| i32::try_from(bit).ok()).collect()
        }
    };
    Ok(numbers.into_iter().any(|number| socket_of(pid, number).is_some_and(|it| sockets.contains(&it))))
}

/// The descriptor of a `struct pollfd` that asks for something to read.
fn polled(entry: &[u8]) -> Option<i32> {
    let number = i32::from_ne_bytes(entry.get(..4)?.try_into().ok()?);
    let events = i16::from_ne_bytes(entry.get(4..6)?.try_into().ok()?);
    (events & libc::POLLIN != 0).then_some(number)
}

/// Is this bit set in an `fd_set`, which is an array of longs?
fn in_set(bytes: &[u8], bit: usize) -> bool {
    const LONG: usize = size_of::<libc::c_ulong>();
    let word = bytes.chunks_exact(LONG).nth(bit / (8 * LONG)).and_then(|word| word.try_into().ok());
    word.is_some_and(|word| libc::c_ulong::from_ne_bytes(word) >> (bit % (8 * LONG)) & 1 == 1)
}

/// Bytes of another process; none where they are not there any more.
fn memory(pid: i32, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = File::open(format!("/proc/{pid}/mem")).and_then(|file| file.read_exact_at(&mut bytes, at));
    Ok(unless_gone(read)?.map(|()| bytes).unwrap_or_default())
}

/// A system call that a thread is blocked in: its number and its first two arguments.
struct Call {
    number: i64,
    arguments: [u64; 2],
}

/// What a thread waits for.
enum Waits {
    /// Something else.
    Not,
    /// This descriptor.
    For(i32),
    /// Those in an array in its memory.
    Poll { at: u64, count: usize },
    /// Those in a set in its memory.
    Select { at: u64, count: usize },
}

impl Call {
    /// `running`, or the number and six arguments in hexadecimal; a thread blocked elsewhere has number -1.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        let arguments: Vec<u64> = words
            .take(3)
            .map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok())
            .collect::<Option<_>>()?;
        match arguments[..] {
            [first, second, _] => Some(Self { number, arguments: [first, second] }),
            _ => None,
        }
    }

    fn waits_for(&self) -> Waits {
        let [first, second] = self.arguments;
        #[expect(clippy::cast_possible_truncation, reason = "an int in a register that is wider")]
        let descriptor = first as i32;
        let most = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        #[expect(clippy::useless_conversion, reason = "a long has 32 bits elsewhere")]
        let is = |number: libc::c_long| self.number == i64::from(number);
        #[cfg(target_arch = "x86_64")]
        if is(libc::SYS_poll) {
            return Waits::Poll { at: first, count: most(second) };
        } else if is(libc::SYS_select) {
            return Waits::Select { at: second, count: most(first) };
        }
        if [libc::SYS_accept, libc::SYS_accept4, libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_recvmmsg]
            .into_iter()
            .any(is)
        {
            Waits::For(descriptor)
        } else if is(libc::SYS_ppoll) {
            Waits::Poll { at: first, count: most(second) }
        } else if is(libc::SYS_pselect6) {
            Waits::Select { at: second, count: most(first) }
        } else {
            Waits::Not
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_epoll_set_counts_only_where_it_is_armed_for_clients() {
        for (line, expected) in [
            (
                "tfd:        4 events:       19 data:                4  pos:0 ino:1a2b sdev:9",
                Some((4, 0x1a2b)),
            ),
            ("tfd:        5 events: 10000001 data:                4  pos:0 ino:ff sdev:9", Some((5, 255))),
            ("tfd:        4 events: 40000000 data:                4  pos:0 ino:1a2b sdev:9", None),
            ("tfd:        4 events:       18 data:                4  pos:0 ino:1a2b sdev:9", None),
            ("pos:\t0", None),
            ("flags:\t02000002", None),
            ("tfd:", None),
        ] {
            assert_eq!(watched(line), expected, "{line}");
        }
    }

    #[test]
    fn a_call_is_read_with_its_arguments_and_none_from_a_thread_that_runs() {
        let call = |line| Call::parse(line).map(|call| (call.number, call.arguments));
        assert_eq!(call("288 0x3 0x7ffe 0x0 0x80000 0x0 0x0 0x7ffe 0x7f\n"), Some((288, [3, 0x7ffe])));
        for line in ["running\n", "-1 0x7ffe 0x7f\n", "", "288 zero 0x0 0x0"] {
            assert_eq!(call(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_set_has_the_bits_that_the_kernel_reads_in_it() {
        let mut set = vec![0; 16];
        set[..8].copy_from_slice(&(1_u64 << 5).to_ne_bytes());
        set[8..].copy_from_slice(&1_u64.to_ne_bytes());
        let found: Vec<usize> = (0..200).filter(|&bit| in_set(&set, bit)).collect();
        assert_eq!(found, [5, 64]);
    }
}
