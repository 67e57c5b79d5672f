//! The sentence for each fact: what happened and what happens next. No text is made anywhere else.

use super::control;
use super::logs;
use super::repairs;
use super::succession;
use super::words::{
    answer, beginning, bind_failed, count, ended, leftovers, missed, pipe_ended, quoted, reloaded,
    signal_name, spawn_failure, stood_still, text, time, verb_words,
};
use crate::core::{Applied, ExitStatus, Fact, Leave, Next, Outcome, Sign};
use crate::plan::{Ready, ServiceName};
use crate::protocol::Word;
use std::time::Duration;

/// The name of a fact for programs that read the log; it does not change when the sentence does.
pub(super) fn key(fact: &Fact) -> &'static str {
    match fact {
        Fact::Started { .. } => "started",
        Fact::Ready { .. } => "ready",
        Fact::NotReady { .. } => "not-ready",
        Fact::TakenForReady { .. } => "taken-for-ready",
        Fact::CannotBeSeen => "cannot-be-seen",
        Fact::SeenQuiet { .. } => "seen-quiet",
        Fact::Baking { .. } => "baking",
        Fact::CheckMissed { .. } => "check-missed",
        Fact::CheckNotMade { .. } => "check-not-made",
        Fact::Unhealthy { .. } => "unhealthy",
        Fact::HealthyAgain { .. } => "healthy-again",
        Fact::Reloading => "reloading",
        Fact::ReloadedItself { .. } => "reloaded-itself",
        Fact::MainProcess { .. } => "main-process",
        Fact::NotItsProcess { .. } => "not-its-process",
        Fact::SaidStopping { .. } => "said-stopping",
        Fact::ProgramChanged => "program-changed",
        Fact::RolloutStopped { .. } => "rollout-stopped",
        Fact::Repaired { .. } => "repaired",
        Fact::SpawnFailed { .. } => "spawn-failed",
        Fact::NotRestarted { .. } => "not-restarted",
        Fact::Displaced { .. } => "displaced",
        Fact::Asked { .. } => "asked",
        Fact::AskedTooEarly { .. } => "asked-too-early",
        Fact::Answered { .. } => "answered",
        Fact::LeavesByItself { .. } => "leaves-by-itself",
        Fact::PipeEnded { .. } => "pipe-ended",
        Fact::Silent { .. } => "silent",
        Fact::DrainTooLong { .. } => "drain-too-long",
        Fact::GroupTerminated { .. } => "group-terminated",
        Fact::Killed { .. } => "killed",
        Fact::Unkillable { .. } => "unkillable",
        Fact::Left { .. } => "left",
        Fact::GroupEnded { .. } => "group-ended",
        Fact::Exited { .. } => "exited",
        Fact::Leftovers { .. } => "leftovers",
        Fact::LeftoversAsked { .. } => "leftovers-asked",
        Fact::LeftBehind { .. } => "left-behind",
        Fact::LeftToPid1 { .. } => "left-to-pid-1",
        Fact::Quarantined { .. } => "quarantined",
        Fact::RestartQueued => "restart-queued",
        Fact::WaitsFor { .. } => "waits-for",
        Fact::StaysDown => "stays-down",
        Fact::Stopped => "stopped",
        Fact::Held { .. } => "held",
        Fact::LeftAlone { .. } => "left-alone",
        Fact::Signalled { .. } => "signalled",
        Fact::Ordered { .. } => "ordered",
        Fact::Holding { .. } => "holding",
        Fact::BindFailed { .. } => "bind-failed",
        Fact::BindRefused { .. } => "bind-refused",
        Fact::Restarting { .. } => "restarting",
        Fact::SelectorUnmatched { .. } => "selector-unmatched",
        Fact::NothingSelected => "nothing-selected",
        Fact::SelectorFileMissing { .. } => "selector-file-missing",
        Fact::SelectorRefused { .. } => "selector-refused",
        Fact::Mistake { .. } => "mistake",
        Fact::ReloadRefused { .. } => "reload-refused",
        Fact::Reloaded { .. } => "reloaded",
        Fact::Changed { .. } => "changed",
        Fact::ReloadIgnored => "reload-ignored",
        Fact::Succession(what) => succession::name(what),
        Fact::StoodStill { .. } => "stood-still",
        Fact::LogLost { .. } => "log-lost",
        Fact::Logs(fact) => logs::key(fact),
        Fact::Control(fact) => control::key(fact),
        Fact::TooManyLeaving { .. } => "too-many-leaving",
        Fact::Stopping { .. } => "stopping",
        Fact::StoppingNow { .. } => "stopping-now",
        Fact::StraySignal { .. } => "stray-signal",
        Fact::NotStarted { .. } => "not-started",
        Fact::Ended { .. } => "ended",
    }
}

/// What happened, and what happens next.
#[expect(clippy::too_many_lines, reason = "one list of all sentences, one look to compare them")]
pub(super) fn sentence(fact: &Fact) -> String {
    match fact {
        Fact::Started { definition, program_of } => {
            let command = beginning(&quoted(&definition.program.command));
            let what = match program_of {
                None => format!("started: {command}"),
                Some(kept) => format!("started the program of generation {kept}, which was kept: {command}"),
            };
            match definition.policy.ready {
                Ready::Started | Ready::Assumed => what,
                Ready::Word | Ready::Accepting | Ready::Probe(_) | Ready::Delay(_) => {
                    format!("{what}; it has {} to be ready", time(definition.policy.ready_timeout))
                }
            }
        }
        Fact::Ready { after } => format!("ready after {}", time(*after)),
        Fact::NotReady { timeout, awaited, last, next } => {
            let missed = missed(awaited.as_ref(), last.as_ref());
            format!("not ready after {}{missed}; sent SIGTERM; {}", time(*timeout), and_then(*next))
        }
        Fact::CheckMissed { misses, failures, miss } => {
            format!("check {misses} of {failures} failed: {}", answer(miss))
        }
        Fact::CheckNotMade { miss } => format!("its check could not be made: {}", answer(miss)),
        Fact::Unhealthy { sign, next } => format!("unhealthy: {}; {}", symptom(sign), and_then(*next)),
        Fact::HealthyAgain { after } => format!("healthy again, after {}", time(*after)),
        Fact::Reloading => "reads its configuration anew".into(),
        Fact::ReloadedItself { after } => {
            format!("has read its configuration anew, in {}", time(*after))
        }
        Fact::MainProcess { before: None } => "is its main process from now on".into(),
        Fact::MainProcess { before: Some(before) } => {
            format!("is its main process from now on, instead of {before}")
        }
        Fact::NotItsProcess { named } => {
            format!("said that {named} is its main process, which is not in its process group; ignored")
        }
        Fact::SaidStopping { next } => {
            format!("says that it is stopping, without being asked; {}", and_then(*next))
        }
        Fact::ProgramChanged => "the file of its program has changed; restarting".into(),
        Fact::TakenForReady { after } => {
            let after = time(*after);
            format!("not seen to accept within {after}; taken for ready, as `ready` says nothing else")
        }
        Fact::CannotBeSeen => "cannot be seen to accept (no permission, or io_uring); taken for ready".into(),
        Fact::Baking { bake_time } => {
            format!("serves; what it replaces is kept for {}", time(*bake_time))
        }
        Fact::SeenQuiet { after, drain_timeout } => format!(
            "seen to accept no more after {}; it has {} to finish",
            time(*after),
            time(*drain_timeout)
        ),
        Fact::Repaired { address, what } => repairs::sentence(address, *what),
        Fact::RolloutStopped { left } => {
            format!("the restart of a worker failed; {} not restarted", count(*left, "worker"))
        }
        Fact::SpawnFailed { failure, next } => {
            format!("could not be started: {}; {}", spawn_failure(failure), and_then(*next))
        }
        Fact::NotRestarted { failure, serves } => {
            format!("not restarted: {}; generation {serves} serves on", spawn_failure(failure))
        }
        Fact::Displaced { address, owner } => {
            format!("still serves {address}, which is {owner}'s by now; it makes way")
        }
        Fact::Asked { signal, leave, timeout } => {
            let (what, awaited) = match leave {
                Leave::Answers => ("stop accepting", "answer"),
                Leave::Ends => ("stop accepting", "exit"),
                Leave::HasNoSocket => ("stop", "exit"),
            };
            let (signal, limit) = (signal_name(*signal), time(*timeout));
            format!("asked to {what} ({signal}); its {awaited} is awaited for {limit}")
        }
        Fact::AskedTooEarly { again_in } => {
            format!("ignores the signal: its handler is not there; asked again in {}", time(*again_in))
        }
        Fact::Answered { word, after, drain_timeout } => format!(
            "answered {:?} after {}: it accepts no more and has {} to finish",
            text(*word),
            time(*after),
            time(*drain_timeout)
        ),
        Fact::LeavesByItself { word: Word::Failed, next } => {
            format!("wrote \"failed \": serving could not begin; {}", and_then(*next))
        }
        Fact::LeavesByItself { word, next } => {
            format!("wrote {:?} without being asked: it accepts no more; {}", text(*word), and_then(*next))
        }
        Fact::PipeEnded { end, left } => pipe_ended(*end, *left),
        Fact::Silent { after, stop_timeout } => {
            format!(
                "no answer after {}; sent SIGTERM; SIGKILL follows in {}",
                time(*after),
                time(*stop_timeout)
            )
        }
        Fact::DrainTooLong { after, by_itself, stop_timeout } => {
            let (after, limit) = (since(*after, *by_itself), time(*stop_timeout));
            format!("still there {after}; sent SIGTERM; SIGKILL follows in {limit}")
        }
        Fact::GroupTerminated { rest } => {
            let limit = time(*rest);
            format!("still there; sent SIGTERM to all of its process group; SIGKILL follows in {limit}")
        }
        Fact::Killed { timeout } => {
            format!("SIGTERM did not end it within {}; sent SIGKILL to its process group", time(*timeout))
        }
        Fact::Unkillable { after } => {
            let after = time(*after);
            format!("still there {after} after SIGKILL: it hangs in the kernel; going on without it")
        }
        Fact::Left { status, after, by_itself, group_left } => {
            let rest = if *group_left { "; other processes of its group still finish" } else { "" };
            format!("{} {}{rest}", ended(*status), since(*after, *by_itself))
        }
        Fact::GroupEnded { after, by_itself: true } => {
            format!("the last process of its group has ended, {}", since(*after, true))
        }
        Fact::GroupEnded { after, by_itself: false } => {
            format!("the last process of its group has ended, {} after the first signal", time(*after))
        }
        Fact::Exited { status, lived, before_ready, signalled, said, next } => {
            let (lived, next) = (time(*lived), and_then(*next));
            let who = if *signalled { "which an operator had sent" } else { "and nobody had asked it to" };
            let said =
                said.as_ref().map_or_else(String::new, |said| format!(" (it had said {:?})", said.as_str()));
            let hint = if ends_too_well(*status, *before_ready) {
                "; has it gone into the background? It has to stay in the foreground"
            } else {
                ""
            };
            format!("{} {lived} after its start, {who}{said}{hint}; {next}", exited(*status, *before_ready))
        }
        Fact::Leftovers { stop_timeout } => {
            let limit = time(*stop_timeout);
            format!("left processes of its group behind; sent them SIGTERM; SIGKILL follows in {limit}")
        }
        Fact::LeftoversAsked { signal, drain_timeout } => format!(
            "left processes of its group behind; asked them to finish ({}); SIGTERM follows in {}",
            signal_name(*signal),
            time(*drain_timeout)
        ),
        Fact::LeftBehind { first, all } => format!("left behind: {}", leftovers(first, *all)),
        Fact::LeftToPid1 { first, all, patience } => format!(
            "left without a service: {}; sent SIGTERM; what has not ended in {} dies with this PID 1",
            leftovers(first, *all),
            time(*patience)
        ),
        Fact::Quarantined { why } => format!(
            "left alone, for bootstrap has made a mistake: {why}; please report it; its processes serve on unwatched; \
             SIGKILL bootstrap and start it again, and they are taken over"
        ),
        Fact::RestartQueued => "restart asked for during a start; it follows once that is done".into(),
        Fact::StaysDown => "its policy does not bring it back any more; it stays down".into(),
        Fact::WaitsFor { names } if names.is_empty() => "starts when its last process has ended".into(),
        Fact::WaitsFor { names } => {
            let names: Vec<&str> = names.iter().map(ServiceName::as_str).collect();
            format!("starts when {} {} up", names.join(", "), if names.len() == 1 { "is" } else { "are" })
        }
        Fact::Stopped => "stopped".into(),
        Fact::Held { sockets: true } => "held: nothing is started until it is released; clients wait".into(),
        Fact::Held { sockets: false } => "held: nothing is started until it is released".into(),
        Fact::LeftAlone { held: true } => "held by an operator, and left so; `release` starts it".into(),
        Fact::LeftAlone { held: false } => {
            "stopped by an operator: not restarted; start it, or restart it by its name".into()
        }
        Fact::Signalled { signal } => format!("sent {}, as an operator asked", signal_name(*signal)),
        Fact::Ordered { verb, services } => {
            format!("an operator asked: {} {}", verb_words(*verb), count(*services, "service"))
        }
        Fact::Holding { sockets, services } => format!(
            "pid={} holds {} for {}; SIGUSR1 restarts, SIGHUP re-reads the config, SIGTERM stops",
            std::process::id(),
            count(*sockets, "socket"),
            count(*services, "service")
        ),
        Fact::BindFailed { failure, overlaps, drains } => {
            bind_failed(failure, overlaps.as_ref(), drains.as_ref())
        }
        Fact::BindRefused { failed, boot, orphans } => {
            let consequence = match (boot, orphans) {
                (false, _) => "nothing was changed".into(),
                (true, 0) => "nothing was started".into(),
                (true, _) => format!(
                    "nothing was started; the next start finds what a killed supervisor left: {}",
                    count(*orphans, "process")
                ),
            };
            format!("{} cannot be bound; {consequence}", count(*failed, "address"))
        }
        Fact::Restarting { services } => format!("SIGUSR1: restarting {}", count(*services, "service")),
        Fact::SelectorUnmatched { pattern } => {
            format!("SIGUSR1: {pattern:?} in BOOTSTRAP_SELECT matches no service")
        }
        Fact::NothingSelected => "SIGUSR1: BOOTSTRAP_SELECT selects nothing; nothing is restarted".into(),
        Fact::SelectorFileMissing { path } => {
            format!("SIGUSR1: env_file {} does not exist; the environment is asked instead", path.display())
        }
        Fact::SelectorRefused { reason } => format!("SIGUSR1: {reason}; nothing is restarted"),
        Fact::Mistake { text } => text.clone(),
        Fact::ReloadRefused { mistakes } => {
            format!("reload: {} in the config; nothing was changed", count(*mistakes, "mistake"))
        }
        Fact::Reloaded { applied: Applied { added, removed, restarted, in_place, untouched } } => format!(
            "reload: config applied: {added} added, {removed} removed, {restarted} restarted, \
             {in_place} changed in place, {untouched} untouched"
        ),
        Fact::Changed { change, at_start } => reloaded(change, *at_start),
        Fact::ReloadIgnored => "reload: everything is being stopped; the config is not read".into(),
        Fact::Succession(what) => succession::sentence(what),
        Fact::StoodStill { late } => stood_still(*late),
        Fact::LogLost { lines } => format!("{lines} log lines lost: stderr was not read"),
        Fact::Logs(fact) => logs::sentence(fact),
        Fact::Control(fact) => control::sentence(fact),
        Fact::TooManyLeaving { limit } => {
            format!("{limit} generations are leaving already; sent SIGTERM to this one, the oldest")
        }
        Fact::Stopping { services } => {
            format!("stopping {} gracefully; a second signal stops now", count(*services, "service"))
        }
        Fact::StoppingNow { processes } => {
            format!("stopping now: sent SIGKILL to {}", count(*processes, "run"))
        }
        Fact::StraySignal { signal } => format!("{}: it means nothing here; ignored", signal_name(*signal)),
        Fact::NotStarted { reason } => reason.clone(),
        Fact::Ended { outcome, crashed } => match outcome {
            Outcome::Stopped => "all services have stopped; bye".into(),
            Outcome::Done => "all services have ended well; nothing is left to do".into(),
            Outcome::Crashed => {
                format!(
                    "{} crashed, none is up and none can come back; giving up",
                    count(*crashed, "service")
                )
            }
            Outcome::BindRefused => "giving up".into(),
        },
    }
}

/// How a run ended that nobody had asked to.
pub(super) fn exited(status: ExitStatus, before_ready: bool) -> String {
    ended(status) + if ends_too_well(status, before_ready) { " before it was ready" } else { "" }
}

/// As a program does that goes on in the background.
fn ends_too_well(status: ExitStatus, before_ready: bool) -> bool {
    before_ready && status == ExitStatus::Code(0)
}

/// How long after whatever a run leaves for.
fn since(after: Duration, by_itself: bool) -> String {
    format!("{} after it {}", time(after), if by_itself { "said so" } else { "was asked" })
}

pub(super) fn and_then(next: Next) -> String {
    match next {
        Next::StartsNow(generation) => format!("starting generation {generation}"),
        Next::StartsIn(Some(generation), pause) => {
            format!("starting generation {generation} in {}", time(pause))
        }
        Next::StartsIn(None, pause) => format!("starting another in {}", time(pause)),
        Next::RestartsNow => "restarting it".into(),
        Next::RestartsIn(pause) => format!("restarting it in {}, unless it recovers", time(pause)),
        Next::LeftAlone => {
            "it is left alone (restart = \"no\"); `restart`, or SIGUSR1 to bootstrap, restarts it".into()
        }
        Next::OldServesOn(generation) => format!("the restart failed; generation {generation} serves on"),
        Next::SuccessorStarts(generation) => format!("generation {generation} is starting already"),
        Next::SuccessorServes(generation) => format!("generation {generation} serves already"),
        Next::RollsBack(generation) => {
            format!("the restart failed; going back to what ran before, as generation {generation}")
        }
        Next::Stopped => "the service is stopped; `start`, or SIGUSR1 to bootstrap, starts it again".into(),
        Next::Crashed => {
            "the service stays down (restart = \"no\"); `start`, or SIGUSR1 to bootstrap, starts it again"
                .into()
        }
        Next::Nothing => "it was to end anyway".into(),
    }
}

/// What shows that a process is sick.
fn symptom(sign: &Sign) -> String {
    let last = last_sign(sign);
    match sign {
        Sign::Checks { misses, .. } => {
            format!("{} failed in a row, the last one: {last}", count(*misses as usize, "check"))
        }
        Sign::Silence(_) | Sign::Trigger => last,
    }
}

/// The last of what shows it.
pub(super) fn last_sign(sign: &Sign) -> String {
    match sign {
        Sign::Checks { last, .. } => answer(last),
        Sign::Silence(period) => format!("it did not say within {} that it is alive", time(*period)),
        Sign::Trigger => "it says so itself".into(),
    }
}
