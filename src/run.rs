//! The loop: one event, all the actions it caused, then the next event. No decision about a service is made here.

use crate::config;
use crate::core::snapshot::{self, Snapshot};
use crate::core::{Above, Action, Event, Fact, Orphan, Outcome, Report, Supervisor, Time};
use crate::exit::ExitCode;
use crate::os::{self, Kept, Left, Os, Place, RuntimeDir, Superior};
use crate::plan::{Plan, Selector, Settings};
use crate::report::{self, Format};
use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// The variable that says which services a restart means.
const SELECT: &str = "BOOTSTRAP_SELECT";

/// Supervises until every service has ended.
///
/// # Errors
///
/// What the system refused before anything was bound or started.
pub fn run(file: &Path, plan: Plan, format: Format) -> io::Result<ExitCode> {
    let os = Os::new()?;
    let mut world = World::new(os, file, format);
    let orphans = world.find_orphans(&plan.settings);
    let mut actions = Vec::new();
    let core = Supervisor::boot_among(plan, orphans, world.os.now(), &mut actions);
    Ok(world.supervise(core, actions))
}

/// Goes on where the program left off that this process was: the snapshot is in the descriptor.
///
/// # Errors
///
/// What the system refused, or why the snapshot is none. The program before has made sure that neither happens.
pub fn go_on(file: &Path, number: RawFd, format: Format) -> io::Result<ExitCode> {
    let left = Left::take(number)?;
    let Snapshot { program, mut core, beside } = snapshot::read(&left.text).map_err(io::Error::other)?;
    let (os, took) = Os::restore(beside, left)?;
    let mut actions = Vec::new();
    core.handle(os.now(), Event::Upgraded { from: program, took }, &mut actions);
    Ok(World::new(os, file, format).supervise(core, actions))
}

/// Can this program go on from the snapshot in the descriptor?
///
/// # Errors
///
/// Why not.
pub fn check_state(left: &Left) -> Result<(), String> {
    snapshot::read::<Kept>(&left.text).map(drop).map_err(|refused| refused.to_string())
}

/// Tells the manager above what it has to know after this event.
fn tell(superior: &Superior, above: &mut Above, core: &Supervisor, now: Time) {
    if let Some(message) = above.turn(core, now) {
        if superior.tell(&message.notices) {
            above.taken(&message, now);
        } else {
            above.refused(now);
        }
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
    /// What of the upgrade is to be done once all other actions are.
    upgrade: Option<Upgrade>,
}

/// A step of an upgrade, for which all of the core is written down.
#[derive(Clone, Copy)]
enum Upgrade {
    Check,
    Become,
}

impl World {
    fn new(os: Os, file: &Path, format: Format) -> Self {
        let mut world = Self { os, file: file.into(), format, upgrade: None };
        world.os.tell_loss_as(move |lines| line(&Report::of_supervisor(Fact::LogLost { lines }), format));
        world
    }

    /// The loop.
    fn supervise(mut self, mut core: Supervisor, mut actions: Vec<Action>) -> ExitCode {
        let superior = Superior::of_environment();
        let mut above = Above::new(superior.as_ref().and_then(Superior::watchdog), self.os.now());
        loop {
            for action in actions.drain(..) {
                self.perform(action);
            }
            if let Some(superior) = &superior {
                tell(superior, &mut above, &core, self.os.now());
            }
            if let Some(outcome) = core.outcome() {
                self.os.release();
                self.os.flush_log();
                return exit_code(outcome);
            }
            match self.upgrade.take() {
                None => {}
                Some(Upgrade::Check) => self.check_successor(&core),
                Some(Upgrade::Become) => self.os.become_successor(&|kept| snapshot::write(&core, kept)),
            }
            let deadline = core.deadline().into_iter().chain(above.deadline()).min();
            let (now, event) = self.os.wait(deadline);
            core.handle(now, event, &mut actions);
        }
    }

    /// Writes down in the runtime directory who runs, and finds those who ran when the last supervisor was killed.
    fn find_orphans(&mut self, settings: &Settings) -> Vec<Orphan> {
        let place = Place::of(settings.runtime_dir.as_deref(), &self.file);
        let taken = RuntimeDir::take(&place, &self.file).map_err(|why| why.to_string());
        let kept = taken.and_then(|held| self.os.keep_records(held).map_err(|error| error.to_string()));
        if let Err(why) = kept {
            self.report(&Report::of_supervisor(Fact::NoRecords { why }));
        }
        let (orphans, reports) = self.os.find_orphans(settings.orphans);
        reports.iter().for_each(|report| self.report(report));
        orphans
    }

    fn check_successor(&mut self, core: &Supervisor) {
        if self.os.check_successor(&|kept| snapshot::write(core, kept)) {
            let program = self.os.program().into();
            self.report(&Report::of_supervisor(Fact::UpgradeBegun { program }));
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::LoadPlan => self.os.post(load(&self.file)),
            Action::ReadSelector { env_file } => self.read_selector(env_file),
            Action::CheckSuccessor => self.upgrade = Some(Upgrade::Check),
            Action::BecomeSuccessor => self.upgrade = Some(Upgrade::Become),
            Action::Report(report) => self.report(&report),
            // Nobody has a ticket yet: there is no way to ask for one.
            Action::Answer { .. } => {}
            Action::Spawn { .. }
            | Action::Signal { .. }
            | Action::Adopt { .. }
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
