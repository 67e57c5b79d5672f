//! The files of `/proc` about one process: made anew for each reader, and read here at one go.
//!
//! They are looked at for every process that is started, asked or reaped; the library's way to read a file asks for
//! its size first, which these do not have, and then reads a few bytes at a time.

use std::fs::File;
use std::io::Read as _;

/// A page: most of these files fit.
const PIECE_BYTES: usize = 4096;

/// The text of `/proc/PID/NAME`; none where the process is gone, or not ours to look at.
pub(super) fn read(pid: i32, name: &str) -> Option<Vec<u8>> {
    let mut file = File::open(format!("/proc/{pid}/{name}")).ok()?;
    let mut text = vec![0; PIECE_BYTES];
    let mut len = 0;
    loop {
        match file.read(text.get_mut(len..)?).ok()? {
            0 => break,
            count => len += count,
        }
        if len == text.len() {
            text.resize(2 * len, 0);
        }
    }
    text.truncate(len);
    Some(text)
}

/// What is needed of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// It has ended, and waits to be reaped.
    pub(super) is_dead: bool,
    /// Bits of the kernel.
    pub(super) flags: u64,
    /// When the kernel started it, in ticks since the boot.
    pub(super) start: u64,
    /// The signals without names of their own are in neither: 31 have one, the lowest bit is that of signal 1.
    blocked: u64,
    ignored: u64,
}

/// How a process is; none where it is gone.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse(&read(pid, "stat")?)
}

fn parse(text: &[u8]) -> Option<Stat> {
    // The name stands in parentheses, and may hold some itself.
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let mut rest = std::str::from_utf8(text.get(end + 1..)?).ok()?.split_ascii_whitespace();
    let state = rest.next()?;
    let flags = rest.nth(5)?.parse().ok()?;
    let start = rest.nth(12)?.parse().ok()?;
    let blocked = rest.nth(9)?.parse().ok()?;
    let ignored = rest.next()?.parse().ok()?;
    Some(Stat { is_dead: matches!(state, "Z" | "X"), flags, start, blocked, ignored })
}

/// Would this signal be lost on the process? One that is blocked waits for the process, even while it is ignored: that
/// is how servers with `signalfd(2)` or `sigwait(3)` are asked. Where it cannot be read the answer is no.
pub(super) fn ignores(pid: i32, signal: i32) -> bool {
    // It takes the kernel half as long to make as the other.
    if signal <= 31 {
        return stat(pid).is_some_and(|found| found.ignored & !found.blocked & bit(signal) != 0);
    }
    let masks = Masks::of(pid);
    masks.has("SigIgn:", signal) && !masks.has("SigBlk:", signal)
}

/// Was SIGKILL sent to this process, which has not ended yet?
pub(super) fn is_being_killed(pid: i32) -> bool {
    let masks = Masks::of(pid);
    masks.has("SigPnd:", libc::SIGKILL) || masks.has("ShdPnd:", libc::SIGKILL)
}

/// A signal in a mask, which has the lowest bit for signal 1.
fn bit(signal: i32) -> u64 {
    u32::try_from(signal - 1).ok().and_then(|shift| 1_u64.checked_shl(shift)).unwrap_or(0)
}

/// What `/proc/PID/status` says of a process.
struct Masks(Vec<u8>);

impl Masks {
    fn of(pid: i32) -> Self {
        Self(read(pid, "status").unwrap_or_default())
    }

    /// Is the signal in the mask of this name?
    fn has(&self, name: &str, signal: i32) -> bool {
        // The name of the process is escaped; all else is plain.
        let status = String::from_utf8_lossy(&self.0);
        let bits = status.lines().find_map(|line| line.strip_prefix(name));
        bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
            .is_some_and(|mask| mask & bit(signal) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_end_of_a_name_that_looks_like_more_of_them() {
        let text = b"7 (a) R 1 2) S 6 77 8 0 -1 4194560 9 9 9 9 1 2 3 4 20 0 1 0 194925 876544 98 1 1 1 0 0 0 0 5 512 16384";
        let expected = Stat { is_dead: false, flags: 4_194_560, start: 194_925, blocked: 5, ignored: 512 };
        assert_eq!(parse(text), Some(expected));
        assert!(
            parse(b"7 (a) Z 6 77 8 0 -1 4 9 9 9 9 1 2 3 4 20 0 1 0 5 6 7 0 0 0 0 0 0 0 0 0 0")
                .unwrap()
                .is_dead
        );
        assert_eq!(parse(b"7 (a) S 6"), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process to look at")]
    fn a_signal_is_lost_where_it_is_ignored_and_not_blocked() {
        let real_time = libc::SIGRTMIN() + 3;
        let script = format!("trap '' USR1 {real_time}; trap : USR2; echo; exec sleep 100");
        let mut child = std::process::Command::new("bash")
            .args(["-c", &script])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // From its line on the traps are set.
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let pid = child.id().cast_signed();
        let found =
            [libc::SIGUSR1, real_time, libc::SIGUSR2, real_time + 1].map(|signal| ignores(pid, signal));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, [true, true, false, false]);
        assert!(!ignores(pid, libc::SIGUSR1), "it is gone");
    }

    #[test]
    fn what_is_longer_than_a_page_is_read_to_its_end() {
        let own = i32::try_from(std::process::id()).unwrap();
        let whole = std::fs::read(format!("/proc/{own}/smaps")).unwrap();
        assert!(whole.len() > 2 * PIECE_BYTES);
        let lines = |text: &[u8]| text.split(|&byte| byte == b'\n').count();
        // Numbers in it change; mappings may too, by a few.
        assert!(read(own, "smaps").is_some_and(|found| lines(&found) * 10 > lines(&whole) * 9));
        assert_eq!(read(i32::MAX, "stat"), None);
    }
}
