//! What the core says became of a request, as its client is told.

use super::unknown::no_such_service;
use crate::config::Disk;
use crate::core::{Answer, Crew, Refusal, Report, Supervisor, Verb, Verdict};
use crate::limits::GENERATIONS_NAMED;
use crate::plan::{Generation, ServiceName};
use crate::protocol::control::{ErrorCode, Reply};
use crate::protocol::status::{AppliedCounts, ServiceOutcome};
use crate::report;

/// The reply for an answer to an order, or to a reload where there is no verb.
pub(super) fn reply(core: &Supervisor, disk: &mut Disk, verb: Option<Verb>, answer: &Answer) -> Reply {
    let words = |name: &ServiceName| words_of(core, name);
    match answer {
        Answer::NoSuchService { patterns } => no_such_service(core.plan(), disk, patterns.clone()),
        Answer::Refused(refusal) => refused(*refusal),
        Answer::Done { services } => done(verb, services, None, words),
        Answer::Reloaded { applied, services } => {
            let counts = AppliedCounts {
                added: applied.added,
                removed: applied.removed,
                restarted: applied.restarted,
                in_place: applied.in_place,
                untouched: applied.untouched,
            };
            done(verb, services, Some(counts), words)
        }
        Answer::ReloadRefused { reasons } => Reply::Error {
            code: ErrorCode::BadConfig,
            message: "the config is refused; nothing was changed".into(),
            details: reasons.iter().map(report::message).collect(),
        },
    }
}

fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Booting => Reply::error(ErrorCode::Booting, "the sockets are not bound yet; try again"),
        Refusal::Stopping => Reply::error(ErrorCode::Stopping, "everything is being stopped"),
        Refusal::TooManyTickets { limit } => {
            Reply::error(ErrorCode::Busy, format!("{limit} clients wait for an outcome already; try again"))
        }
    }
}

fn done(
    verb: Option<Verb>,
    services: &[(ServiceName, Verdict)],
    applied: Option<AppliedCounts>,
    words: impl Fn(&ServiceName) -> Vec<String>,
) -> Reply {
    let services: Vec<ServiceOutcome> = services
        .iter()
        .map(|(name, verdict)| {
            let last_words = verdict.failure().map_or_else(Vec::new, |_| words(name));
            ServiceOutcome { last_words, ..outcome(verb, name, verdict) }
        })
        .collect();
    Reply::Done { ok: services.iter().all(|service| service.ok), services, applied }
}

/// What the last run of a service that failed said last.
fn words_of(core: &Supervisor, name: &ServiceName) -> Vec<String> {
    let service = core.services().find(|service| service.definition.name == *name);
    service.map_or_else(Vec::new, |service| service.history.words_of_failure().to_vec())
}

fn outcome(verb: Option<Verb>, name: &ServiceName, verdict: &Verdict) -> ServiceOutcome {
    let (outcome, generation, message) = words(verdict);
    ServiceOutcome {
        service: name.as_str().into(),
        outcome: outcome.into(),
        ok: is_ok(verb, verdict),
        generation: generation.map(|generation| generation.0),
        message,
        last_words: Vec::new(),
    }
}

/// Is it as it was asked for?
fn is_ok(verb: Option<Verb>, verdict: &Verdict) -> bool {
    match verdict {
        // Nobody meant one that was put down and not named.
        Verdict::Ordered | Verdict::LeftHeld | Verdict::LeftStopped => true,
        Verdict::Up { .. } => {
            matches!(verb, None | Some(Verb::Start | Verb::Restart | Verb::Release | Verb::Wait))
        }
        // One that ends well by itself has done what it was started for, but it is not up.
        Verdict::Stopped => verb != Some(Verb::Wait),
        Verdict::Held => matches!(verb, None | Some(Verb::Hold)),
        Verdict::Signalled { processes } => *processes > 0,
        Verdict::Crashed { .. } | Verdict::Removed => verb == Some(Verb::Stop),
        Verdict::Failed { .. }
        | Verdict::Quarantined { .. }
        | Verdict::RolledBack { .. }
        | Verdict::Backoff { .. }
        | Verdict::WaitsFor { .. }
        | Verdict::Superseded { .. } => false,
    }
}

fn words(verdict: &Verdict) -> (&'static str, Option<Generation>, String) {
    match verdict {
        Verdict::Ordered => ("ordered", None, "ordered".into()),
        Verdict::Up { generation } => {
            ("up", Some(*generation), format!("up: generation {generation} serves"))
        }
        Verdict::Stopped => ("stopped", None, "stopped".into()),
        Verdict::Held => {
            ("held", None, "held: nothing is started, and clients wait, until it is released".into())
        }
        Verdict::LeftStopped => {
            ("stopped", None, "stopped by an operator, and left so; name it, or `start` it".into())
        }
        Verdict::LeftHeld => ("held", None, "held by an operator, and left so; `release` starts it".into()),
        Verdict::Signalled { processes: 1 } => ("signalled", None, "sent to 1 process".into()),
        Verdict::Signalled { processes } => ("signalled", None, format!("sent to {processes} processes")),
        Verdict::Failed { serving, crew, why } => {
            let serve = if crew.serving.len() > 1 { "serve" } else { "serves" };
            let (who, missing, cause) = (names(*serving, crew), missing(crew), cause(why.as_deref()));
            ("failed", Some(*serving), format!("the restart failed; {who} {serve} on{missing}{cause}"))
        }
        Verdict::RolledBack { generation, crew, why } => {
            let (who, missing, cause) = (names(*generation, crew), missing(crew), cause(why.as_deref()));
            let told = format!("the restart failed; what ran before serves, as {who}{missing}{cause}");
            ("rolled-back", Some(*generation), told)
        }
        Verdict::Crashed { why } => {
            ("crashed", None, format!("crashed, and stays down{}", because(why.as_deref())))
        }
        Verdict::Backoff { why } => (
            "backoff",
            None,
            format!("crashed, and is started again after a pause{}", because(why.as_deref())),
        ),
        Verdict::WaitsFor { names } => {
            let names: Vec<&str> = names.iter().map(ServiceName::as_str).collect();
            ("waits", None, format!("waits for {}", names.join(", ")))
        }
        Verdict::Quarantined { why } => {
            ("quarantined", None, format!("left alone{}", because(why.as_deref())))
        }
        Verdict::Removed => ("removed", None, "removed from the config meanwhile".into()),
        Verdict::Superseded { by } => {
            ("superseded", None, format!("somebody asked otherwise meanwhile: {}", report::verb_words(*by)))
        }
    }
}

/// Who serves after a restart that failed: `one` where there is no more than that. Many are counted.
fn names(one: Generation, crew: &Crew) -> String {
    let serving: Vec<String> = crew.serving.iter().map(ToString::to_string).collect();
    match serving.split_last() {
        Some((last, before @ [_, ..])) if serving.len() <= GENERATIONS_NAMED => {
            format!("generations {} and {last}", before.join(", "))
        }
        Some((_, [_, ..])) => format!("{} workers", serving.len()),
        Some((_, [])) | None => format!("generation {one}"),
    }
}

/// The workers that are missing.
fn missing(crew: &Crew) -> String {
    match crew.missing {
        0 => String::new(),
        1 => ", and 1 worker does not serve".into(),
        missing => format!(", and {missing} workers do not serve"),
    }
}

/// What failed, where the verdict itself says what followed.
fn cause(why: Option<&Report>) -> String {
    why.map_or_else(String::new, |why| format!(": {}", report::cause(why)))
}

/// What was reported of the failure.
fn because(why: Option<&Report>) -> String {
    why.map_or_else(String::new, |why| format!(": {}", report::failure(why)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{ExitStatus, Fact, Next};
    use std::time::Duration;

    fn failed(serving: &[u32], missing: usize, why: Option<Box<Report>>) -> Verdict {
        let crew = Crew { serving: serving.iter().copied().map(Generation).collect(), missing };
        Verdict::Failed { serving: crew.serving[0], crew, why }
    }

    #[test]
    fn all_that_serve_after_a_failed_restart_are_told_and_how_many_are_missing() {
        for (serving, missing, told) in [
            (&[2][..], 0, "generation 2 serves on"),
            (&[2], 1, "generation 2 serves on, and 1 worker does not serve"),
            (&[2, 3], 0, "generations 2 and 3 serve on"),
            (&[2, 3, 9], 2, "generations 2, 3 and 9 serve on, and 2 workers do not serve"),
            (&[1; GENERATIONS_NAMED + 1], 0, "5 workers serve on"),
        ] {
            assert_eq!(words(&failed(serving, missing, None)).2, format!("the restart failed; {told}"));
        }
        let crew = Crew { serving: vec![Generation(4), Generation(5)], missing: 0 };
        let back = Verdict::RolledBack { generation: Generation(5), crew, why: None };
        assert_eq!(words(&back).2, "the restart failed; what ran before serves, as generations 4 and 5");
    }

    #[test]
    fn what_followed_a_failed_restart_is_said_once() {
        let next = Next::OldServesOn(Generation(2));
        let fact = Fact::Exited {
            status: ExitStatus::Code(1),
            lived: Duration::from_millis(17),
            before_ready: true,
            signalled: false,
            said: None,
            next,
        };
        let report = Report { generation: Some(Generation(3)), ..Report::of_supervisor(fact) };
        let verdict = failed(&[2], 0, Some(report.into()));
        assert_eq!(
            words(&verdict).2,
            "the restart failed; generation 2 serves on: generation 3 ended with exit code 1 17ms after its start, and \
             nobody had asked it to"
        );
    }

    #[test]
    fn each_verb_has_its_own_idea_of_success() {
        let up = Verdict::Up { generation: Generation(2) };
        let crashed = Verdict::Crashed { why: None };
        let failed = failed(&[1], 0, None);
        for (verb, good, bad) in [
            (
                Some(Verb::Start),
                vec![&up, &Verdict::Stopped, &Verdict::Ordered],
                vec![&crashed, &Verdict::Held],
            ),
            (
                Some(Verb::Restart),
                vec![&up, &Verdict::LeftHeld, &Verdict::LeftStopped],
                vec![&crashed, &failed, &Verdict::Held],
            ),
            (Some(Verb::Stop), vec![&Verdict::Stopped, &crashed, &Verdict::Removed], vec![&up]),
            (Some(Verb::Hold), vec![&Verdict::Held], vec![&up, &crashed]),
            (Some(Verb::Wait), vec![&up], vec![&Verdict::Stopped, &crashed, &Verdict::Held]),
            (
                Some(Verb::Signal(1)),
                vec![&Verdict::Signalled { processes: 1 }],
                vec![&Verdict::Signalled { processes: 0 }],
            ),
            (None, vec![&up, &Verdict::Stopped], vec![&failed, &crashed]),
        ] {
            for verdict in good {
                assert!(is_ok(verb, verdict), "{verb:?} {verdict:?}");
            }
            for verdict in bad {
                assert!(!is_ok(verb, verdict), "{verb:?} {verdict:?}");
            }
        }
    }
}
