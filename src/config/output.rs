//! Where goes what a service writes: from fields to an output, and the rules between those keys.

use super::field::{At, Field, Reading, Value};
use super::notes::Notes;
use super::outlet::{Backups, LogBytes};
use super::problem::Problem;
use super::raw::Service;
use crate::plan::{Keeping, Outlet, Output};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

/// Notes what is wrong between the keys of `[defaults]` already.
pub(super) fn shared(raw: &Service<'_>, notes: &mut Notes<'_>) {
    compressed_backups(raw, notes);
}

/// The output, or nothing where a mistake was noted.
pub(super) fn of(raw: &Service<'_>, files: &mut Files, notes: &mut Notes<'_>) -> Option<Output> {
    let (stdout, stderr) = (raw.stdout.read(notes), raw.stderr.read(notes));
    let default = Keeping::default();
    let max_bytes = raw.log_max_bytes.read(notes).or_default(LogBytes(default.max_bytes));
    let backups = raw.log_backups.read(notes).or_default(Backups(default.backups));
    let compress = raw.log_compress.read(notes).or_default(default.compress);
    let timestamps = raw.log_timestamps.read(notes).or_default(default.timestamps);
    let named: Vec<At<PathBuf>> = [&stdout, &stderr].into_iter().filter_map(path).collect();
    if !matches!(stdout, Reading::Wrong) && !matches!(stderr, Reading::Wrong) && named.is_empty() {
        without_file(raw, notes);
    }
    compressed_backups(raw, notes);
    let (LogBytes(max_bytes), Backups(backups)) = (max_bytes?, backups?);
    let keeping = Keeping { max_bytes, backups, compress: compress?, timestamps: timestamps? };
    let (stdout, stderr) = (stdout.or_default(Outlet::Inherit)?, stderr.or_default(Outlet::Inherit)?);
    for file in named {
        files.take(file, keeping, notes);
    }
    Some(Output { stdout, stderr, keeping })
}

fn path(outlet: &Reading<Outlet>) -> Option<At<PathBuf>> {
    let Reading::Good(At { span, value }) = outlet else { return None };
    Some(At { span: span.clone(), value: value.file()?.into() })
}

/// Keys about files, where nothing goes to a file.
fn without_file(raw: &Service<'_>, notes: &mut Notes<'_>) {
    let given = [
        (raw.log_max_bytes.key, own_span(&raw.log_max_bytes)),
        (raw.log_backups.key, own_span(&raw.log_backups)),
        (raw.log_compress.key, own_span(&raw.log_compress)),
        (raw.log_timestamps.key, own_span(&raw.log_timestamps)),
    ];
    for (key, span) in given {
        if let Some(span) = span {
            notes.add(span, Problem::NoLogFile { key });
        }
    }
}

/// To compress needs something that is kept.
fn compressed_backups(raw: &Service<'_>, notes: &mut Notes<'_>) {
    let default = Keeping::default();
    let backups = raw.log_backups.read_again(notes).or_default(Backups(default.backups));
    let compress = raw.log_compress.read_again(notes).or_default(default.compress);
    if let (Some(Backups(0)), Some(true)) = (backups, compress)
        && let Some(span) = own_span(&raw.log_compress).or(own_span(&raw.log_backups))
    {
        notes.add(span, Problem::NothingToCompress);
    }
}

/// The log files of all services, and how each is kept.
#[derive(Default)]
pub(super) struct Files(BTreeMap<PathBuf, (Keeping, Range<usize>)>);

impl Files {
    /// Notes a file that is kept in two ways.
    fn take(&mut self, file: At<PathBuf>, keeping: Keeping, notes: &mut Notes<'_>) {
        let At { span, value: path } = file;
        match self.0.get(&path) {
            Some((first, place)) if Keeping { timestamps: keeping.timestamps, ..*first } != keeping => {
                let line = notes.line(place.start);
                let problem = Problem::LogKeptOtherwise { path: path.display().to_string(), line };
                notes.add_pair(span, place.clone(), problem);
            }
            Some(_) => {}
            None => _ = self.0.insert(path, (keeping, span)),
        }
    }
}

/// Where a key of the table itself stands.
fn own_span<T: Value>(field: &Field<'_, T>) -> Option<Range<usize>> {
    field.span().filter(|_| !field.is_inherited())
}
