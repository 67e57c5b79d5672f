//! What follows when workers are sick, as those see it who depend on them.

use crate::core::service::Service;
use crate::core::state::State;
use crate::core::worker::Worker;
use crate::core::{
    Action, Event, ExitStatus, Fact, Miss, Next, Outcome, Report, RunEvent, Sight, Supervisor, Time,
};
use crate::plan::{
    Address, Check, Definition, Generation, Handshake, ListenerSpec, Pid, Plan, Probe, Ready, Restart,
    RestartOrder, RunId, Scope, Settings, Target,
};
use crate::protocol::{Notice, Word};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// One service, and servers that do what they are to do, but for those that fail.
struct Stage {
    core: Supervisor,
    now: Time,
    /// New ones end at once.
    breaks: bool,
    /// Whose check fails.
    sick: BTreeSet<Generation>,
    /// No check can be made.
    starved: bool,
    reports: Vec<Fact>,
}

/// One that is checked each second, comes back after a pause, and has nothing to go back to; and what is `changed` of that.
fn plan(change: impl Fn(&mut Definition)) -> Plan {
    let mut web = Definition::least("web");
    web.listeners = [ListenerSpec::new(Address::Unix("/run/web".into()))].into();
    let policy = &mut web.policy;
    policy.ready = Ready::Started;
    policy.restart = Restart::Always;
    policy.rollback = false;
    (policy.restart_delay, policy.restart_delay_max) = (10 * SECOND, 10 * SECOND);
    policy.healthy_after = 60 * SECOND;
    let target = Target::Exec(vec!["true".into()]);
    let probe = Probe { target, scope: Scope::Run, timeout: SECOND };
    policy.check = Some(Check { probe, period: SECOND, failures: 1 }.into());
    change(&mut web);
    Plan { settings: Settings::default(), services: vec![Arc::new(web)] }
}

impl Stage {
    fn new(change: impl Fn(&mut Definition)) -> Self {
        let stage = Self::starting(change);
        assert!(stage.web().is_up());
        stage
    }

    fn starting(change: impl Fn(&mut Definition)) -> Self {
        let (now, mut out) = (Time { ms: 1000 }, Vec::new());
        let core = Supervisor::boot(plan(change), now, &mut out);
        let mut stage =
            Self { core, now, breaks: false, sick: BTreeSet::new(), starved: false, reports: Vec::new() };
        stage.handle(Event::Bound);
        stage
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others change nothing here")]
    fn handle(&mut self, event: Event) {
        let mut out = Vec::new();
        self.core.handle(self.now, event, &mut out);
        for action in out {
            let (run, events) = match action {
                Action::Spawn { run, .. } if self.breaks => (run, vec![spawned(), ended(1)]),
                Action::Spawn { run, .. } => (run, vec![spawned()]),
                Action::Look { run, .. } => (run, vec![RunEvent::Seen(Sight::Accepting)]),
                Action::Terminate { run } => (run, vec![ended(0)]),
                Action::Preflight { run, .. } => (run, vec![RunEvent::Foreseen(None)]),
                Action::Ask { run, .. } => (run, vec![RunEvent::Said(Word::Success), ended(0)]),
                Action::Probe { run, attempt, .. } => {
                    let answer = match self.sick.contains(&run.generation) {
                        _ if self.starved => Err(Miss::Failed(libc::EMFILE)),
                        true => Err(Miss::Status(500)),
                        false => Ok(()),
                    };
                    (run, vec![RunEvent::Probed { attempt, answer }])
                }
                Action::Report(Report { fact, .. }) => {
                    self.reports.push(fact);
                    continue;
                }
                _ => continue,
            };
            for event in events {
                self.handle(Event::Run(run, event));
            }
        }
        assert_eq!(self.core.check(), Ok(()));
    }

    /// Goes from deadline to deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.core.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline.max(self.now);
            self.handle(Event::DeadlinePassed);
        }
        self.now = end;
    }

    fn reload(&mut self, change: impl Fn(&mut Definition)) {
        self.handle(Event::Request(crate::core::Request::Reload));
        self.handle(Event::PlanLoaded(Box::new(plan(change))));
    }

    fn web(&self) -> &Service {
        self.core.services().next().unwrap()
    }

    fn serving(&self) -> Vec<u32> {
        self.web().workers.iter().filter_map(Worker::serving).map(|run| run.generation().0).collect()
    }

    /// Those that are not ready, or serve, are sick from now on.
    fn falls_sick(&mut self, generations: &[u32]) {
        self.sick.extend(generations.iter().map(|number| Generation(*number)));
    }

    fn says(&mut self, generation: u32, notice: Notice) {
        let run = RunId { service: self.web().id, generation: Generation(generation) };
        self.handle(Event::Run(run, RunEvent::Notified(notice)));
    }
}

fn spawned() -> RunEvent {
    RunEvent::Spawned { pid: Pid(7) }
}

fn ended(code: i32) -> RunEvent {
    RunEvent::Exited { status: ExitStatus::Code(code), group_left: false }
}

/// It has a watchdog in the place of a check.
fn watched(web: &mut Definition, period: Duration, restart: Restart) {
    web.program.handshake = Handshake::Systemd;
    web.program.watchdog = Some(period);
    web.policy.stop_signal = Handshake::Systemd.default_stop_signal();
    web.policy.restart = restart;
    web.policy.check = None;
}

const SECOND: Duration = Duration::from_secs(1);

/// Healthy servers were restarted for it, into the same want.
#[test]
fn a_check_that_we_cannot_make_says_nothing_about_who_is_to_be_asked() {
    let mut stage = Stage::new(|_| ());
    stage.starved = true;
    stage.pass(30 * SECOND);
    assert_eq!(stage.serving(), [1]);
    let not_made = |fact: &&Fact| matches!(fact, Fact::CheckNotMade { miss: Miss::Failed(libc::EMFILE) });
    assert!(stage.reports.iter().filter(not_made).count() >= 29, "{:?}", stage.reports);
    stage.starved = false;
    stage.falls_sick(&[1]);
    stage.pass(2 * SECOND);
    assert_ne!(stage.serving(), [1], "it is asked again");
}

/// An outage of what all depend on took down one worker after the other, until nobody served.
#[test]
fn no_worker_is_restarted_for_being_sick_while_others_are_missing() {
    let mut stage = Stage::new(|web| web.policy.workers = 3);
    stage.falls_sick(&[1, 2, 3]);
    stage.breaks = true;
    for _ in 0..120 {
        stage.pass(SECOND);
        assert_eq!(stage.serving().len(), 2, "{:?}", stage.web().workers);
    }
    stage.breaks = false;
    stage.pass(60 * SECOND);
    assert!(stage.serving().iter().all(|generation| *generation > 3), "all are new: {:?}", stage.serving());
    assert_eq!(stage.web().history.restarts.asked, 0);
}

#[test]
fn who_is_well_again_while_it_waits_for_its_turn_is_not_restarted() {
    let mut stage = Stage::new(|web| web.policy.workers = 2);
    stage.breaks = true;
    stage.falls_sick(&[1]);
    stage.pass(2 * SECOND);
    stage.falls_sick(&[2]);
    stage.pass(2 * SECOND);
    assert_eq!(stage.serving(), [2]);
    stage.sick.clear();
    stage.pass(2 * SECOND);
    stage.breaks = false;
    stage.pass(60 * SECOND);
    assert_eq!(stage.serving().len(), 2);
    assert!(stage.serving().contains(&2), "{:?}", stage.serving());
}

/// A policy that nobody has any more restarted what it had found sick, and counted that as asked for.
#[test]
fn a_restart_that_is_not_wanted_any_more_does_not_come() {
    let no: fn(&mut Definition) = |web| web.policy.restart = Restart::No;
    let unasked: fn(&mut Definition) = |web| web.policy.check = None;
    for (changed, is_sick) in [(no, true), (unasked, false)] {
        let mut stage = Stage::new(|_| {});
        stage.falls_sick(&[1, 2]);
        // The first restart is immediate, and a pause comes before the second.
        stage.pass(4 * SECOND);
        assert_eq!(stage.serving(), [2]);
        stage.reload(changed);
        stage.pass(60 * SECOND);
        assert_eq!(stage.serving(), [2], "{is_sick}");
        assert_eq!(stage.web().workers[0].serving().unwrap().health.sign().is_some(), is_sick);
    }
}

#[test]
fn a_start_that_is_not_wanted_any_more_does_not_come() {
    let mut stage = Stage::new(|_| {});
    stage.breaks = true;
    let run = RunId { service: stage.web().id, generation: Generation(1) };
    stage.handle(Event::Run(run, ended(1)));
    assert!(matches!(stage.web().workers[0].state, State::Backoff { .. }), "{:?}", stage.web());
    stage.reload(|web| web.policy.restart = Restart::OnFailure);
    assert!(matches!(stage.web().workers[0].state, State::Backoff { .. }), "it has failed");
    stage.reload(|web| web.policy.restart = Restart::No);
    assert_eq!(stage.web().workers[0].state, State::Crashed);
    assert!(stage.reports.contains(&Fact::StaysDown));
    stage.pass(60 * SECOND);
    assert_eq!(stage.web().last, Generation(2));
    assert_eq!(stage.core.outcome(), Some(Outcome::Crashed));
}

/// Nobody asks a watchdog again.
#[test]
fn one_that_was_left_alone_is_restarted_once_its_policy_says_so() {
    let with = |restart| move |web: &mut Definition| watched(web, SECOND, restart);
    let mut stage = Stage::new(with(Restart::No));
    stage.pass(5 * SECOND);
    assert_eq!(stage.serving(), [1]);
    stage.reload(with(Restart::OnFailure));
    assert_eq!(stage.serving(), [2]);
    assert_eq!(stage.web().history.restarts.unhealthy, 1);
    stage.says(2, Notice::Watchdog);
    assert_eq!(stage.serving(), [2]);
}

/// It was said, and a period later it was said again and done.
#[test]
fn a_restart_that_is_told_is_begun_although_another_has_just_failed() {
    let mut stage = Stage::starting(|web| {
        watched(web, 3 * SECOND, Restart::Always);
        web.policy.ready = Ready::Word;
        web.policy.ready_timeout = 4 * SECOND;
        web.policy.restart_order = RestartOrder::StartFirst;
        web.policy.restart_delay = Duration::ZERO;
    });
    stage.says(1, Notice::Ready);
    stage.pass(60 * SECOND);
    let told = stage
        .reports
        .iter()
        .filter(|fact| matches!(fact, Fact::Unhealthy { next: Next::RestartsNow | Next::RestartsIn(_), .. }));
    let told = told.count();
    let begun = stage.web().history.restarts.unhealthy as usize;
    assert!(told > 2 && told - begun <= 1, "{told} were told and {begun} begun");
}

/// A time that is under way goes on as it began (README).
#[test]
fn a_time_that_was_changed_holds_from_the_next_wait_on() {
    let mut stage = Stage::new(|_| {});
    stage.breaks = true;
    let run = RunId { service: stage.web().id, generation: Generation(1) };
    stage.handle(Event::Run(run, ended(1)));
    stage.reload(|web| web.policy.restart_delay_max = SECOND);
    stage.pass(9 * SECOND);
    assert_eq!(stage.web().last, Generation(2), "the pause that has begun is ten seconds");
    stage.pass(3 * SECOND);
    assert_eq!(stage.web().last, Generation(5), "the next ones are one");
}

/// It has nothing to go back to (README).
#[test]
fn a_start_of_what_is_down_waits_for_no_bake_time() {
    let mut stage = Stage::new(|web| web.policy.bake_time = 60 * SECOND);
    let run = RunId { service: stage.web().id, generation: Generation(1) };
    stage.handle(Event::Run(run, ended(1)));
    assert_eq!(stage.serving(), [2]);
    assert!(stage.web().is_up());
}
