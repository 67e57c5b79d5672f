//! The processes that a supervisor left behind that was killed: found by what it wrote down, proved to be the same
//! ones, held by descriptor from then on, and their sockets taken back with all the clients that wait in them.

use super::cgroup::Leaf;
use super::listener::{HeldSocket, Listener};
use super::lookup::Inode;
use super::output::PipeMark;
use super::pidfd::Pidfd;
use super::program::binary_of;
use super::record::{Record, RunMark};
use super::records::{Found, Place, Records};
use super::remains::Remains;
use super::store::Given;
use super::voice::{Voice, find_descriptor};
use crate::core::{Fact, Orphan, Report, Succession};
use crate::plan::{Address, Commons, Definition, Orphans, Pid};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// One that was proved to be what was written down.
pub(super) struct Held {
    /// The main process; where that has ended, another.
    pub(super) process: Pidfd,
    /// Those of its group, where its main process has ended.
    pub(super) rest: Option<BTreeMap<i32, Pidfd>>,
    /// The number of its process group, where its main process does not lead that.
    pub(super) group: Option<i32>,
    pub(super) voice: Option<Voice>,
    pub(super) inode: Option<Inode>,
    pub(super) program: PathBuf,
    /// Where it is written down.
    pub(super) place: Place,
    pub(super) leaving: bool,
    pub(super) definition: Arc<Definition>,
    /// The pipes that it writes to.
    pub(super) output: Vec<PipeMark>,
    pub(super) leaf: Option<Leaf>,
}

/// What was found, until the core has said what becomes of it.
#[derive(Default)]
pub(super) struct Finds {
    /// By pid.
    pub(super) held: BTreeMap<i32, Held>,
    /// The sockets that were taken back.
    pub(super) sockets: BTreeMap<Address, Listener>,
    /// What is written down of others, who are not taken over. A start that is refused leaves it to the next.
    pub(super) unwanted: Vec<Place>,
    /// The log writer of that supervisor, which reads what they write.
    pub(super) former_writer: Option<(i32, Pidfd)>,
}

impl Finds {
    /// Looks for the processes that `records` tell of. What is not adopted is in the reports.
    ///
    /// Sockets that were `given` to us are taken for those that a process has where that may not be looked into, and
    /// for those that no process has any more.
    pub(super) fn look(
        mut records: Option<&mut Records>,
        policy: Orphans,
        mut given: Vec<Given>,
    ) -> (Self, Vec<Orphan>, Vec<Report>) {
        let (mut finds, mut orphans, mut reports) = (Self::default(), Vec::new(), Vec::new());
        if !given.is_empty() {
            let what = Succession::GivenBack { sockets: given.len() };
            reports.push(Report::of_supervisor(Fact::Succession(what)));
        }
        let (found, unreadable) = records.as_mut().map_or_else(Default::default, |records| records.found());
        let of_file = |file| Report::of_supervisor(Fact::Succession(Succession::RecordUnreadable { file }));
        reports.extend(unreadable.into_iter().map(of_file));
        let mut commons = Commons::default();
        for Found { place, mark, record } in found {
            let quiet = mark == RunMark::Quiet;
            let leaving = quiet || mark == RunMark::Leaving;
            let report = |what| Report {
                service: Some(record.definition.name.clone()),
                generation: Some(record.generation),
                pid: Some(Pid(record.pid)),
                fact: Fact::Succession(what),
            };
            match hold(&record, policy) {
                Ok((process, rest)) => {
                    let bereft = rest.is_some();
                    let alone = [(record.pid, &process)];
                    let rest_of_it = rest.iter().flatten().map(|(pid, process)| (*pid, process));
                    let all: Vec<_> = if bereft { rest_of_it.collect() } else { alone.into() };
                    let taken = finds.take_sockets(&all, &record, &mut given);
                    if let Some(errno) = out_of_reach(&all).filter(|_| !taken) {
                        reports.push(report(Succession::SocketsOutOfReach { errno: errno as i32 }));
                    }
                    let voice = record.voice.as_ref();
                    let voice =
                        voice.and_then(|mark| all.iter().find_map(|(pid, _)| Voice::find(*pid, mark)));
                    // What it has become serves nobody that we know of: it is not taken for the server.
                    let is_another = mark == RunMark::ServingItself
                        && !bereft
                        && record.group.is_none()
                        && binary_of(record.pid).is_some_and(|inode| Some(inode) != record.inode);
                    if is_another {
                        reports.push(report(Succession::OrphanChanged));
                    }
                    let held = taken && !is_another;
                    let mut definition = record.definition.into_owned();
                    commons.share(&mut definition);
                    let definition = Arc::new(definition);
                    orphans.push(Orphan {
                        service: definition.name.clone(),
                        worker: record.worker,
                        generation: record.generation,
                        pid: Pid(record.pid),
                        started: record.started,
                        serves: mark.serves(&definition),
                        leaving,
                        quiet,
                        bereft,
                        pipe_open: voice.is_some(),
                        held,
                        definition: definition.clone(),
                    });
                    let held = Held {
                        process,
                        rest,
                        group: record.group,
                        voice,
                        inode: record.inode,
                        program: record.program,
                        place,
                        leaving: leaving || bereft,
                        definition,
                        output: record.output,
                        leaf: record.cgroup.and_then(|path| Leaf::at(path).ok()),
                    };
                    finds.held.insert(record.pid, held);
                }
                Err(what) => {
                    finds.unwanted.push(place);
                    reports.push(report(what));
                }
            }
        }
        for (address, listener) in given.into_iter().filter_map(Given::into_listener) {
            finds.sockets.entry(address).or_insert(listener);
        }
        (finds, orphans, reports)
    }

    /// Takes back the sockets that the processes have; tells whether all of them are held now.
    fn take_sockets(
        &mut self,
        processes: &[(i32, &Pidfd)],
        record: &Record<'_>,
        given: &mut Vec<Given>,
    ) -> bool {
        for socket in &record.sockets {
            let of_one = |(pid, process): &(i32, &Pidfd)| take_socket(process, *pid, socket);
            if !self.sockets.contains_key(&socket.spec.address)
                && let Some(fd) = processes.iter().find_map(of_one).or_else(|| take_given(given, socket))
            {
                let listener = Listener::taken_back(fd, socket.spec.clone(), socket.path.clone());
                self.sockets.insert(socket.spec.address.clone(), listener);
            }
        }
        record.sockets.iter().all(|socket| self.sockets.contains_key(&socket.spec.address))
    }
}

/// The process, if it is still the one that was written down, and may be held; else another of its run, with those of
/// its group.
fn hold(record: &Record<'_>, policy: Orphans) -> Result<(Pidfd, Option<BTreeMap<i32, Pidfd>>), Succession> {
    match hold_main(record, policy) {
        Err(Succession::OrphanEnded) => {
            let Remains { first, group } = Remains::of(&record.whose()).ok_or(Succession::OrphanEnded)?;
            may_be_held(first, policy).map(|first| (first, Some(group)))
        }
        result => result.map(|process| (process, None)),
    }
}

fn hold_main(record: &Record<'_>, policy: Orphans) -> Result<Pidfd, Succession> {
    if !record.lives() {
        return Err(Succession::OrphanEnded);
    }
    let process = Pidfd::open(record.pid).map_err(refused)?;
    // The number may have become another's in between; what the descriptor holds cannot.
    if !record.lives() {
        return Err(Succession::OrphanEnded);
    }
    may_be_held(process, policy)
}

fn refused(errno: Errno) -> Succession {
    Succession::NotAdopted { errno: errno as i32 }
}

fn may_be_held(process: Pidfd, policy: Orphans) -> Result<Pidfd, Succession> {
    match policy {
        Orphans::Ignore => Err(Succession::OrphanIgnored),
        Orphans::Adopt | Orphans::Stop => process.send(0).map(|()| process).map_err(refused),
    }
}

/// Why we may not copy what the processes have. Their number 0 is there, or is closed, which is another error.
fn out_of_reach(processes: &[(i32, &Pidfd)]) -> Option<Errno> {
    let denied = |errno: &Errno| matches!(errno, Errno::EPERM | Errno::EACCES);
    processes.iter().find_map(|(_, process)| process.copy_of(0).err().filter(denied))
}

/// The same socket among those that were given to us.
fn take_given(given: &mut Vec<Given>, socket: &HeldSocket) -> Option<OwnedFd> {
    let at = given.iter().position(|given| given.inode() == socket.inode)?;
    Some(given.swap_remove(at).into_fd())
}

/// The socket with this inode among the descriptors of the process.
fn take_socket(process: &Pidfd, pid: i32, socket: &HeldSocket) -> Option<OwnedFd> {
    let number = find_descriptor(pid, &format!("socket:[{}]", socket.inode))?;
    let copy = process.copy_of(number).ok()?;
    // It may have closed the number meanwhile, and opened something else under it.
    nix::sys::stat::fstat(&copy).is_ok_and(|found| found.st_ino == socket.inode).then_some(copy)
}
