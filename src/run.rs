//! The loop: one event, all the actions it caused, then the next event. No decision about a service is made here.

use crate::config;
use crate::control::Control;
use crate::core::{Action, ControlFact, Event, Fact, Outcome, Report, Supervisor};
use crate::exit::ExitCode;
use crate::os::{self, ClientId, Heard, Input, NoRuntimeDir, Os, Place, Renewed, RuntimeDir};
use crate::plan::{Plan, Selector, Settings};
use crate::report::{self, Format};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The variable that says which services a restart means.
const SELECT: &str = "BOOTSTRAP_SELECT";

/// Supervises until every service has ended.
///
/// # Errors
///
/// What the system refused before anything was bound or started.
pub fn run(file: &Path, plan: Plan, format: Format) -> Result<ExitCode, NotStarted> {
    let os = Os::new().map_err(NotStarted::System)?;
    let control = Control::new(file, os.now());
    let mut world = World { os, control, settings: Settings::default(), file: file.into(), format };
    world.os.tell_loss_as(move |lines| line(&Report::of_supervisor(Fact::LogLost { lines }), format));
    world.open_control(&plan.settings).map_err(NotStarted::NoRuntimeDir)?;
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
        match world.os.wait(core.deadline()) {
            (now, Input::Event(event)) => core.handle(now, event, &mut actions),
            (_, Input::Client(client, heard)) => world.heard(&core, client, heard),
            (_, Input::ControlRenewed(renewed)) => world.renewed(renewed),
        }
        world.follow(&core.plan().settings);
    }
}

/// Why the supervisor did not start.
#[derive(Debug)]
pub enum NotStarted {
    /// The system refuses something that it cannot do without.
    System(io::Error),
    /// It has no runtime directory, although one is configured; or another supervisor has it.
    NoRuntimeDir(NoRuntimeDir),
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "the system refuses to start it: {error}"),
            Self::NoRuntimeDir(why) => write!(f, "{why}"),
        }
    }
}

fn exit_code(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Stopped | Outcome::Done => ExitCode::Ok,
        Outcome::Crashed | Outcome::BindRefused => ExitCode::Failed,
    }
}

/// The system calls, and what only this program knows: its config file, its clients, and how it talks.
struct World {
    os: Os,
    control: Control,
    /// Those that the control socket follows.
    settings: Settings,
    file: PathBuf,
    format: Format,
}

impl World {
    /// Takes the runtime directory and listens in it. Without one by custom there are no commands; but where one was
    /// named, or another supervisor has it, there is no start.
    fn open_control(&mut self, settings: &Settings) -> Result<(), NoRuntimeDir> {
        let place = Place::of(settings.runtime_dir.as_deref(), &self.file);
        let opened =
            RuntimeDir::take(&place, &self.file).and_then(|directory| self.os.open_control(directory));
        self.settings.runtime_dir.clone_from(&settings.runtime_dir);
        self.follow(settings);
        match opened {
            Ok(()) => Ok(()),
            Err(why) if place.named || matches!(why, NoRuntimeDir::Held { .. }) => Err(why),
            Err(why) => {
                self.tell(ControlFact::Missing { reason: why.to_string() });
                Ok(())
            }
        }
    }

    /// Lets those speak to the control socket that the settings name.
    fn follow(&mut self, settings: &Settings) {
        if self.settings == *settings {
            return;
        }
        if self.settings.runtime_dir != settings.runtime_dir {
            self.tell(ControlFact::MovesLater);
        }
        self.settings = settings.clone();
        let gid = settings.control_group.as_ref().map(|group| group.gid);
        if let Err(error) = self.os.admit(gid, settings.control_rights) {
            let group = settings.control_group.as_ref().map(ToString::to_string).unwrap_or_default();
            self.tell(ControlFact::NotAdmitted { group, reason: error.to_string() });
        }
    }

    fn heard(&mut self, core: &Supervisor, client: ClientId, heard: Heard) {
        if let Some(report) = self.control.heard(core, &mut self.os, client, heard) {
            self.report(&report);
        }
    }

    fn renewed(&mut self, renewed: Renewed) {
        self.tell(match renewed {
            Renewed::Again => ControlFact::Again { path: self.os.control_path().unwrap_or_default() },
            Renewed::Failed(why) => ControlFact::Missing { reason: why.to_string() },
        });
    }

    fn tell(&mut self, fact: ControlFact) {
        self.report(&Report::of_supervisor(Fact::Control(fact)));
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::LoadPlan => {
                // Where nobody tells of removals, this is when they are noticed.
                self.os.look_after_control();
                self.os.post(load(&self.file));
            }
            Action::ReadSelector { env_file } => self.read_selector(env_file),
            Action::Report(report) => self.report(&report),
            Action::Answer { ticket, answer } => self.control.answered(&mut self.os, ticket, &answer),
            Action::Spawn { .. }
            | Action::Signal { .. }
            | Action::Ask { .. }
            | Action::Look { .. }
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
        self.control.reported(&mut self.os, report);
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
