//! What is written down is left to the next program as it is: the file, and where in it each run is.

use super::super::inherited::{Legacy, Numbers};
use super::{Place, Records};
use crate::plan::RunId;
use serde::{Deserialize, Serialize};
use std::os::fd::RawFd;
use std::path::PathBuf;

/// [`Records`] that are left to the next program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct KeptRecords {
    path: PathBuf,
    boot: String,
    file: RawFd,
    end: u64,
    live: u64,
    places: Vec<(RunId, Place)>,
}

impl Records {
    /// Leaves them to the next program.
    pub(in super::super) fn keep(&self, numbers: &mut Numbers) -> KeptRecords {
        KeptRecords {
            path: self.path.clone(),
            boot: self.boot.clone(),
            file: numbers.keep(&self.file),
            end: self.end,
            live: self.live,
            places: self.places.iter().map(|(run, place)| (*run, *place)).collect(),
        }
    }

    /// Takes them over.
    pub(in super::super) fn restore(kept: KeptRecords, legacy: &mut Legacy) -> nix::Result<Self> {
        let KeptRecords { path, boot, file, end, live, places } = kept;
        let places = places.into_iter().collect();
        Ok(Self { end, live, places, ..Self::of(path, boot, legacy.claim(file)?.into()) })
    }
}
