//! From fields to a policy: how a service is treated.

use super::field::{Field, Reading};
use super::health::{self, Surroundings};
use super::notes::Notes;
use super::problem::Problem;
use super::raw::Service;
use super::value::{Gate, Pause, Signal, Surge, Timeout, Unavailable, Workers};
use crate::plan::{Check, Handshake, ListenerSpec, Policy, Ready};
use std::ops::Range;
use std::time::Duration;

/// Notes what is wrong between the keys of `[defaults]` already, whatever a service adds. Each key by itself was
/// reviewed.
pub(super) fn shared(raw: &Service<'_>, notes: &mut Notes<'_>) {
    delays(raw, notes);
    if let Reading::Good(delay) = raw.ready_delay.read_again(notes) {
        delay_in_time(raw, delay.value.0, notes);
    }
}

/// The policy, or nothing where a mistake was noted.
pub(super) fn of(
    raw: &Service<'_>,
    handshake: Option<Handshake>,
    listeners: Option<&[ListenerSpec]>,
    notes: &mut Notes<'_>,
) -> Option<Policy> {
    let default = Policy::default();
    let has_socket = raw.port.span().is_some() || listeners.is_some_and(|all| !all.is_empty());
    let restart = raw.restart.read(notes).or_default(default.restart);
    let restart_order = raw.restart_order.read(notes).or_default(default.restart_order);
    let bake_time = raw.bake_time.read(notes).or_default(Pause(default.bake_time));
    let rollback = raw.rollback.read(notes).or_default(default.rollback);
    let workers = raw.workers.read(notes).or_default(Workers(default.workers));
    let max_surge = raw.max_surge.read(notes).or_default(Surge(default.max_surge));
    let max_unavailable = raw.max_unavailable.read(notes).or_default(Unavailable(default.max_unavailable));
    let canary = raw.canary.read(notes).or_default(default.canary);
    let watch = raw.watch.read(notes).or_default(default.watch);
    // Where these are wrong, nothing is known of who may answer.
    let around = match (listeners, restart_order, &workers) {
        (Some(listeners), Some(order), Some(Workers(workers))) => {
            Some(Surroundings { listeners, order, workers: *workers })
        }
        (_, _, _) => None,
    };
    let check = if let Some(around) = &around {
        health::check(raw, around, notes).ok()
    } else {
        // What is wrong with it alone is told all the same.
        raw.check.read(notes);
        None
    };
    let ready = ready(raw, handshake, has_socket, around.as_ref().zip(check.as_ref()), notes);
    let stop_signal = raw.stop_signal.read(notes).map(Some).or_default(None);
    let ready_timeout = timeout(&raw.ready_timeout, default.ready_timeout, notes);
    let handover_timeout = timeout(&raw.handover_timeout, default.handover_timeout, notes);
    let drain_timeout = timeout(&raw.drain_timeout, default.drain_timeout, notes);
    let stop_timeout = timeout(&raw.stop_timeout, default.stop_timeout, notes);
    let healthy_after = raw.healthy_after.read(notes).or_default(Pause(default.healthy_after));
    let restart_delay = raw.restart_delay.read(notes).or_default(Pause(default.restart_delay));
    let restart_delay_max = raw.restart_delay_max.read(notes).or_default(Pause(default.restart_delay_max));
    delays(raw, notes);
    Some(Policy {
        restart: restart?,
        restart_order: restart_order?,
        ready: ready?,
        check: check?.map(Box::new),
        watch: watch?,
        bake_time: bake_time?.0,
        workers: workers?.0,
        max_surge: max_surge?.0,
        max_unavailable: max_unavailable?.0,
        canary: canary?,
        rollback: rollback?,
        ready_timeout: ready_timeout?,
        stop_signal: stop_signal?.map_or(handshake?.default_stop_signal(), |Signal(number)| number),
        handover_timeout: handover_timeout?,
        drain_timeout: drain_timeout?,
        stop_timeout: stop_timeout?,
        restart_delay: restart_delay?.0,
        restart_delay_max: restart_delay_max?.0,
        healthy_after: healthy_after?.0,
    })
}

fn timeout(field: &Field<'_, Timeout>, default: Duration, notes: &mut Notes<'_>) -> Option<Duration> {
    field.read(notes).or_default(Timeout(default)).map(|Timeout(time)| time)
}

/// `ready` and `ready_delay`, and whether the service has what they need.
fn ready(
    raw: &Service<'_>,
    handshake: Option<Handshake>,
    has_socket: bool,
    around: Option<(&Surroundings<'_>, &Option<Check>)>,
    notes: &mut Notes<'_>,
) -> Option<Ready> {
    let gate = raw.ready.read(notes);
    let delay = raw.ready_delay.read(notes);
    let (gate, span) = match gate {
        Reading::Wrong => return None,
        Reading::Absent => (None, 0..0),
        Reading::Good(at) => (Some(at.value), at.span),
    };
    if gate != Some(Gate::Delay)
        && let Some(span) = own_span(&raw.ready_delay)
    {
        notes.add(span, Problem::DelayUnused);
    }
    Some(match gate {
        None => Ready::Assumed,
        Some(Gate::Started) => Ready::Started,
        Some(Gate::Accepting) => {
            if !has_socket {
                notes.add(span, Problem::ReadyNeedsSocket);
            }
            Ready::Accepting
        }
        Some(Gate::Pipe) => word(Handshake::Pipe, Problem::ReadyNeedsPipe, handshake, span, notes),
        Some(Gate::Notify) => {
            let problem = Problem::ReadyNeedsHandshake { ready: "notify", handshake: "systemd" };
            word(Handshake::Systemd, problem, handshake, span, notes)
        }
        Some(Gate::Ack) => {
            let problem = Problem::ReadyNeedsHandshake { ready: "ack", handshake: "einhorn" };
            word(Handshake::Einhorn, problem, handshake, span, notes)
        }
        Some(Gate::Asks(asks)) => {
            let (around, check) = around?;
            health::ready(asks, span, check.as_ref(), around, notes)?
        }
        Some(Gate::Delay) => match delay {
            Reading::Wrong => return None,
            Reading::Absent => {
                notes.add(span, Problem::ReadyNeedsDelay);
                return None;
            }
            Reading::Good(at) => {
                delay_in_time(raw, at.value.0, notes);
                Ready::Delay(at.value.0)
            }
        },
    })
}

/// A word of a handshake makes it ready; `problem` where the service has another handshake.
fn word(
    of: Handshake,
    problem: Problem,
    handshake: Option<Handshake>,
    span: Range<usize>,
    notes: &mut Notes<'_>,
) -> Ready {
    if handshake.is_some_and(|handshake| handshake != of) {
        notes.add(span, problem);
    }
    Ready::Word
}

/// `ready_delay` must be over before `ready_timeout` is.
fn delay_in_time(raw: &Service<'_>, delay: Duration, notes: &mut Notes<'_>) {
    let default = Timeout(Policy::default().ready_timeout);
    let Some(Timeout(timeout)) = raw.ready_timeout.read_again(notes).or_default(default) else { return };
    if delay >= timeout
        && let Some(span) = own_span(&raw.ready_delay).or(own_span(&raw.ready_timeout))
    {
        notes.add(span, Problem::DelayPastTimeout { delay, timeout });
    }
}

/// `restart_delay_max` must not be shorter than `restart_delay`.
fn delays(raw: &Service<'_>, notes: &mut Notes<'_>) {
    let default = Policy::default();
    let delay = raw.restart_delay.read_again(notes).or_default(Pause(default.restart_delay));
    let max = raw.restart_delay_max.read_again(notes).or_default(Pause(default.restart_delay_max));
    if let (Some(Pause(delay)), Some(Pause(max))) = (delay, max)
        && delay > max
        && let Some(span) = own_span(&raw.restart_delay).or(own_span(&raw.restart_delay_max))
    {
        notes.add(span, Problem::DelayPastMax { delay, max });
    }
}

/// Where a key of the table itself stands. What is wrong between two keys that are both in `[defaults]` was noted
/// there.
fn own_span<T: super::field::Value>(field: &Field<'_, T>) -> Option<Range<usize>> {
    field.span().filter(|_| !field.is_inherited())
}
