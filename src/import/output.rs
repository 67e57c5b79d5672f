//! Where a service of another supervisor writes to, and the keys for that here.

use super::draft::Draft;
use std::path::Path;
use toml::Value;

/// A stream, by its key here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// A key of the other file, and its value.
type Said = (String, String);

/// What is said of one stream.
#[derive(Default)]
struct Lane {
    /// Where it goes, in our words, and who says so.
    to: Option<(String, Said)>,
    /// `log_max_bytes` and `log_backups`.
    keeping: Vec<(&'static str, Value, Said)>,
}

/// What is said of both streams, until all of it is known.
#[derive(Default)]
pub(super) struct Output {
    stdout: Lane,
    stderr: Lane,
    /// stderr goes where stdout goes.
    joined: bool,
    notes: Vec<String>,
}

impl Output {
    fn lane(&mut self, stream: Stream) -> &mut Lane {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// It goes there: `inherit`, `null`, `journal`, `syslog` or `file:PATH`.
    pub(super) fn goes(&mut self, stream: Stream, to: impl Into<String>, key: &str, value: &str) {
        self.lane(stream).to = Some((to.into(), (key.into(), value.into())));
    }

    /// stderr goes where stdout goes, whatever else is said.
    pub(super) fn join(&mut self) {
        self.joined = true;
    }

    /// A comment on the service.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// stderr goes its own way after all.
    pub(super) fn part(&mut self) {
        self.joined = false;
    }

    /// Its file is kept so.
    pub(super) fn keeps(
        &mut self,
        stream: Stream,
        ours: &'static str,
        how: impl Into<Value>,
        said: (&str, &str),
    ) {
        self.lane(stream).keeping.push((ours, how.into(), (said.0.into(), said.1.into())));
    }

    /// Writes the keys. Lines of another supervisor have no time in front, nor have ours then.
    pub(super) fn write(mut self, draft: &mut Draft) {
        if self.joined {
            let to = self.stdout.to.as_ref().map(|(to, said)| (to.clone(), said.clone()));
            // Its own file is not written to.
            self.stderr = Lane { to, keeping: Vec::new() };
        }
        for note in self.notes {
            draft.note(note);
        }
        let mut kept: Vec<(&'static str, Value)> = Vec::new();
        let mut has_file = false;
        for (ours, lane) in [("stdout", self.stdout), ("stderr", self.stderr)] {
            let Some((to, (key, value))) = lane.to else { continue };
            let path = to.strip_prefix("file:").map(Path::new);
            if path.is_some_and(|path| !is_one(path)) {
                draft.note(format!("{key}={value}: {ours} = \"{to}\", once its directory is there"));
                continue;
            }
            draft.set(ours, to.clone());
            if path.is_none() {
                continue;
            }
            has_file = true;
            for (ours, how, (key, value)) in lane.keeping {
                match kept.iter().find(|(other, _)| *other == ours) {
                    Some((_, first)) if *first != how => draft.without_counterpart(&key, &value),
                    Some(_) => {}
                    None => kept.push((ours, how)),
                }
            }
        }
        if has_file {
            draft.set("log_timestamps", false);
            for (ours, how) in kept {
                draft.set(ours, how);
            }
        }
    }
}

/// Can a log file be there, on this machine?
fn is_one(path: &Path) -> bool {
    path.is_absolute() && !path.is_dir() && path.parent().is_some_and(Path::is_dir)
}
