//! What a status says of a service, in words for people.

use crate::protocol::status::{RestartCounts, ServiceStatus, SocketStatus, Stale, Unhealthy};
use std::fmt;
use std::time::Duration;

/// What is known, else a dash.
pub(super) struct Known<T>(pub(super) Option<T>);

impl<T: fmt::Display> fmt::Display for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(known) => known.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// The first pids, and how many more there are.
pub(super) fn pids(service: &ServiceStatus) -> String {
    const SHOWN: usize = 3;
    let pids = || service.runs.iter().filter_map(|run| run.pid);
    let first: Vec<String> = pids().take(SHOWN).map(|pid| pid.to_string()).collect();
    match pids().count() {
        0 => "-".into(),
        1..=SHOWN => first.join(","),
        more => format!("{},+{}", first.join(","), more - SHOWN),
    }
}

/// What waits at all sockets together: clients, and bytes of datagrams.
pub(super) fn queue(sockets: &[SocketStatus]) -> String {
    let clients = sockets.iter().filter_map(|socket| socket.waiting).reduce(|a, b| a + b);
    let bytes = sockets.iter().filter_map(|socket| socket.waiting_bytes).reduce(|a, b| a + b);
    match (clients, bytes.map(size)) {
        (None, None) => "-".into(),
        (Some(clients), None) => clients.to_string(),
        (None, Some(bytes)) => bytes,
        (Some(clients), Some(bytes)) => format!("{clients}+{bytes}"),
    }
}

/// What waits at one socket, where that is known.
pub(super) fn queue_in_words(socket: &SocketStatus) -> String {
    if let (Some(waiting), Some(limit)) = (socket.waiting, socket.limit) {
        return format!(": {waiting} of {limit} clients wait");
    }
    let (Some(bytes), Some(limit)) = (socket.waiting_bytes, socket.limit_bytes) else { return String::new() };
    let dropped = match socket.dropped.unwrap_or(0) {
        0 => String::new(),
        1 => "; 1 datagram was dropped".into(),
        dropped => format!("; {dropped} datagrams were dropped"),
    };
    format!(": {} of {} wait{dropped}", size(bytes), size(limit))
}

/// So many bytes.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes}B"),
        1024..1_048_576 => format!("{}KiB", bytes.div_ceil(1024)),
        more => format!("{}MiB", more.div_ceil(1_048_576)),
    }
}

pub(super) fn notes(service: &ServiceStatus) -> Vec<String> {
    let mut notes = Vec::new();
    if !service.waits_for.is_empty() {
        notes.push(format!("waits for {}", service.waits_for.join(", ")));
    }
    if !service.draining.is_empty() {
        notes.push(format!("{} draining", service.draining.len()));
    }
    if service.runs.iter().any(|run| run.reloading_ms.is_some()) {
        notes.push("reloading".into());
    }
    match service.stale {
        Some(Stale::Changed) => notes.push("differs from the file".into()),
        Some(Stale::Behind) => notes.push("runs what the file said before".into()),
        Some(Stale::Removed) => notes.push("not in the file".into()),
        None => {}
    }
    let elsewhere = service.runs.iter().filter(|run| run.serves).find(|run| !run.accepts_at.is_empty());
    notes.extend(elsewhere.map(|run| format!("accepts at {}", run.accepts_at.join(", "))));
    let sick = service.runs.iter().filter_map(|run| run.unhealthy.as_ref());
    notes.extend(sick.max_by_key(|sick| sick.age_ms).map(|sick| format!("unhealthy {}", ailment(sick))));
    if service.restart_failed && service.reason.is_none() {
        notes.push(format!("the last restart failed: see `status {}`", service.name));
    }
    if let Some(reason) = &service.reason {
        // Where it is an exit it is known when it was.
        let exit = service.last_exit.as_ref().filter(|exit| reason.starts_with(&exit.message));
        let ago = exit.map_or_else(String::new, |exit| format!(" {} ago", Age(exit.age_ms)));
        notes.push(format!("{reason}{ago}"));
    }
    notes
}

/// For how long a process has been sick, and what shows it.
pub(super) fn ailment(sick: &Unhealthy) -> String {
    format!("for {}: {}", Age(sick.age_ms), sick.message)
}

/// How often it was started again, and why; what never happened is not mentioned.
pub(super) fn restarts(counts: &RestartCounts) -> String {
    let all = [
        (counts.asked, "asked for"),
        (counts.crash, "after crashes"),
        (counts.unhealthy, "of sick processes"),
        (counts.rollback, "rolled back"),
        (counts.failed, "failed"),
    ];
    let happened: Vec<String> = all
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if happened.is_empty() { "none".into() } else { happened.join("; ") }
}

/// So many milliseconds, with their two largest units.
pub(super) struct Age(pub(super) u64);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ms) = *self;
        let duration = if ms < 1000 { Duration::from_millis(ms) } else { Duration::from_secs(ms / 1000) };
        if duration.is_zero() {
            return f.write_str("0ms");
        }
        let all = humantime::format_duration(duration).to_string();
        let end = all.match_indices(' ').nth(1).map_or(all.len(), |(at, _)| at);
        f.write_str(&all[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_told_in_one_word_and_in_a_sentence() {
        let none = SocketStatus {
            address: "unix:a".into(),
            name: None,
            waiting: None,
            limit: None,
            waiting_bytes: None,
            limit_bytes: None,
            dropped: None,
        };
        let tcp = SocketStatus { waiting: Some(3), limit: Some(128), ..none.clone() };
        let udp = |dropped| SocketStatus {
            waiting_bytes: Some(1664),
            limit_bytes: Some(212_992),
            dropped: Some(dropped),
            ..none.clone()
        };
        for (socket, words) in [
            (&none, ""),
            (&tcp, ": 3 of 128 clients wait"),
            (&udp(0), ": 2KiB of 208KiB wait"),
            (&udp(1), ": 2KiB of 208KiB wait; 1 datagram was dropped"),
            (&udp(17), ": 2KiB of 208KiB wait; 17 datagrams were dropped"),
        ] {
            assert_eq!(queue_in_words(socket), words);
        }
        for (sockets, word) in [
            (vec![none.clone()], "-"),
            (vec![tcp.clone(), none.clone(), tcp.clone()], "6"),
            (vec![udp(0)], "2KiB"),
            (vec![tcp, udp(0)], "3+2KiB"),
        ] {
            assert_eq!(queue(&sockets), word);
        }
    }

    #[test]
    fn restarts_that_never_happened_are_not_mentioned() {
        let none = RestartCounts::default();
        assert_eq!(restarts(&none), "none");
        assert_eq!(restarts(&RestartCounts { asked: 2, ..none }), "2 asked for");
        let all = RestartCounts { asked: 5, crash: 1, unhealthy: 4, rollback: 2, failed: 3 };
        assert_eq!(
            restarts(&all),
            "5 asked for; 1 after crashes; 4 of sick processes; 2 rolled back; 3 failed"
        );
    }

    #[test]
    fn an_age_has_two_units() {
        for (ms, text) in [(0, "0ms"), (412, "412ms"), (1999, "1s"), (3_723_000, "1h 2m"), (90_000, "1m 30s")]
        {
            assert_eq!(Age(ms).to_string(), text);
        }
    }
}
