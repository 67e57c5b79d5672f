//! The loop: one event, all the actions it caused, then the next event. No decision about a service is made here.

use crate::config;
use crate::core::{Action, Event, Fact, Outcome, Report, Supervisor};
use crate::exit::ExitCode;
use crate::os::{self, Os};
use crate::plan::{Plan, Selector};
use crate::report::{self, Format};
use std::io;
use std::path::{Path, PathBuf};

/// The variable that says which services a restart means.
const SELECT: &str = "BOOTSTRAP_SELECT";

/// Supervises until every service has ended.
///
/// # Errors
///
/// What the system refused before anything was bound or started.
pub fn run(file: &Path, plan: Plan, format: Format) -> io::Result<ExitCode> {
    let mut world = World { os: Os::new()?, file: file.into(), format };
    world.os.tell_loss_as(move |lines| line(&Report::of_supervisor(Fact::LogLost { lines }), format));
    let mut actions = Vec::new();
    let mut core = Supervisor::boot(plan, world.os.now(), &mut actions);
    loop {
        for action in actions.drain(..) {
            world.perform(action);
        }
        if let Some(outcome) = core.outcome() {
            world.os.release();
            world.os.flush_log();
            return Ok(exit_code(outcome));
        }
        let (now, event) = world.os.wait(core.deadline());
        core.handle(now, event, &mut actions);
    }
}

fn exit_code(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Stopped | Outcome::Done => ExitCode::Ok,
        Outcome::Crashed | Outcome::BindRefused => ExitCode::Failed,
    }
}

/// The system calls, and what only this program knows: its config file and how it talks.
struct World {
    os: Os,
    file: PathBuf,
    format: Format,
}

impl World {
    fn perform(&mut self, action: Action) {
        match action {
            Action::LoadPlan => self.os.post(load(&self.file)),
            Action::ReadSelector { env_file } => self.read_selector(env_file),
            Action::Report(report) => self.report(&report),
            // Nobody has a ticket yet: there is no way to ask for one.
            Action::Answer { .. } => {}
            Action::Spawn { .. }
            | Action::Signal { .. }
            | Action::Ask { .. }
            | Action::Look { .. }
            | Action::Probe { .. }
            | Action::StopProbe { .. }
            | Action::Watch { .. }
            | Action::Unwatch { .. }
            | Action::Pin { .. }
            | Action::Unpin { .. }
            | Action::Terminate { .. }
            | Action::Kill { .. }
            | Action::Bind { .. }
            | Action::Configure { .. }
            | Action::Listen { .. }
            | Action::Park { .. }
            | Action::Close { .. } => self.os.perform(action),
        }
    }

    /// The selector in `env_file`, if it has one, else in our own environment; else everything.
    fn read_selector(&mut self, env_file: Option<PathBuf>) {
        let in_file = match env_file.as_deref().map(|path| os::variable_in_file(path, SELECT)) {
            Some(Err(reason)) => return self.os.post(Event::SelectorRefused { reason }),
            Some(Ok(value)) => value,
            None => None,
        };
        if let Some(path) = env_file.filter(|path| !path.exists()) {
            self.report(&Report::of_supervisor(Fact::SelectorFileMissing { path }));
        }
        let text = in_file.or_else(own_selector).unwrap_or_default();
        self.os.post(Event::SelectorRead(Selector::parse(&text)));
    }

    fn report(&mut self, report: &Report) {
        self.os.log(&line(report, self.format));
    }
}

/// The log line for a report that is made now.
pub fn line(report: &Report, format: Format) -> String {
    report::format(report, Os::wall_clock(), format)
}

fn load(file: &Path) -> Event {
    match config::load(file) {
        Ok(plan) => Event::PlanLoaded(Box::new(plan)),
        Err(refused) => Event::PlanRefused { mistakes: refused.lines() },
    }
}

/// What is no text matches no name: it must not be taken for an absent selector, which means everything.
fn own_selector() -> Option<String> {
    std::env::var_os(SELECT).map(|value| value.to_string_lossy().into_owned())
}
