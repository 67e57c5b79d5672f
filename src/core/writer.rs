//! The process that writes logs: when there is one, and when another one takes its place.
//!
//! There is one while a service wants what it writes to go anywhere but where that of the supervisor goes. It is
//! supervised by the rule of services that crash; that it is away stops nobody, for what is written meanwhile is kept in
//! the pipes.

use super::event::WriterEvent;
use super::fact::{Fact, Report};
use super::generation::Run;
use super::log_writer::State;
use super::logs::LogFact;
use super::service::Service;
use super::supervisor::{Phase, Supervisor, report};
use super::worker::Worker;
use super::{Action, Time};
use crate::plan::{Definition, Pid, RunId, ServiceName};
use std::time::Duration;

impl Service {
    /// Does anything that it writes go through the log writer, or something that was started earlier?
    pub(super) fn is_captured(&self) -> bool {
        let captured = |definition: &Definition| definition.program.captured().next().is_some();
        let of = |run: &Run| captured(&run.definition);
        let stays = |worker: &Worker| worker.staying().any(of);
        let leaves = |worker: &Worker| worker.leaving.iter().any(|leaving| of(&leaving.run));
        captured(&self.definition) || self.workers.iter().any(|worker| stays(worker) || leaves(worker))
    }
}

impl Supervisor {
    /// Sees to it that there is a log writer exactly while one is needed.
    pub(super) fn attend_writer(&mut self, now: Time, out: &mut Vec<Action>) {
        let wanted = !self.captured.is_empty();
        match self.writer.state {
            State::Off if wanted => self.start_writer(now, out),
            State::Backoff { until } if wanted && until <= now => self.start_writer(now, out),
            State::Starting { .. } | State::Up { .. } | State::Backoff { .. } if !wanted => {
                self.writer.state = State::Off;
                out.push(Action::RetireWriter);
            }
            State::Off | State::Starting { .. } | State::Up { .. } | State::Backoff { .. } => {}
        }
    }

    fn start_writer(&mut self, now: Time, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Booting | Phase::Running | Phase::Stopping => {
                self.writer.state = State::Starting { since: now };
                out.push(Action::StartWriter);
            }
            Phase::Ended(_) => {}
        }
    }

    /// A run said this before it failed; or nothing, which is no news.
    pub(super) fn said_last(
        &mut self,
        run: RunId,
        service: ServiceName,
        pid: Pid,
        lines: Vec<String>,
        out: &mut Vec<Action>,
    ) {
        if lines.is_empty() {
            return;
        }
        if let Some(found) = self.services.get_mut(run.service)
            && let Some(failure) = &mut found.history.last_failure
            && failure.report.generation == Some(run.generation)
        {
            failure.words.clone_from(&lines);
        }
        out.push(of_run(run, service, pid, LogFact::LastWords { lines }));
    }

    pub(super) fn writer_happened(&mut self, event: WriterEvent, now: Time, out: &mut Vec<Action>) {
        let fact = match (event, self.writer.state) {
            (WriterEvent::Started { pid }, State::Starting { since }) => {
                self.writer.state = State::Up { since };
                LogFact::Writing { pid }
            }
            (WriterEvent::NotStarted(failure), State::Starting { .. }) => {
                let pause = self.writer.fail(Duration::ZERO, now);
                LogFact::NotStarted { failure, pause }
            }
            (WriterEvent::Ended { status }, State::Up { since } | State::Starting { since }) => {
                let pause = self.writer.fail(now - since, now);
                LogFact::WriterEnded { status, pause }
            }
            // It was retired before it was heard.
            (WriterEvent::Started { .. } | WriterEvent::NotStarted(_) | WriterEvent::Ended { .. }, _) => {
                return;
            }
            (WriterEvent::Unfinished { pid, waits }, _) => LogFact::Unfinished { pid, waits },
            (WriterEvent::Silent { after }, _) => LogFact::Silent { after },
            (WriterEvent::Failing { outlet, why }, _) => LogFact::Failing { outlet, why },
            (WriterEvent::NoThread { outlet, why }, _) => LogFact::NoThread { outlet, why },
            (WriterEvent::Recovered { outlet }, _) => LogFact::Recovered { outlet },
            (WriterEvent::Losing { outlet }, _) => LogFact::Losing { outlet },
            (WriterEvent::Lost { outlet, lines }, _) => LogFact::Lost { outlet, lines },
            (WriterEvent::NotFound { run, service, pid }, _) => {
                return out.push(of_run(run, service, pid, LogFact::NotFound));
            }
        };
        out.push(report(Fact::Logs(fact)));
    }
}

fn of_run(run: RunId, service: ServiceName, pid: Pid, fact: LogFact) -> Action {
    let (service, generation, pid) = (Some(service), Some(run.generation), Some(pid));
    Action::Report(Report { service, generation, pid, fact: Fact::Logs(fact) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Event, ExitStatus, Request, RunEvent};
    use crate::plan::{Generation, ServiceId};

    fn at(ms: u64) -> Time {
        Time { ms }
    }

    fn up(captured: bool) -> Supervisor {
        let stderr = if captured { "stderr = 'journal'" } else { "" };
        let text = format!("[[service]]\nname = 'a'\ncommand = ['/bin/true']\nready = 'started'\n{stderr}\n");
        let plan = crate::config::parse("a.toml", &text).unwrap();
        let mut out = Vec::new();
        let mut core = Supervisor::boot(plan, at(0), &mut out);
        core.handle(at(0), Event::Bound, &mut out);
        assert_eq!(out.contains(&Action::StartWriter), captured);
        core
    }

    fn writer(core: &mut Supervisor, ms: u64, event: WriterEvent) -> Vec<Action> {
        let mut out = Vec::new();
        core.handle(at(ms), Event::Writer(event), &mut out);
        assert_eq!(core.check(), Ok(()));
        out
    }

    fn ended() -> WriterEvent {
        WriterEvent::Ended { status: ExitStatus::Code(1) }
    }

    #[test]
    fn there_is_none_where_nothing_is_captured() {
        assert!(!up(false).writer.is_wanted());
    }

    #[test]
    fn one_that_ends_is_followed_by_another_at_once_and_then_after_pauses() {
        let mut core = up(true);
        writer(&mut core, 0, WriterEvent::Started { pid: Pid(5) });
        let out = writer(&mut core, 10, ended());
        assert!(out.contains(&Action::StartWriter), "{out:?}");
        writer(&mut core, 10, WriterEvent::Started { pid: Pid(6) });
        let out = writer(&mut core, 20, ended());
        assert!(!out.contains(&Action::StartWriter), "{out:?}");
        assert_eq!(core.deadline(), Some(at(220)));
        let mut out = Vec::new();
        core.handle(at(220), Event::DeadlinePassed, &mut out);
        assert_eq!(out, [Action::StartWriter]);
        writer(&mut core, 220, WriterEvent::Started { pid: Pid(7) });
        let out = writer(&mut core, 20_000, ended());
        assert!(out.contains(&Action::StartWriter), "a healthy life wipes it out: {out:?}");
    }

    #[test]
    fn it_is_retired_with_the_last_service_that_needs_it_and_its_end_is_then_no_news() {
        let mut core = up(true);
        writer(&mut core, 0, WriterEvent::Started { pid: Pid(5) });
        let run = RunId { service: ServiceId(1), generation: Generation(1) };
        let mut out = Vec::new();
        core.handle(at(1), Event::Run(run, RunEvent::Spawned { pid: Pid(9) }), &mut out);
        let plan = "[[service]]\nname = 'b'\ncommand = ['/bin/true']\n";
        let plan = crate::config::parse("a.toml", plan).unwrap();
        core.handle(at(2), Event::Request(Request::Reload), &mut out);
        core.handle(at(2), Event::PlanLoaded(Box::new(plan)), &mut out);
        assert!(!out.contains(&Action::RetireWriter), "it still writes: {out:?}");
        let exited = RunEvent::Exited { status: ExitStatus::Code(0), group_left: false };
        core.handle(at(3), Event::Run(run, exited), &mut out);
        assert!(out.contains(&Action::RetireWriter), "{out:?}");
        assert_eq!(writer(&mut core, 4, ended()), []);
    }
}
