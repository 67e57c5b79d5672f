//! The core, fed with what no system would say, and with states that nobody wrote.

use crate::plans;
use crate::rng::Rng;
use bootstrap::core::{
    Action, BindFailure, Event, ExitStatus, Leftover, Miss, PipeEnd, Repair, Request, RunEvent, Sight,
    SpawnFailure, SpawnStage, Supervisor, Ticket, Time, UpgradeRefusal, Verb, Wait, snapshot,
};
use bootstrap::plan::{Address, Generation, ListenerId, Pid, Plan, RunId, Selector, ServiceId};
use bootstrap::protocol::{Notice, Word};
use std::time::Duration;

/// Deadlines that one look at the clock may find due, one after the other.
const DEADLINES: usize = 8;

/// Any event in any state, one after the other: no panic, nothing out of step, and no deadline that is due for ever. The bytes choose the plan, the events and the time.
pub(crate) fn core_events(bytes: &[u8]) {
    let mut rng = Rng::of_bytes(bytes);
    let mut plan = plans::first(&mut rng);
    let mut now = Time { ms: 1_000 };
    let mut out = Vec::new();
    let mut core = Supervisor::boot(plan.clone(), now, &mut out);
    let (mut runs, mut done) = (started(&out), Vec::new());
    while rng.is_told() && core.outcome().is_none() {
        out.clear();
        now = now + rng.ms_of(&[(0, 1), (0, 50), (0, 5_000), (0, 200_000)]);
        let event = event(&mut rng, &mut plan, &runs);
        let told = format!("{event:?}");
        let deadline = event == Event::DeadlinePassed;
        core.handle(now, event, &mut out);
        if let Err(broken) = core.check() {
            panic!("{broken}\nafter {told}\nwhich came after {done:#?}");
        }
        let quarantined = core.services().any(|service| core.is_quarantined(service.id));
        assert!(!quarantined, "a step panicked: {out:?}\nafter {told}\nwhich came after {done:#?}");
        runs.extend(started(&out));
        done.push(told);
        // One may lead to the next where hours pass in a step, but not for ever: that would be a loop that never rests.
        for _ in 0..if deadline { DEADLINES } else { 0 } {
            if core.deadline().is_none_or(|next| next > now) {
                break;
            }
            out.clear();
            core.handle(now, Event::DeadlinePassed, &mut out);
            runs.extend(started(&out));
        }
        let over = !deadline || core.deadline().is_none_or(|next| next > now);
        let services: Vec<_> = core.services().collect();
        assert!(over, "a deadline that passed is still there: {out:?} {services:#?}\nafter {done:#?}");
    }
    let text = snapshot::write(&core, &()).expect("it can be written");
    let read = snapshot::read::<()>(&text).unwrap_or_else(|why| panic!("{why}\nafter {done:#?}"));
    assert!(read.core == core, "the snapshot reads back to another core\nafter {done:#?}");
}

/// A snapshot: refused in one sentence, or a core that is written as it was read.
pub(crate) fn snapshot_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match snapshot::read::<serde_json::Value>(text) {
        Err(refused) => assert!(!refused.to_string().is_empty()),
        Ok(read) => {
            let again = snapshot::write(&read.core, &read.beside).expect("what was read can be written");
            let again = snapshot::read::<serde_json::Value>(&again).expect("our own");
            assert!(again.core == read.core, "written and read it is another");
            assert_eq!(again.beside, read.beside);
        }
    }
}

/// The snapshot of a core to which these bytes have happened: what the fuzzer begins with.
#[allow(dead_code, reason = "the targets read what the tests write")]
pub(crate) fn a_snapshot(bytes: &[u8]) -> String {
    let mut rng = Rng::of_bytes(bytes);
    let mut plan = plans::first(&mut rng);
    let (mut now, mut out) = (Time { ms: 1_000 }, Vec::new());
    let mut core = Supervisor::boot(plan.clone(), now, &mut out);
    let mut runs = started(&out);
    while rng.is_told() {
        out.clear();
        now = now + Duration::from_millis(1);
        core.handle(now, event(&mut rng, &mut plan, &runs), &mut out);
        runs.extend(started(&out));
    }
    snapshot::write(&core, &serde_json::json!({"a": [1]})).expect("it can be written")
}

fn started(actions: &[Action]) -> Vec<RunId> {
    let spawned = actions
        .iter()
        .filter_map(|action| if let Action::Spawn { run, .. } = action { Some(*run) } else { None });
    spawned.collect()
}

fn event(rng: &mut Rng, plan: &mut Plan, runs: &[RunId]) -> Event {
    match rng.below(32) {
        0..4 => Event::DeadlinePassed,
        4..18 => Event::Run(run(rng, runs), run_event(rng)),
        18..20 => Event::Bound,
        20 => Event::BindRefused {
            failures: vec![BindFailure {
                address: Address::Unix("/run/web-0".into()),
                errno: libc::EADDRINUSE,
                owner: None,
            }],
        },
        21..24 => {
            if rng.chance(70) {
                *plan = plans::edited(plan, rng);
            }
            Event::PlanLoaded(Box::new(plan.clone()))
        }
        24 => match rng.below(4) {
            0 => Event::PlanRefused { mistakes: vec!["a mistake".into()] },
            1 => Event::SelectorRefused { reason: "a reason".into() },
            2 => Event::Upgraded { from: "0.0.0".into(), took: Duration::ZERO },
            _ => Event::NotWrittenDown { run: run(rng, runs), errno: libc::ENOSPC },
        },
        25 => Event::SelectorRead(selector(rng)),
        26 => Event::Request(request(rng)),
        27 => Event::Repaired {
            listener: ListenerId(u32::try_from(rng.below(8)).expect("small")),
            what: rng.pick(&[
                Repair::ListensAgain,
                Repair::PathPutBack,
                Repair::PathBoundAnew,
                Repair::PathTaken,
                Repair::PathLost(libc::ENOENT),
            ]),
        },
        28 => match rng.below(5) {
            0 => Event::SuccessorFit,
            3 => Event::StraySignal(libc::SIGALRM),
            4 => Event::StoodStill { late: Duration::from_secs(6) },
            1 => Event::UpgradeRefused(UpgradeRefusal::NoProof),
            _ => Event::TicketDropped(Ticket(rng.below(8))),
        },
        29 => Event::ProgramChanged { service: run(rng, runs).service },
        _ => Event::Request(order(rng)),
    }
}

/// One that was started, or one of which nobody has heard.
fn run(rng: &mut Rng, runs: &[RunId]) -> RunId {
    if runs.is_empty() || rng.chance(5) {
        let mut number = || u32::try_from(rng.below(8)).expect("small");
        return RunId { service: ServiceId(number()), generation: Generation(number()) };
    }
    // The later ones more often than the first.
    let back = rng.below(runs.len().min(6) as u64 + 1);
    runs[runs.len() - 1 - usize::try_from(back).expect("small").min(runs.len() - 1)]
}

fn selector(rng: &mut Rng) -> Selector {
    Selector::parse(rng.pick(&["", "", "web", "api", "a*,web", "nobody"]))
}

fn request(rng: &mut Rng) -> Request {
    match rng.below(16) {
        0..6 => Request::Restart,
        6..10 => Request::Reload,
        10..12 => Request::Upgrade,
        12 => Request::Stop,
        13 => Request::StopNow,
        _ => Request::ReloadFor { ticket: Ticket(rng.below(8)), wait: Wait::Outcome },
    }
}

fn order(rng: &mut Rng) -> Request {
    let verbs = [
        Verb::Start,
        Verb::Stop,
        Verb::Restart,
        Verb::Hold,
        Verb::Release,
        Verb::Wait,
        Verb::Signal(libc::SIGHUP),
    ];
    Request::Order {
        ticket: Ticket(rng.below(8)),
        verb: rng.pick(&verbs),
        selector: selector(rng),
        wait: rng.pick(&[Wait::Outcome, Wait::Accepted]),
    }
}

fn run_event(rng: &mut Rng) -> RunEvent {
    match rng.below(26) {
        24 => RunEvent::NotItsProcess(Pid(1)),
        25 => RunEvent::Foreseen(rng.chance(50).then(|| SpawnFailure {
            stage: SpawnStage::Lookup,
            errno: libc::ENOENT,
            subject: "x".into(),
        })),
        0..6 => RunEvent::Spawned { pid: Pid(1 + i32::try_from(rng.below(100)).expect("small")) },
        6 => RunEvent::SpawnFailed(SpawnFailure {
            stage: SpawnStage::Exec,
            errno: rng.pick(&[libc::ENOENT, libc::ETXTBSY]),
            subject: "x".into(),
        }),
        7..10 => RunEvent::Said(rng.pick(&[Word::Ready, Word::Success, Word::Failed])),
        10 => RunEvent::PipeEnded(rng.pick(&[PipeEnd::Closed, PipeEnd::Gibberish(*b"what???")])),
        11 => RunEvent::NotListening,
        12..15 => RunEvent::Seen(rng.pick(&[
            Sight::Accepting,
            Sight::NotAccepting,
            Sight::Busy,
            Sight::Closed,
            Sight::Hidden,
        ])),
        15..17 => RunEvent::Probed {
            attempt: u32::try_from(rng.below(6)).expect("small"),
            answer: if rng.chance(50) { Ok(()) } else { Err(Miss::Status(503)) },
        },
        17..20 => RunEvent::Exited {
            status: rng.pick(&[
                ExitStatus::Code(0),
                ExitStatus::Code(1),
                ExitStatus::Signal { signal: libc::SIGKILL, core_dumped: false },
                ExitStatus::Unknown,
            ]),
            group_left: rng.chance(20),
        },
        20 => RunEvent::GroupEmpty,
        21 => {
            let leftover = Leftover { pid: Pid(7), command: "sleep".into() };
            RunEvent::LeftBehind { first: vec![leftover], all: 1 }
        }
        _ => RunEvent::Notified(notice(rng)),
    }
}

fn notice(rng: &mut Rng) -> Notice {
    match rng.below(11) {
        10 => Notice::MainPid(Pid(1 + i32::try_from(rng.below(100)).expect("small"))),
        0..3 => Notice::Ready,
        3 => Notice::Stopping,
        4 => Notice::Reloading { since: None },
        5 => Notice::Status("a status".into()),
        6 => Notice::ExtendTimeout(rng.ms_of(&[(0, 1), (0, 100_000), (u64::MAX - 5, u64::MAX)])),
        7 => Notice::Watchdog,
        8 => Notice::WatchdogTrigger,
        _ => Notice::WatchdogPeriod(rng.ms_of(&[(0, 1), (0, 100_000)])),
    }
}
