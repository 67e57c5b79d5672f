//! A service that writes and is asked how it is: what has to be there after a death beside the server.

use crate::support::{Process, Stage, Supervised, comes_true, example};
use std::collections::BTreeSet;
use std::fs;

/// What the server writes to. It also notes what it has written.
const LOG: &str = "web.log";

/// While it is there, checks from the third on hang.
const HANG: &str = "hang";

/// Which nobody else runs.
const HANGING: [&str; 2] = ["sleep", "610"];

/// A line each 20 ms, of a process that the server leaves beside itself; it has neither the socket nor the pipe.
const WRITES: &str = "(exec 3<&- 4>&-; n=0; while sleep 0.02; do n=$((n+1)); echo \"line $n of $$\"; \
                      echo $n >>told.$$; done) & exec \"$0\" \"$@\"";

const ANSWERS: &str = "echo >>asked; [ $(wc -l <asked) -ge 3 ] && [ -e hang ] && exec sleep 610; exit 0";

/// How it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    Exec,
    Http,
}

/// The command of the server.
pub(crate) fn command() -> [String; 4] {
    ["sh".into(), "-c".into(), WRITES.into(), example("http")]
}

impl Check {
    /// The keys of the service, and what its check needs.
    pub(crate) fn keys(self, stage: &Stage, port: u16) -> String {
        stage.write("answers", ANSWERS);
        stage.write(HANG, "");
        let how = match self {
            Self::Exec => "exec = [\"sh\", \"answers\"]".into(),
            Self::Http => format!("http = \"http://127.0.0.1:{port}/\""),
        };
        let more = "period = \"40ms\", timeout = \"25s\", failures = 100";
        format!(
            "stdout = \"file:{}\"\ndrain_timeout = \"100ms\"\ncheck = {{ {how}, {more} }}",
            stage.path(LOG)
        )
    }

    /// Has it written for a while, and been asked as often as it answers?
    pub(crate) fn is_under_way(self, supervised: &Supervised) -> bool {
        let log = fs::read_to_string(supervised.stage.dir().join(LOG)).unwrap_or_default();
        log.lines().count() >= 10 && (self == Self::Http || !hanging(supervised).is_empty())
    }
}

/// The servers among all that it has started.
pub(crate) fn servers(supervised: &Supervised) -> Vec<Process> {
    let name = example("http");
    let is_server = |process: &Process| process.arguments().first().is_some_and(|first| *first == name);
    supervised.offspring().into_iter().filter(is_server).collect()
}

fn hanging(supervised: &Supervised) -> Vec<Process> {
    supervised.offspring().into_iter().filter(|process| process.arguments() == HANGING).collect()
}

fn log_writers(supervised: &Supervised) -> Vec<Process> {
    let writes = |process: &Process| process.arguments().iter().any(|word| word.starts_with("--write-logs="));
    supervised.offspring().into_iter().filter(writes).collect()
}

/// Checks are good from now on.
pub(crate) fn let_go(stage: &Stage) {
    let _ = fs::remove_file(stage.dir().join(HANG));
}

/// One log writer is there, and no check hangs that a dead supervisor asked.
pub(crate) fn is_whole(supervised: &Supervised, moment: usize) {
    let is_whole = || hanging(supervised).is_empty() && log_writers(supervised).len() == 1;
    assert!(
        comes_true(is_whole),
        "checks {:?} hang, {:?} write logs after a death before system call {moment}\n{supervised}",
        hanging(supervised),
        log_writers(supervised)
    );
}

/// Nobody is left, and all that was written is in the file.
pub(crate) fn has_all_lines(supervised: &Supervised, moment: usize) {
    if !comes_true(|| supervised.offspring().is_empty()) {
        let left: Vec<_> =
            supervised.offspring().into_iter().map(|process| (process, process.arguments())).collect();
        panic!("{left:?} are left after {moment}\n{supervised}");
    }
    let log = fs::read_to_string(supervised.stage.dir().join(LOG)).unwrap_or_default();
    let found: BTreeSet<&str> = log.lines().filter_map(|line| Some(line.split_once("line ")?.1)).collect();
    let files = fs::read_dir(supervised.stage.dir()).unwrap().map(|file| file.unwrap().path());
    let mut wrote = 0;
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(pid) = name.strip_prefix("told.") else { continue };
        for number in fs::read_to_string(&path).unwrap().lines() {
            let line = format!("{number} of {pid}");
            assert!(found.contains(&*line), "line {line} is lost after {moment}\n{log}\n{supervised}");
            wrote += 1;
        }
    }
    assert!(wrote > 0, "nothing was written after {moment}\n{supervised}");
}
