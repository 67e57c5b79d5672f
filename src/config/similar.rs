//! "Did you mean": what somebody who wrote this may have had in mind.

/// Keys of other programs of the trade, and ours.
const KNOWN_ELSEWHERE: &[(&str, &str)] = &[
    ("addr", "address"),
    ("addr", "listen"),
    ("address", "listen"),
    ("autorestart", "restart"),
    ("bind", "listen"),
    ("cmd", "command"),
    ("command", "exec"),
    ("cwd", "directory"),
    ("depends_on", "requires"),
    ("env_files", "env_file"),
    ("environment", "env"),
    ("environment_file", "env_file"),
    ("exec", "command"),
    ("exec_start", "command"),
    ("gid", "group"),
    ("health_check", "check"),
    ("healthcheck", "check"),
    ("instances", "workers"),
    ("interval", "period"),
    ("kill_signal", "stop_signal"),
    ("kill_timeout", "drain_timeout"),
    ("liveness", "check"),
    ("log_max_size", "log_max_bytes"),
    ("logfile_backups", "log_backups"),
    ("logfile_maxbytes", "log_max_bytes"),
    ("needs", "requires"),
    ("numprocs", "workers"),
    ("ports", "listen"),
    ("program", "command"),
    ("replicas", "workers"),
    ("restart_policy", "restart"),
    ("restart_sec", "restart_delay"),
    ("retries", "failures"),
    ("run_as", "user"),
    ("socket", "listen"),
    ("start_timeout", "ready_timeout"),
    ("startsecs", "ready_delay"),
    ("stderr_logfile", "stderr"),
    ("stdout_logfile", "stdout"),
    ("stop_grace_period", "drain_timeout"),
    ("stopsignal", "stop_signal"),
    ("stopwaitsecs", "drain_timeout"),
    ("threshold", "failures"),
    ("timeout_start_sec", "ready_timeout"),
    ("timeout_stop_sec", "drain_timeout"),
    ("uid", "user"),
    ("ulimits", "rlimits"),
    ("url", "http"),
    ("username", "user"),
    ("watchdog_sec", "watchdog"),
    ("workdir", "directory"),
    ("working_dir", "directory"),
    ("working_directory", "directory"),
];

/// The one of `known` that `written` most likely stands for.
pub(super) fn key(written: &str, known: &[&'static str]) -> Option<&'static str> {
    let plain = written.to_lowercase().replace('-', "_");
    // `WorkingDirectory`, `working_directory` and `working-directory` are one.
    let letters = |word: &str| word.replace('_', "");
    let written = letters(&plain);
    let elsewhere = KNOWN_ELSEWHERE.iter().filter(|(theirs, _)| letters(theirs) == written);
    let synonym = elsewhere.map(|(_, ours)| *ours).find(|ours| known.contains(ours));
    nearest(&plain, known).filter(|found| *found == plain).or(synonym).or_else(|| nearest(&plain, known))
}

/// The one of `known` that is a slip of the finger away from `written`.
pub fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    // A person's word; the distance to a page of text would cost its square.
    if written.len() > 64 {
        return None;
    }
    let slips = match written.len() {
        0..=4 => 1,
        5..=7 => 2,
        _ => 3,
    };
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(written, known), *known))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::{Check, Listener, Service};

    #[test]
    fn what_others_call_it_leads_to_a_key_that_there_is() {
        let keys = [Service::KEYS, Check::KEYS, Listener::KEYS].concat();
        for (theirs, ours) in KNOWN_ELSEWHERE {
            assert!(keys.contains(ours), "{theirs} means {ours}, which is no key");
            assert!(!Service::KEYS.contains(theirs) || *theirs == "command", "{theirs} is a key of ours");
        }
        assert_eq!(key("WorkingDirectory", Service::KEYS), Some("directory"));
    }
}
