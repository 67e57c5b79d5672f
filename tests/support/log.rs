//! Lines that another process writes, kept, and waited for.

use super::LIMIT;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

/// What a process has said so far.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<(Mutex<Said>, Condvar)>);

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    ended: bool,
    /// What it is read from, until that has ended.
    source: Option<OwnedFd>,
}

impl Said {
    /// Is all that was written among the lines?
    fn is_up_to_date(&self) -> bool {
        self.source.as_ref().is_none_or(|source| !is_readable(source, PollTimeout::ZERO))
    }

    fn take(&mut self, bytes: &[u8]) {
        self.lines.push(String::from_utf8_lossy(bytes).into_owned());
    }
}

/// Is there anything to read, or nobody left who could write?
fn is_readable(source: impl AsFd, patience: PollTimeout) -> bool {
    poll(&mut [PollFd::new(source.as_fd(), PollFlags::POLLIN)], patience).is_ok_and(|ready| ready > 0)
}

impl Log {
    /// Reads `source` to its end, in a thread. What has been taken from it is among the lines whenever nobody holds the lock.
    pub(crate) fn of(mut source: impl Read + AsFd + Send + 'static) -> Self {
        let log = Self::default();
        log.0.0.lock().unwrap().source = source.as_fd().try_clone_to_owned().ok();
        let writer = log.clone();
        thread::spawn(move || {
            let (said, news) = &*writer.0;
            let (mut piece, mut rest) = ([0; 4096], Vec::new());
            loop {
                while !is_readable(&source, PollTimeout::NONE) {}
                let mut said = said.lock().unwrap();
                let count = source.read(&mut piece).unwrap_or(0);
                rest.extend_from_slice(&piece[..count]);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    said.take(&rest[..end]);
                    rest.drain(..=end);
                }
                if count == 0 {
                    if !rest.is_empty() {
                        said.take(&rest);
                    }
                    (said.ended, said.source) = (true, None);
                }
                news.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        log
    }

    /// Everything said so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.0.lock().unwrap().lines.clone()
    }

    /// Waits for a line after the first `skip` ones that has each piece of `wanted` in order; pieces are
    /// separated by `…`. None when the writer has ended, or the limit has passed, without such a line.
    pub(crate) fn wait(&self, skip: usize, wanted: &str) -> Option<String> {
        let (said, news) = &*self.0;
        let until = Instant::now() + LIMIT;
        let mut said = said.lock().unwrap();
        let mut seen = skip;
        loop {
            if let Some(line) = said.lines.iter().skip(seen).find(|line| has(line, wanted)) {
                return Some(line.clone());
            }
            seen = said.lines.len().max(skip);
            let left = until.saturating_duration_since(Instant::now());
            if said.ended || left.is_zero() {
                return None;
            }
            said = news.wait_timeout(said, left).unwrap().0;
        }
    }

    /// Waits until all is read that was written by now.
    pub(crate) fn catch_up(&self) {
        let (said, news) = &*self.0;
        let behind = |said: &mut Said| !said.is_up_to_date();
        drop(news.wait_timeout_while(said.lock().unwrap(), LIMIT, behind).unwrap());
    }

    /// Waits until the writer has ended.
    pub(crate) fn wait_end(&self) {
        let (said, news) = &*self.0;
        drop(news.wait_timeout_while(said.lock().unwrap(), LIMIT, |said| !said.ended).unwrap());
    }
}

/// Does the line have each piece of `wanted`, in order?
pub(crate) fn has(line: &str, wanted: &str) -> bool {
    let mut rest = line;
    wanted.split('…').map(str::trim).all(|piece| match rest.split_once(piece) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
