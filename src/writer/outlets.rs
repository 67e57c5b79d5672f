//! What is on its way to each outlet, and whether that takes it.

use super::label::{Label, stamp_of};
use super::lane::{self, Job, Lane, Note, Order};
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
    lane: Sender<Order>,
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
    notes: Sender<Note>,
    woken: Arc<EventFd>,
}

impl Outlets {
    pub(super) fn new(notes: Sender<Note>, woken: Arc<EventFd>) -> Self {
        Self { ways: BTreeMap::new(), lanes: BTreeMap::new(), notes, woken }
    }

    /// Sends a piece on its way.
    pub(super) fn write(&mut self, job: Job, now: Time) {
        let (notes, woken) = (&self.notes, &self.woken);
        let lanes = &mut self.lanes;
        let way = self.ways.entry(job.outlet.clone()).or_insert_with(|| {
            let lane = lanes
                .entry(Lane::of(&job.outlet))
                .or_insert_with(|| lane::start(notes.clone(), woken.clone()).expect("a thread for a disk"));
            Way {
                lane: lane.clone(),
                sent: VecDeque::new(),
                waiting_bytes: 0,
                failing: false,
                lateness_told: false,
                lost: 0,
                keeping: job.keeping,
                label: job.label.clone(),
                closing: false,
            }
        });
        way.sent.push_back(now);
        way.waiting_bytes += job.text.len();
        (way.keeping, way.label, way.closing) = (job.keeping, job.label.clone(), false);
        way.lane.send(Order::Write(job)).expect("a lane ends after us");
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

    /// When the next becomes late.
    pub(super) fn deadline(&self) -> Option<Time> {
        let waiting = self.ways.values().filter(|way| !way.lateness_told);
        waiting.filter_map(|way| Some(*way.sent.front()? + LOG_DISK_PATIENCE)).min()
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
            // It ends after us.
            let _ = way.lane.send(Order::Close(outlet.clone()));
            self.ways.remove(outlet);
        }
    }
}

impl Way {
    fn is_late(&self, now: Time) -> bool {
        let since = self.sent.front();
        self.failing || since.is_some_and(|since| *since + LOG_DISK_PATIENCE <= now)
    }
}
