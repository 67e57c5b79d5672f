//! What the system layer leaves to the program that the supervisor becomes: descriptors by their numbers, and what
//! is known of them. All else (the poller, signals, stderr) is made anew.

use super::control::{KeptClient, KeptControl};
use super::env_files::EnvFiles;
use super::inherited::{DescriptorLimit, Legacy, keep_from_children};
use super::listener::KeptListener;
use super::log_output::KeptLines;
use super::logs::KeptLogs;
use super::probe::KeptProbes;
use super::processes::KeptProcesses;
use super::program::KeptPin;
use super::records::{FormerRecords, KeptRecords};
use super::runtime_dir::KeptRuntimeDir;
use super::watches::KeptWatch;
use crate::core::{Event, Time};
use crate::plan::ListenerId;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;

/// Everything that the next program must know, beside the core.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The path that this program was started by, for the upgrade after this one.
    pub(super) program: PathBuf,
    /// The limit of descriptors that children get.
    pub(super) limit: DescriptorLimit,
    /// When the upgrade was asked for.
    pub(super) since: Time,
    pub(super) processes: KeptProcesses,
    pub(super) probes: KeptProbes,
    pub(super) watches: Vec<KeptWatch>,
    pub(super) pins: Vec<KeptPin>,
    #[serde(default, skip_serializing_if = "EnvFiles::is_empty")]
    pub(super) env_files: EnvFiles,
    pub(super) listeners: Vec<(ListenerId, KeptListener)>,
    pub(super) log: KeptLines,
    /// What services write, and the log writer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) logs: Option<KeptLogs>,
    /// Where a program of before has written down who runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) records: Option<FormerRecords>,
    /// Where it is written down who runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) written: Option<KeptRecords>,
    /// The runtime directory, and its lock.
    pub(super) runtime_dir: Option<KeptRuntimeDir>,
    /// The control socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) control: Option<KeptControl>,
    /// The clients that asked for the upgrade, or wait for nothing that was begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) clients: Vec<KeptClient>,
    /// What the manager above keeps for us, by inode.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) stored: BTreeMap<u64, String>,
    /// What it has given, by inode.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) handed_down: BTreeSet<u64>,
    /// What happened and was not given out yet.
    pub(super) events: VecDeque<Event>,
}

/// A snapshot that was left to this program, and the descriptors that it speaks of.
pub struct Left {
    /// The snapshot.
    pub text: String,
    pub(super) legacy: Legacy,
}

impl Left {
    /// Reads the snapshot. To be called before this program opens anything.
    ///
    /// # Errors
    ///
    /// The descriptor is none, or what it holds is no text.
    pub fn take(number: RawFd) -> io::Result<Self> {
        let mut legacy = Legacy::find()?;
        let mut file = File::from(legacy.claim(number)?);
        // Until they are claimed no child may have them.
        keep_from_children()?;
        let mut text = String::new();
        file.rewind()?;
        file.read_to_string(&mut text)?;
        Ok(Self { text, legacy })
    }

    /// Takes one more descriptor.
    ///
    /// # Errors
    ///
    /// It was not left to this program.
    pub fn claim(&mut self, number: RawFd) -> io::Result<OwnedFd> {
        Ok(self.legacy.claim(number)?)
    }
}

/// Puts a snapshot where nobody can change it any more.
pub(super) fn seal(text: &str) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create("bootstrap-state", flags)?);
    file.write_all(text.as_bytes())?;
    let all =
        SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&file, FcntlArg::F_ADD_SEALS(all))?;
    Ok(file.into())
}
