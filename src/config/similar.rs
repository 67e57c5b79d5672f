//! "Did you mean": what somebody who wrote this may have had in mind.

/// Keys of other programs of the trade, and ours.
const KNOWN_ELSEWHERE: &[(&str, &str)] = &[
    ("addr", "address"),
    ("addr", "listen"),
    ("address", "listen"),
    ("bind", "listen"),
    ("cmd", "command"),
    ("command", "exec"),
    ("healthcheck", "check"),
    ("health_check", "check"),
    ("interval", "period"),
    ("liveness", "check"),
    ("retries", "failures"),
    ("threshold", "failures"),
    ("url", "http"),
    ("watchdog_sec", "watchdog"),
    ("cwd", "directory"),
    ("environment", "env"),
    ("instances", "workers"),
    ("numprocs", "workers"),
    ("replicas", "workers"),
    ("exec", "command"),
    ("exec_start", "command"),
    ("kill_signal", "stop_signal"),
    ("program", "command"),
    ("socket", "listen"),
    ("workdir", "directory"),
    ("working_dir", "directory"),
    ("working_directory", "directory"),
];

/// The one of `known` that `written` most likely stands for.
pub(super) fn key(written: &str, known: &[&'static str]) -> Option<&'static str> {
    let plain = written.to_lowercase().replace('-', "_");
    let elsewhere = KNOWN_ELSEWHERE.iter().filter(|(theirs, _)| *theirs == plain);
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
