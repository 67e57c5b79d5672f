//! What is on its way to each outlet, and whether that takes it.

use super::label::{Label, stamp_of};
use super::lane::{self, Job, Lane, Note, Order, Writing};
use crate::core::Time;
use crate::limits::{LOG_DISK_PATIENCE, LOG_MEMORY_BYTES};
use crate::plan::{Keeping, Outlet, Pid, Stream};
use crate::protocol::logs::FromWriter;
use nix::sys::eventfd::EventFd;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// One outlet.
struct Way {
    /// The thread that writes there; none where we do.
    lane: Option<Sender<Order>>,
    /// When each piece that is on its way was sent there.
    sent: VecDeque<Time>,
    waiting_bytes: usize,
    failing: bool,
    /// The pipes that lead there were told that the oldest piece is late.
    lateness_told: bool,
    lost: u64,
    /// As the last piece had them.
    keeping: Keeping,
    label: Arc<Label>,
    /// Nothing leads there any more: it is closed when all is written.
    closing: bool,
}

/// All of them.
pub(super) struct Outlets {
    ways: BTreeMap<Outlet, Way>,
    lanes: BTreeMap<Lane, Sender<Order>>,
    /// What is written here, since there is no thread at all.
    own: Writing,
    notes: Sender<Note>,
    woken: Arc<EventFd>,
    /// That there is no thread is told once.
    told: bool,
}

impl Outlets {
    pub(super) fn new(notes: Sender<Note>, woken: Arc<EventFd>) -> Self {
        let own = Writing::new(notes.clone(), woken.clone());
        Self { ways: BTreeMap::new(), lanes: BTreeMap::new(), own, notes, woken, told: false }
    }

    /// Sends a piece on its way.
    pub(super) fn write(&mut self, job: Job, now: Time) {
        if !self.ways.contains_key(&job.outlet) {
            let way = Way::new(self.lane(&job.outlet), &job);
            self.ways.insert(job.outlet.clone(), way);
        }
        let Some(way) = self.ways.get_mut(&job.outlet) else { return };
        way.sent.push_back(now);
        way.waiting_bytes += job.text.len();
        (way.keeping, way.label, way.closing) = (job.keeping, job.label.clone(), false);
        match &way.lane {
            Some(lane) => lane.send(Order::Write(job)).expect("a lane ends after us"),
            None => self.own.follow(Order::Write(job)),
        }
    }

    /// The thread for an outlet. Where the system gives none, one for others does, and waits where those do.
    fn lane(&mut self, outlet: &Outlet) -> Option<Sender<Order>> {
        let lane = Lane::of(outlet);
        if let Some(there) = self.lanes.get(&lane) {
            return Some(there.clone());
        }
        match lane::start(self.notes.clone(), self.woken.clone()) {
            Ok(started) => {
                self.lanes.insert(lane, started.clone());
                Some(started)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    let (outlet, why) = (outlet.clone(), lane::reason(&error));
                    self.notes.send(Note::NoThread { outlet, why }).expect("we hear ourselves");
                    let _ = self.woken.write(1);
                }
                self.lanes.values().next().cloned()
            }
        }
    }

    /// Tries what fails and is written here, where it is time for that.
    pub(super) fn try_again(&mut self) {
        self.own.try_again();
    }

    /// The oldest piece is written.
    pub(super) fn written(&mut self, outlet: &Outlet, bytes: usize) {
        let Some(way) = self.ways.get_mut(outlet) else { return };
        way.sent.pop_front();
        way.waiting_bytes = way.waiting_bytes.saturating_sub(bytes);
        way.lateness_told = false;
        if way.closing && way.sent.is_empty() {
            self.close(outlet);
        }
    }

    /// Bytes that are on their way.
    pub(super) fn waiting_bytes(&self, outlet: &Outlet) -> usize {
        self.ways.get(outlet).map_or(0, |way| way.waiting_bytes)
    }

    /// Does it fail, or take too long?
    pub(super) fn is_late(&self, outlet: &Outlet, now: Time) -> bool {
        self.ways.get(outlet).is_some_and(|way| way.is_late(now))
    }

    /// Those that have become late since the last call.
    pub(super) fn newly_late(&mut self, now: Time) -> BTreeSet<Outlet> {
        let late = self.ways.iter_mut().filter(|(_, way)| !way.lateness_told && way.is_late(now));
        late.map(|(outlet, way)| {
            way.lateness_told = true;
            outlet.clone()
        })
        .collect()
    }

    /// When the next becomes late, or is to be tried again here.
    pub(super) fn deadline(&self) -> Option<Time> {
        let waiting = self.ways.values().filter(|way| !way.lateness_told);
        let late = waiting.filter_map(|way| Some(*way.sent.front()? + LOG_DISK_PATIENCE));
        late.chain(self.own.deadline()).min()
    }

    /// Is nothing on its way?
    pub(super) fn are_idle(&self) -> bool {
        self.ways.values().all(|way| way.sent.is_empty())
    }

    /// Does what is on its way fail, all of it?
    pub(super) fn are_idle_or_fail(&self) -> bool {
        self.ways.values().all(|way| way.sent.is_empty() || way.failing)
    }

    /// Bytes that are on their way to any of them.
    pub(super) fn all_waiting_bytes(&self) -> usize {
        self.ways.values().map(|way| way.waiting_bytes).sum()
    }

    pub(super) fn fails(&mut self, outlet: &Outlet) {
        if let Some(way) = self.ways.get_mut(outlet) {
            way.failing = true;
        }
    }

    pub(super) fn recovers(&mut self, outlet: &Outlet) {
        if let Some(way) = self.ways.get_mut(outlet) {
            way.failing = false;
        }
    }

    /// So many lines are dropped; what is to be told where they are the first.
    pub(super) fn lose(&mut self, outlet: &Outlet, lines: usize) -> Option<FromWriter> {
        let way = self.ways.get_mut(outlet)?;
        let first = way.lost == 0;
        way.lost += lines as u64;
        first.then(|| FromWriter::Losing { outlet: outlet.clone() })
    }

    /// Puts the number of lost lines where they would have stood, once there is room enough that the next lines are not
    /// lost at once again.
    pub(super) fn tell_loss(&mut self, outlet: &Outlet, now: Time) -> Option<FromWriter> {
        let way = self.ways.get_mut(outlet)?;
        if way.lost == 0 || way.waiting_bytes > LOG_MEMORY_BYTES / 2 {
            return None;
        }
        let lines = std::mem::take(&mut way.lost);
        let label = Label {
            service: way.label.service.clone(),
            pid: Pid(i32::try_from(std::process::id()).unwrap_or_default()),
            stream: Stream::Stderr,
        };
        let stamp = stamp_of(outlet, way.keeping, &label);
        let text = format!("{stamp}bootstrap: {lines} lines lost here: they were not taken in time\n");
        let (keeping, label) = (way.keeping, Arc::new(label));
        let job =
            Job { outlet: outlet.clone(), label, keeping, torn: false, text: text.into(), origin: None };
        self.write(job, now);
        Some(FromWriter::Lost { outlet: outlet.clone(), lines })
    }

    /// Nothing leads there any more.
    pub(super) fn close(&mut self, outlet: &Outlet) {
        let Some(way) = self.ways.get_mut(outlet) else { return };
        way.closing = true;
        if way.sent.is_empty() {
            match &way.lane {
                // It ends after us.
                Some(lane) => _ = lane.send(Order::Close(outlet.clone())),
                None => self.own.follow(Order::Close(outlet.clone())),
            }
            self.ways.remove(outlet);
        }
    }
}

impl Way {
    fn new(lane: Option<Sender<Order>>, first: &Job) -> Self {
        Self {
            lane,
            sent: VecDeque::new(),
            waiting_bytes: 0,
            failing: false,
            lateness_told: false,
            lost: 0,
            keeping: first.keeping,
            label: first.label.clone(),
            closing: false,
        }
    }

    fn is_late(&self, now: Time) -> bool {
        let since = self.sent.front();
        self.failing || since.is_some_and(|since| *since + LOG_DISK_PATIENCE <= now)
    }
}
