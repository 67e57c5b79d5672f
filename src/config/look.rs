//! Where services write, for somebody who only looks: nothing else in the file matters, nor is the user to have the rights
//! to run it.

use super::check::{entered, entries, one_table};
use super::error::Place;
use super::notes::Notes;
use super::raw::Service;
use crate::plan::{Keeping, Outlet, Output, ServiceName};
use toml::Spanned;
use toml::de::DeTable;

/// The services of which that can be read. What else is wrong is not noted.
pub(super) fn outputs(
    root: &Spanned<DeTable<'_>>,
    notes: &mut Notes<'_>,
) -> Option<Vec<(ServiceName, Output)>> {
    let tables = root.get_ref();
    notes.enter(Place::Defaults);
    let defaults = one_table(tables, "defaults", notes).map_or_else(Service::absent, |found| {
        let raw = keys(found, notes);
        // What is wrong there is noted once, and not by each service.
        output(&raw, notes);
        raw
    });
    let mut outputs = Vec::new();
    for (index, entry) in entries(tables, notes)?.iter().enumerate() {
        let Some(found) = entered(index, entry, notes) else { continue };
        let raw = keys(found, notes).or(&defaults);
        let name = raw.name.read(notes).required(raw.name.key, &entry.span(), notes);
        outputs.extend(name.zip(output(&raw, notes)).map(|(name, output)| (name.value, output)));
    }
    Some(outputs)
}

/// The keys of a table, whatever else stands in it.
fn keys<'t>(found: &'t DeTable<'t>, notes: &mut Notes<'_>) -> Service<'t> {
    let before = notes.count();
    let raw = Service::of(found, notes);
    notes.truncate(before);
    raw
}

/// Of how the files are kept only what stands in them matters.
fn output(raw: &Service<'_>, notes: &mut Notes<'_>) -> Option<Output> {
    let default = Keeping::default();
    let timestamps =
        raw.log_timestamps.read(notes).or_default(default.timestamps).unwrap_or(default.timestamps);
    let (stdout, stderr) = (raw.stdout.read(notes), raw.stderr.read(notes));
    Some(Output {
        stdout: stdout.or_default(Outlet::Inherit)?,
        stderr: stderr.or_default(Outlet::Inherit)?,
        keeping: Keeping { timestamps, ..default },
    })
}
