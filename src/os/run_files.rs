//! The names of the files about runs: `SERVICE.GENERATION.PID`, and after it how far the run has come.

use crate::core::pack;
use crate::plan::{Definition, Generation, RunId, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a run has come, as the name of its file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunMark {
    /// It was started.
    Started,
    /// It serves. It may be a wrapper still where its start alone was waited for, and another program than it was started
    /// from in any case.
    Serving,
    /// It serves, and then ran the very binary that it was started from, and no other that this has become.
    ServingItself,
    /// It was asked to leave.
    Leaving,
}

impl RunMark {
    fn suffix(self) -> &'static str {
        match self {
            Self::Started => "",
            Self::Serving => ".serving",
            Self::ServingItself => ".serving-itself",
            Self::Leaving => ".leaving",
        }
    }

    /// The mark of a file with this name, and the name without it.
    pub(super) fn of(name: &str) -> (Self, &str) {
        let marks = [Self::Serving, Self::ServingItself, Self::Leaving].into_iter();
        let mut marked = marks.filter_map(|mark| Some((mark, name.strip_suffix(mark.suffix())?)));
        marked.next().unwrap_or((Self::Started, name))
    }

    /// Does it serve, or did it when it was asked?
    pub(super) fn serves(self) -> bool {
        matches!(self, Self::Serving | Self::ServingItself)
    }
}

/// The name of the file about a run, but for the generation. There are ten thousand of these, so it is no text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RunFile {
    pub(super) service: ServiceName,
    /// The process that was started.
    pub(super) pid: i32,
    pub(super) mark: RunMark,
}

impl RunFile {
    /// The file about a run that has just been started.
    pub(super) fn started(definition: &Definition, pid: i32) -> Self {
        let mark = if definition.is_up_by_its_start() { RunMark::Serving } else { RunMark::Started };
        Self { service: definition.name.clone(), pid, mark }
    }

    /// What a name says.
    fn parse(name: &str) -> Option<Self> {
        let (mark, plain) = RunMark::of(name);
        let mut words = plain.rsplitn(3, '.');
        let (pid, _generation, service) = (words.next()?, words.next()?, words.next()?);
        Some(Self { service: ServiceName::parse(service).ok()?, pid: pid.parse().ok()?, mark })
    }

    /// The name, for this generation.
    pub(super) fn name(&self, generation: Generation) -> String {
        format!("{}.{generation}.{}{}", self.service, self.pid, self.mark.suffix())
    }
}

/// The files, by the run that each is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<(RunId, String)>", into = "Vec<(RunId, String)>")]
pub(super) struct RunFiles(BTreeMap<RunId, RunFile>);

impl RunFiles {
    pub(super) fn insert(&mut self, run: RunId, file: RunFile) {
        self.0.insert(run, file);
    }

    /// Knows that a file with this name is about this run.
    pub(super) fn know(&mut self, run: RunId, name: &str) {
        self.0.extend(RunFile::parse(name).map(|file| (run, file)));
    }

    pub(super) fn get_mut(&mut self, run: RunId) -> Option<&mut RunFile> {
        self.0.get_mut(&run)
    }

    /// The name of the file about this run.
    pub(super) fn name(&self, run: RunId) -> Option<String> {
        self.0.get(&run).map(|file| file.name(run.generation))
    }

    /// Forgets it; gives its name.
    pub(super) fn remove(&mut self, run: RunId) -> Option<String> {
        self.0.remove(&run).map(|file| file.name(run.generation))
    }

    /// Keeps no more room than they need.
    pub(super) fn pack(&mut self) {
        pack(&mut self.0);
    }
}

impl From<Vec<(RunId, String)>> for RunFiles {
    fn from(names: Vec<(RunId, String)>) -> Self {
        let mut files = Self::default();
        for (run, name) in &names {
            files.know(*run, name);
        }
        files
    }
}

impl From<RunFiles> for Vec<(RunId, String)> {
    fn from(files: RunFiles) -> Self {
        files.0.into_iter().map(|(run, file)| (run, file.name(run.generation))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ServiceId;

    #[test]
    fn names_are_read_as_they_were_written_and_others_are_nobodys() {
        let run = RunId { service: ServiceId(3), generation: Generation(7) };
        let marks = [RunMark::Started, RunMark::Serving, RunMark::ServingItself, RunMark::Leaving];
        let names = ["web.7.42", "web.7.42.serving", "web.7.42.serving-itself", "web.7.42.leaving"];
        for (mark, name) in marks.into_iter().zip(names) {
            let file = RunFile { service: ServiceName::parse("web").unwrap(), pid: 42, mark };
            assert_eq!(file.name(run.generation), name);
            assert_eq!((RunFile::parse(name), RunMark::of(name)), (Some(file), (mark, "web.7.42")));
        }
        for name in ["", "born", "new", "web.7", "web.7.serving", "web.7.x", "We.7.42"] {
            assert_eq!(RunFile::parse(name), None, "{name}");
        }
        let all: Vec<(RunId, String)> = vec![(run, names[2].into())];
        assert_eq!(Vec::from(RunFiles::from(all.clone())), all);
    }
}
