//! The restart of a service with several workers: some at a time, and no further after one that failed.

use super::generation::Run;
use super::worker::{Worker, kept};
use crate::plan::{Generation, Policy, RestartOrder};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The restarts of a service: at most one is under way, and at most one waits for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollout {
    under_way: Option<Box<Round>>,
    /// The number of the last restart that was asked for and began.
    last: u32,
    /// Another was asked for when this one had begun to start successors: it runs once after it.
    again: bool,
}

/// A restart of all workers, or of those that are sick, as far as it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Round {
    /// Its number, where somebody has asked for it. One of sick workers alone has none: the next number may have been
    /// promised to a restart that waits for its turn (simulation, seed 2465).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    /// Workers whose turn has not come.
    waiting: BTreeSet<u32>,
    /// Workers under way, each with the last generation when its turn came: a newer one is its own.
    turns: BTreeMap<u32, Generation>,
    /// Workers that have come through.
    through: u32,
    /// The newest generation that did.
    newest: Generation,
    /// What became of the first worker that did not come through.
    failure: Option<End>,
    /// The workers that are restarted once more after it, where that was asked for: they had begun by then. The starts of the
    /// others were still to come, and fulfil it. All of them, where this is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again: Option<BTreeSet<u32>>,
}

/// What became of a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    /// The new generations serve; the newest is this.
    Through(Generation),
    /// This one, which is older, serves on.
    OldServes(Generation),
    /// This one, of the program that ran before, serves.
    RolledBack(Generation),
    /// Nobody serves.
    Down,
}

/// What was begun by a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    /// The number of the restart that fulfils it.
    pub(super) round: u32,
    /// Whether it has to wait for one that is under way, or for a start.
    pub(super) waits: bool,
}

/// What a look at the rollout shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nobody's.
    Nobody,
    /// This worker's.
    Of(u32),
    /// A worker failed; these others are not restarted.
    Stopped(BTreeSet<u32>),
    /// This restart is over; it has a number if it was asked for.
    Over(Option<u32>, End),
}

impl Rollout {
    /// Begins, or begins anew once the present one is done.
    ///
    /// Where no successor was started yet, the starts to come are later than this request and fulfil it.
    pub(super) fn begin(&mut self, workers: &[Worker], last: Generation) -> Begun {
        let workers = kept(workers);
        if let Some(round) = &mut self.under_way {
            let later = |index: &u32| workers.clone().any(|w| w.index == *index && w.starts_later());
            if round.through == 0 && round.failure.is_none() && round.turns.keys().all(later) {
                // It may be under way for a sick worker only.
                let others =
                    workers.clone().filter(|w| !w.starts_later() && !round.turns.contains_key(&w.index));
                round.waiting.extend(others.map(|worker| worker.index));
            }
            // After a failure nobody's turn is to come, and who was added meanwhile has none (simulation, seed 732).
            let has_begun =
                |worker: &&Worker| !round.waiting.contains(&worker.index) && !worker.starts_later();
            let begun: BTreeSet<u32> = workers.filter(has_begun).map(|worker| worker.index).collect();
            if self.again || !begun.is_empty() {
                // Where it is not known who was meant by the last request, all are.
                let first = !std::mem::replace(&mut self.again, true);
                let again =
                    if first { Some(round.again.insert(BTreeSet::new())) } else { round.again.as_mut() };
                if let Some(again) = again {
                    again.extend(begun);
                }
                return Begun { round: self.next(), waits: true };
            }
            // Who failed is gone, or starts once more: it is no failure of this one (simulation, seed 3546).
            round.failure = None;
            let number = *round.number.get_or_insert_with(|| {
                self.last += 1;
                self.last
            });
            return Begun { round: number, waits: false };
        }
        self.begin_round(workers, last)
    }

    fn begin_round<'a>(&mut self, workers: impl Iterator<Item = &'a Worker>, last: Generation) -> Begun {
        self.last += 1;
        // The generation of a program that is tried again was given out already, and is the one that fulfils this.
        let before = |worker: &Worker| worker.busy().map_or(last, |busy| Generation(busy.0 - 1));
        let (later, now): (Vec<&Worker>, Vec<&Worker>) = workers.partition(|worker| worker.starts_later());
        self.under_way = Some(Box::new(Round::of(
            Some(self.last),
            now.iter().map(|worker| worker.index).collect(),
            later.iter().map(|worker| (worker.index, before(worker))).collect(),
        )));
        Begun { round: self.last, waits: now.iter().any(|worker| worker.in_transit()) }
    }

    /// Is the turn of this worker to come?
    pub(super) fn has_turn_to_come(&self, worker: u32) -> bool {
        let is_in =
            |round: &Round| round.waiting.contains(&worker) || self.again && round.is_of_the_next(worker);
        self.under_way.as_deref().is_some_and(is_in)
    }

    /// Has one worker restarted in its turn, because it is sick.
    pub(super) fn ask_for(&mut self, worker: u32) {
        let of_its_own = || Box::new(Round::of(None, BTreeSet::new(), BTreeMap::new()));
        let round = self.under_way.get_or_insert_with(of_its_own);
        if !round.turns.contains_key(&worker) {
            round.waiting.insert(worker);
        }
    }

    /// Forgets everything: the service is to end.
    pub(super) fn cancel(&mut self) {
        (self.under_way, self.again) = (None, false);
    }

    /// Is this restart still to end?
    pub(super) fn is_open(&self, round: u32) -> bool {
        let is_this = |under_way: &Round| under_way.number == Some(round);
        self.under_way.as_deref().is_some_and(is_this) || self.again && round == self.next()
    }

    /// The number of the restart that begins next.
    pub(super) fn next(&self) -> u32 {
        self.last + 1
    }

    /// Is a restart under way?
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Takes note of the workers that have come through, and says whose turn it is.
    pub(super) fn turn(&mut self, workers: &[Worker], policy: &Policy, last: Generation) -> Turn {
        let Some(round) = &mut self.under_way else { return Turn::Nobody };
        round.take_ended(workers);
        // One that is to stop may have fewer by a reload meanwhile: who is too many goes with it (simulation, seed 4221).
        round.waiting.retain(|index| *index < policy.workers);
        let workers = kept(workers);
        if round.number.is_none() {
            // Whoever is well again while it waits, or is to be left alone, stays as it is.
            round
                .waiting
                .retain(|index| workers.clone().any(|w| w.index == *index && w.is_to_be_cured(policy)));
        }
        if round.failure.is_some() && !round.waiting.is_empty() {
            let left = std::mem::take(&mut round.waiting);
            let serving = workers.filter(|worker| left.contains(&worker.index));
            if let Some(old) = serving.filter_map(|worker| worker.serving()).map(Run::generation).min() {
                // Whatever becomes of the worker that failed, these serve on as they were (simulation, seed 370).
                round.failure = Some(End::OldServes(old));
            }
            return Turn::Stopped(left);
        }
        if let Some(end) = round.end() {
            let number = round.number;
            let over = self.under_way.take();
            if std::mem::take(&mut self.again) {
                let of_it = |worker: &&Worker| over.iter().all(|round| round.is_of_the_next(worker.index));
                self.begin_round(workers.filter(of_it), last);
                // Whoever is not in it has come through already; it may be that nobody else is left (simulation, seed 2602).
                if let Some((next, over)) = self.under_way.as_deref_mut().zip(over.as_deref()) {
                    next.newest = over.newest;
                }
            }
            return Turn::Over(number, end);
        }
        let under_way =
            if round.number.is_some() { round.turns.len() } else { round.missing(workers.clone()) };
        if under_way >= round.at_once(policy) {
            return Turn::Nobody;
        }
        let Some(index) = round.next(workers) else { return Turn::Nobody };
        round.waiting.remove(&index);
        round.turns.insert(index, last);
        Turn::Of(index)
    }
}

impl Round {
    fn of(number: Option<u32>, waiting: BTreeSet<u32>, turns: BTreeMap<u32, Generation>) -> Self {
        Self { number, waiting, turns, through: 0, newest: Generation::NONE, failure: None, again: None }
    }

    /// Is this worker restarted once more, where that was asked for? After a failure others were left as they were.
    fn is_of_the_next(&self, worker: u32) -> bool {
        self.failure.is_some() || self.again.as_ref().is_none_or(|again| again.contains(&worker))
    }

    /// Lets go of the workers that are not on their way any more.
    fn take_ended(&mut self, workers: &[Worker]) {
        let workers = kept(workers);
        let Self { turns, through, newest, failure, .. } = self;
        turns.retain(|index, before| {
            let Some(worker) = workers.clone().find(|worker| worker.index == *index) else { return false };
            if worker.in_transit() {
                return true;
            }
            match end_of(worker, *before) {
                End::Through(generation) => {
                    *through += 1;
                    *newest = generation.max(*newest);
                }
                end @ (End::OldServes(_) | End::RolledBack(_) | End::Down) => {
                    failure.get_or_insert(end);
                }
            }
            false
        });
        self.waiting.retain(|index| workers.clone().any(|worker| worker.index == *index));
    }

    fn end(&self) -> Option<End> {
        let over = self.waiting.is_empty() && self.turns.is_empty();
        over.then(|| self.failure.unwrap_or(End::Through(self.newest)))
    }

    /// Those that are down come first: they cost nobody anything. One that is starting is waited for.
    fn next<'a>(&self, workers: impl Iterator<Item = &'a Worker> + Clone) -> Option<u32> {
        let mut ready = workers.filter(|w| self.waiting.contains(&w.index) && !w.in_transit());
        let first = ready.clone().next().map(|worker| worker.index);
        ready.find(|worker| worker.serving().is_none()).map(|worker| worker.index).or(first)
    }

    /// How many workers are on their way, or are down and come back by themselves. Nobody has asked for the restart of one that
    /// is sick: some answers are better than none, so it serves on while as many others are missing as may be.
    fn missing<'a>(&self, workers: impl Iterator<Item = &'a Worker>) -> usize {
        workers.filter(|worker| worker.is_missing() || self.turns.contains_key(&worker.index)).count()
    }

    fn at_once(&self, policy: &Policy) -> usize {
        let at_once = match policy.restart_order {
            RestartOrder::StartFirst => policy.max_surge,
            RestartOrder::StopFirst => policy.max_unavailable,
        };
        let at_once = if policy.canary && self.through == 0 { 1 } else { at_once };
        at_once.max(1) as usize
    }
}

/// What became of a worker whose turn came after generation `before`, and which is not on its way any more. It comes through with a generation of its
/// own that serves, and not by rolling back.
fn end_of(worker: &Worker, before: Generation) -> End {
    match worker.serving() {
        Some(run) if run.generation() <= before => End::OldServes(run.generation()),
        Some(run) if run.program_of.is_some() => End::RolledBack(run.generation()),
        Some(run) => End::Through(run.generation()),
        None => End::Down,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        Action, Answer, Event, Request, RunEvent, Supervisor, Ticket, Time, Verb, Verdict, Wait,
    };
    use crate::plan::{Pid, RunId, Selector, ServiceId};
    use crate::protocol::Word;

    #[test]
    fn a_restart_of_sick_workers_takes_no_number_that_was_promised_to_another() {
        let mut rollout = Rollout::default();
        let promised = rollout.next();
        rollout.ask_for(0);
        assert!(!rollout.is_open(promised));
        // The worker is gone by now.
        let over = rollout.turn(&[], &Policy::default(), Generation::NONE);
        assert_eq!(over, Turn::Over(None, End::Through(Generation::NONE)));
        assert_eq!(rollout.begin(&[], Generation::NONE), Begun { round: promised, waits: false });
        assert!(rollout.is_open(promised));
    }

    #[test]
    fn one_that_is_asked_for_joins_that_of_a_sick_worker_as_long_as_nobody_was_started() {
        let mut rollout = Rollout::default();
        rollout.ask_for(0);
        let begun = rollout.begin(&[], Generation::NONE);
        assert_eq!(begun, Begun { round: 1, waits: false });
        assert!(rollout.is_open(1) && !rollout.is_open(2));
    }

    /// A worker has failed that a reload takes away, while another is still to start (simulation, seed 3546).
    #[test]
    fn the_failure_of_one_that_is_gone_is_none_of_the_restart_that_joins() {
        let mut rollout = Rollout::default();
        rollout.ask_for(0);
        rollout.under_way.as_mut().unwrap().failure = Some(End::Down);
        assert_eq!(rollout.begin(&[], Generation::NONE), Begun { round: 1, waits: false });
        let over = rollout.turn(&[], &Policy::default(), Generation::NONE);
        assert_eq!(over, Turn::Over(Some(1), End::Through(Generation::NONE)));
    }

    /// It was told to have been restarted as generation 0 (simulation, seed 2602).
    #[test]
    fn one_that_finds_nobody_to_restart_has_come_through_with_the_one_before() {
        let plan = |workers: u32| {
            crate::config::parse(
                "a.toml",
                &format!(
                    "[[service]]\nname = 'web'\ncommand = '/bin/true'\nlisten = 'tcp://127.0.0.1:8000'\n\
                     ready = 'started'\nworkers = {workers}\nmax_unavailable = 2\n"
                ),
            )
        };
        let (now, mut out) = (Time { ms: 1000 }, Vec::new());
        let mut core = Supervisor::boot(plan(2).unwrap(), now, &mut out);
        let id = RunId { service: ServiceId(1), generation: Generation::NONE };
        let run = |generation: u32, event: RunEvent| {
            Event::Run(RunId { generation: Generation(generation), ..id }, event)
        };
        let spawned = |generation: u32| run(generation, RunEvent::Spawned { pid: Pid(7) });
        let quiet = |generation: u32| run(generation, RunEvent::Said(Word::Success));
        let order = |ticket: u64| {
            let (verb, selector) = (Verb::Restart, Selector::All);
            let order = Request::Order { ticket: Ticket(ticket), verb, selector, wait: Wait::Outcome };
            Event::Request(order)
        };
        let up = [Event::Bound, spawned(1), spawned(2)];
        let asked = [order(1), run(1, RunEvent::Foreseen(None)), run(2, RunEvent::Foreseen(None))];
        // The first worker is slow, and the second through already when a restart and then its end are asked for.
        let overtaken = [quiet(2), spawned(3), order(2), Event::Request(Request::Reload)];
        let shrunk = [Event::PlanLoaded(Box::new(plan(1).unwrap())), order(3), quiet(1), spawned(4)];
        for event in up.into_iter().chain(asked).chain(overtaken).chain(shrunk) {
            core.handle(now, event, &mut out);
        }
        let answers = out.iter().filter_map(|action| {
            let Action::Answer { ticket, answer: Answer::Done { services } } = action else { return None };
            Some((ticket.0, services[0].1.clone()))
        });
        let up = Verdict::Up { generation: Generation(4) };
        assert_eq!(answers.collect::<Vec<_>>(), [1, 2, 3].map(|ticket| (ticket, up.clone())));
    }
}
