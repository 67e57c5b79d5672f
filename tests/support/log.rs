//! Lines that another process writes, kept, and waited for.

use super::LIMIT;
use std::io::{BufRead, BufReader, Read};
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
}

impl Log {
    /// Reads `source` to its end, in a thread.
    pub(crate) fn of(source: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let writer = log.clone();
        thread::spawn(move || {
            let (said, news) = &*writer.0;
            for line in BufReader::new(source).split(b'\n') {
                let Ok(line) = line else { break };
                said.lock().unwrap().lines.push(String::from_utf8_lossy(&line).into_owned());
                news.notify_all();
            }
            said.lock().unwrap().ended = true;
            news.notify_all();
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
