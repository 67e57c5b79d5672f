//! What programs before this one wrote: a file for each run, whose name said how far it had come. Whoever comes from there,
//! by an upgrade or after a SIGKILL, has the same runs here.

use super::super::birth::Signature;
use super::super::record::{Head, RunMark};
use super::{Place, Records};
use crate::plan::RunId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of the files, in the runtime directory.
const DIRECTORY: &str = "runs";

/// What a snapshot says of these files: whom each is about.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct FormerRecords {
    directory: PathBuf,
    boot: String,
    names: Vec<(RunId, String)>,
}

impl Records {
    /// Writes down what the program before had written down.
    pub(in super::super) fn of_former(former: &FormerRecords) -> io::Result<Self> {
        let runtime_dir = former.directory.parent().ok_or(io::ErrorKind::NotFound)?;
        let mut records = Self::open(runtime_dir)?;
        let runs: BTreeMap<&str, RunId> =
            former.names.iter().map(|(run, name)| (name.as_str(), *run)).collect();
        for (name, place) in records.take_former(runtime_dir) {
            if let Some(run) = runs.get(name.as_str()) {
                records.know(*run, place);
            }
        }
        Ok(records)
    }

    /// Copies what the files say to the end of this one, and removes them; gives where each is. Whoever is killed
    /// meanwhile does it once more.
    pub(in super::super) fn take_former(&mut self, runtime_dir: &Path) -> Vec<(String, Place)> {
        let directory = runtime_dir.join(DIRECTORY);
        let mut taken = Vec::new();
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            // What cannot be read now, or has no room, stays where it is, for the next one.
            let Ok(text) = fs::read(entry.path()) else { continue };
            if let Some(text) = converted(&text, mark(&name)) {
                let Ok(place) = self.append(&text) else { continue };
                self.end += place.len();
                taken.push((name, place));
            }
            // What is no record now would not be one the next time either.
            let _ = fs::remove_file(entry.path());
        }
        let _ = fs::remove_dir(directory);
        taken
    }
}

/// How far the run had come.
fn mark(name: &str) -> RunMark {
    let marks = [
        (".serving", RunMark::Serving),
        (".serving-itself", RunMark::ServingItself),
        (".leaving", RunMark::Leaving),
    ];
    let named = marks.into_iter().find(|(suffix, _)| name.ends_with(suffix));
    named.map_or(RunMark::Started, |(_, mark)| mark)
}

/// The two lines of today. The pid stood among the rest.
fn converted(text: &[u8], mark: RunMark) -> Option<Vec<u8>> {
    let mut record: Map<String, Value> = serde_json::from_slice(text).ok()?;
    let (pid, ticks) = (i32::try_from(record.remove("pid")?.as_i64()?).ok()?, record.get("ticks")?.as_u64()?);
    let mut lines = Vec::new();
    Head { mark, signature: Signature { pid, ticks } }.put(&mut lines);
    serde_json::to_writer(&mut lines, &record).ok()?;
    lines.push(b'\n');
    Some(lines)
}
