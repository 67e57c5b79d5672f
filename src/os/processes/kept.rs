//! Processes that are left to the next program: they stay children, for the pid stays the same.

use super::super::cgroup::Leaf;
use super::super::inherited::{Legacy, Numbers};
use super::super::poller::Poller;
use super::super::program::{KeptOrigin, Origin};
use super::super::voice::{KeptVoice, Voice};
use super::adopted::Adopted;
use super::{Manner, Process, Processes};
use crate::plan::{ListenerIds, RunId};
use serde::{Deserialize, Serialize};
use std::os::fd::RawFd;
use std::path::PathBuf;

/// What the next program must know of all of them.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct KeptProcesses {
    all: Vec<KeptProcess>,
    last_voice: u32,
}

/// What the next program must know of one.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptProcess {
    leader: i32,
    run: RunId,
    listeners: ListenerIds,
    main_lives: bool,
    stays: bool,
    voice: Option<KeptVoice>,
    voice_number: u32,
    origin: Option<KeptOrigin>,
    /// Its main process, where that is not the leader.
    #[serde(default)]
    main: Option<i32>,
    /// What it is held by where it may not be our child: the main process, and the rest of its group.
    adopted: Option<(RawFd, Vec<(i32, RawFd)>)>,
    program: PathBuf,
    /// Its cgroup.
    leaf: Option<PathBuf>,
    group_gone: bool,
}

impl Processes {
    /// Leaves them to the next program.
    pub(in super::super) fn keep(&self, numbers: &mut Numbers) -> KeptProcesses {
        let mut kept = |leader: i32, process: &Process| KeptProcess {
            leader,
            run: process.run,
            listeners: process.listeners.clone(),
            main_lives: process.main_lives,
            stays: process.manner == Manner::Stays,
            voice: process.voice.as_ref().map(|voice| voice.keep(numbers)),
            voice_number: process.voice_number,
            origin: process.origin.as_ref().map(|origin| origin.keep(numbers)),
            program: process.program.to_path_buf(),
            main: process.main,
            adopted: process.adopted.as_ref().map(|adopted| adopted.keep(numbers)),
            leaf: process.leaf.as_ref().map(|leaf| leaf.path().into()),
            group_gone: process.group_gone,
        };
        let all = self.by_leader.iter().map(|(leader, process)| kept(*leader, process)).collect();
        KeptProcesses { all, last_voice: self.last_voice }
    }

    /// Takes them over; what ended meanwhile is found by the first [`reap`](Self::reap).
    pub(in super::super) fn restore(
        poller: &Poller,
        kept: KeptProcesses,
        legacy: &mut Legacy,
    ) -> nix::Result<Self> {
        let mut processes = Self { last_voice: kept.last_voice, ..Self::none() };
        for one in kept.all {
            let KeptProcess { leader, run, listeners, main_lives, stays, program, group_gone, .. } = one;
            // One that cannot be opened any more is gone, and nobody is in it.
            let leaf = one.leaf.and_then(|path| Leaf::at(path).ok()).map(Box::new);
            let voice = one.voice.map(|voice| Voice::restore(voice, legacy)).transpose()?;
            let origin = one.origin.map(|origin| Origin::restore(&origin, legacy)).transpose()?;
            let adopted = one.adopted.map(|kept| Adopted::restore(kept, legacy)).transpose()?.map(Box::new);
            if let Some(voice) = &voice {
                voice.watch(poller, one.voice_number)?;
            }
            if let Some(adopted) = &adopted {
                adopted.watch(poller, leader, main_lives)?;
            }
            let voice_number = one.voice_number;
            let process = Process {
                run,
                listeners,
                main_lives,
                manner: Manner::of(stays),
                voice,
                voice_number,
                origin,
                main: one.main,
                adopted,
                program: processes.shared(program),
                leaf,
                group_gone,
            };
            processes.watch_leaf(poller, leader, &process);
            processes.insert(leader, process);
        }
        Ok(processes)
    }
}
