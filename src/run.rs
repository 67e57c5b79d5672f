//! The loop: one event, all the actions it caused, then the next event. No decision about a service is made here.

use crate::config::{self, Loaded};
use crate::control::Control;
use crate::core::snapshot::{self, Snapshot};
use crate::core::{
    Above, Action, ControlFact, Event, Fact, Orphan, Outcome, Report, Succession, Supervisor, Time,
};
use crate::exit::ExitCode;
use crate::limits::REPORTS;
use crate::os::{
    self, ClientId, Heard, Input, Kept, Left, NoRuntimeDir, Os, Place, Renewed, RuntimeDir, Superior,
};
use crate::plan::{Plan, Selector, Settings};
use crate::report::{self, Format};
use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

mod not_started;
pub use not_started::NotStarted;

/// The variable that says which services a restart means.
const SELECT: &str = "BOOTSTRAP_SELECT";

/// Supervises until every service has ended.
///
/// # Errors
///
/// What the system refused before anything was bound or started.
pub fn run(file: &Path, loaded: Loaded, format: Format) -> Result<ExitCode, NotStarted> {
    let Loaded { plan, stamp } = loaded;
    os::make_room(plan.descriptors()).map_err(NotStarted::TooFewDescriptors)?;
    let os = Os::new().map_err(NotStarted::System)?;
    let mut world = World::new(os, file, format);
    world.take_runtime_dir(&plan.settings).map_err(NotStarted::NoRuntimeDir)?;
    let orphans = world.find_orphans(&plan.settings);
    world.look_for_room(&plan);
    world.control.learn(stamp, plan.clone());
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
    core.drop_clients();
    let (os, took) = Os::restore(beside, left)?;
    let mut actions = Vec::new();
    core.handle(os.now(), Event::Upgraded { from: program, took }, &mut actions);
    let mut world = World::new(os, file, format);
    world.open_control(&core.plan().settings);
    Ok(world.supervise(core, actions))
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

/// The system calls, and what only this program knows: its config file, its clients, and how it talks.
struct World {
    os: Os,
    control: Control,
    /// Those that the control socket follows.
    settings: Settings,
    file: PathBuf,
    format: Format,
    /// What of the upgrade is to be done once all other actions are.
    upgrade: Option<Upgrade>,
    /// Whether it is to be seen that all who run are written down.
    reloads: bool,
    /// What is to be told in this turn, and since when: whoever is asked or started does not wait for its wording.
    reports: Vec<(SystemTime, Report)>,
}

/// A step of an upgrade, for which all of the core is written down.
#[derive(Clone, Copy)]
enum Upgrade {
    Check,
    Become,
}

impl World {
    fn new(os: Os, file: &Path, format: Format) -> Self {
        let (control, settings) = (Control::new(file, os.now()), Settings::default());
        let (upgrade, reloads, reports) = (None, false, Vec::new());
        let mut world = Self { os, control, settings, file: file.into(), format, upgrade, reloads, reports };
        world.os.tell_loss_as(move |lines| line(&Report::of_supervisor(Fact::LogLost { lines }), format));
        world
    }

    /// The loop.
    fn supervise(mut self, mut core: Supervisor, mut actions: Vec<Action>) -> ExitCode {
        let superior = Superior::of_environment();
        let mut above = Above::new(superior.as_ref().and_then(Superior::watchdog), self.os.now());
        loop {
            for action in actions.drain(..) {
                self.perform(&core, action);
            }
            self.answer_late(&core, false);
            if let Some(superior) = &superior {
                tell(superior, &mut above, &core, self.os.now());
            }
            if let Some(outcome) = core.outcome() {
                // Clients are told what was said last while they can be.
                if self.control.deadline().is_some() {
                    self.flush_logs(&mut core);
                    self.answer_late(&core, true);
                }
                // Who follows is told while there is a connection.
                self.tell_reports();
                let end = if outcome == Outcome::BindRefused { Os::leave } else { Os::release };
                end(&mut self.os);
                self.flush_logs(&mut core);
                if let Some(left) = self.os.left_to_pid_1() {
                    self.report(Report::of_supervisor(left));
                }
                self.tell_reports();
                self.os.flush_log();
                self.os.end_the_rest();
                // The process ends: to give its memory back piece by piece would take a while, and nobody needs that.
                std::mem::forget(core);
                return exit_code(outcome);
            }
            if std::mem::take(&mut self.reloads) {
                self.os.write_down_again(core.runs());
            }
            match self.upgrade.take() {
                None => {}
                Some(Upgrade::Check) => self.check_successor(&core),
                Some(Upgrade::Become) => {
                    self.tell_reports();
                    self.control.before_upgrade(&mut self.os);
                    self.os.become_successor(&|kept| snapshot::write(&core, kept));
                }
            }
            if self.reports.len() >= REPORTS || !self.reports.is_empty() && !self.os.has_more() {
                self.tell_reports();
            }
            let deadline =
                [core.deadline(), above.deadline(), self.control.deadline()].into_iter().flatten().min();
            match self.os.wait(deadline) {
                (now, Input::Event(event)) => core.handle(now, event, &mut actions),
                (_, Input::Client(client, heard)) => self.heard(&core, client, heard),
                (_, Input::ControlRenewed(renewed)) => self.renewed(&core, renewed),
                (_, Input::Calm) => self.os.give_back(|| core.pack()),
            }
            if let Some(settings) = core.settings() {
                self.follow(settings);
            }
        }
    }

    /// Gives the answers that have waited; who has one has heard what led to it.
    fn answer_late(&mut self, core: &Supervisor, at_once: bool) {
        if self.control.deadline().is_some() {
            self.tell_reports();
            self.control.answer_late(core, &mut self.os, at_once);
        }
    }

    /// Has the logs of services written, and tells what comes of it.
    fn flush_logs(&mut self, core: &mut Supervisor) {
        let mut actions = Vec::new();
        for event in self.os.flush_logs() {
            core.handle(self.os.now(), event, &mut actions);
        }
        actions.drain(..).for_each(|action| self.perform(core, action));
    }

    /// Takes the runtime directory and listens in it. Without one by custom there are no commands; but where one was
    /// named, or another supervisor has it, there is no start.
    fn take_runtime_dir(&mut self, settings: &Settings) -> Result<(), NoRuntimeDir> {
        let place = Place::of(settings.runtime_dir.as_deref(), &self.file);
        let taken = RuntimeDir::take(&place, &self.file);
        let fatal = |why: &NoRuntimeDir| place.named || matches!(why, NoRuntimeDir::Held { .. });
        if !taken.as_ref().is_err_and(fatal) {
            self.tell(ControlFact::Begins { config: self.file.clone() });
        }
        match taken {
            Ok(directory) => self.os.hold(directory),
            Err(why) if fatal(&why) => return Err(why),
            Err(why) => self.tell(ControlFact::Missing { reason: why.to_string() }),
        }
        self.open_control(settings);
        Ok(())
    }

    fn open_control(&mut self, settings: &Settings) {
        if let Err(why) = self.os.open_control() {
            self.tell(ControlFact::Missing { reason: why.to_string() });
        }
        self.settings.runtime_dir.clone_from(&settings.runtime_dir);
        self.follow(settings);
    }

    /// Lets those speak to the control socket that the settings name.
    fn follow(&mut self, settings: &Settings) {
        if self.settings == *settings {
            return;
        }
        // Where it was changed back, it is where the file says.
        let there = || Place::socket(&Place::of(settings.runtime_dir.as_deref(), &self.file).path);
        if self.settings.runtime_dir != settings.runtime_dir && self.os.control_path() != Some(there()) {
            self.tell(ControlFact::MovesLater);
        }
        self.settings = settings.clone();
        let gid = settings.control_group.as_ref().map(|group| group.gid);
        // Where nobody is to be let in, nobody is, whatever the modes are.
        if let (Err(error), Some(group)) =
            (self.os.admit(gid, settings.control_rights), &settings.control_group)
        {
            let group = group.to_string();
            self.tell(ControlFact::NotAdmitted { group, reason: error.to_string() });
        }
    }

    fn heard(&mut self, core: &Supervisor, client: ClientId, heard: Heard) {
        // What was before is not told to one that follows from now on.
        self.tell_reports();
        if let Some(report) = self.control.heard(core, &mut self.os, client, heard) {
            self.report(report);
        }
    }

    fn renewed(&mut self, core: &Supervisor, renewed: Renewed) {
        self.os.write_down_again(core.runs());
        self.tell(match renewed {
            Renewed::Again => ControlFact::Again { path: self.os.control_path().unwrap_or_default() },
            Renewed::Failed(why) => ControlFact::Missing { reason: why.to_string() },
        });
    }

    fn tell(&mut self, fact: ControlFact) {
        self.report(Report::of_supervisor(Fact::Control(fact)));
    }

    /// Writes down in the runtime directory who runs, and finds those who ran when the last supervisor was killed.
    fn find_orphans(&mut self, settings: &Settings) -> Vec<Orphan> {
        if let Err(error) = self.os.keep_records() {
            let why = error.to_string();
            self.report(Report::of_supervisor(Fact::Succession(Succession::NoRecords { why })));
        }
        let (orphans, reports) = self.os.find_orphans(settings.orphans);
        self.reports.extend(reports.into_iter().map(|report| (Os::wall_clock(), report)));
        orphans
    }

    /// Says so where the manager above keeps fewer sockets than there are.
    fn look_for_room(&mut self, plan: &Plan) {
        let sockets = plan.services.iter().map(|service| service.listeners.len()).sum();
        if let Some(room) = self.os.store_room().filter(|room| *room < sockets) {
            let what = Succession::StoreTooSmall { sockets, room };
            self.report(Report::of_supervisor(Fact::Succession(what)));
        }
    }

    /// Reads the file anew, beside the plan that runs.
    fn load(&mut self, running: &Plan) -> Event {
        let Loaded { mut plan, stamp } = match config::load_to_run(&self.file) {
            Ok(loaded) => loaded,
            Err(refused) => return Event::PlanRefused { mistakes: refused.lines() },
        };
        plan.share_with(running);
        self.control.learn(stamp, plan.clone());
        if let Err(why) = os::make_more_room(plan.descriptors()) {
            return Event::PlanRefused { mistakes: vec![format!("{}: {why}", self.file.display())] };
        }
        self.look_for_room(&plan);
        Event::PlanLoaded(Box::new(plan))
    }

    fn check_successor(&mut self, core: &Supervisor) {
        if self.os.check_successor(&|kept| snapshot::write(core, kept)) {
            let program = self.os.program().into();
            self.report(Report::of_supervisor(Fact::Succession(Succession::UpgradeBegun { program })));
        }
    }

    fn perform(&mut self, core: &Supervisor, action: Action) {
        match action {
            Action::LoadPlan => {
                // Where nobody tells of removals, this is when they are noticed.
                self.os.look_after_control();
                self.reloads = true;
                let event = self.load(core.plan());
                self.os.post(event);
                self.os.be_small();
            }
            Action::ReadSelector { env_file } => self.read_selector(env_file),
            Action::CheckSuccessor => self.upgrade = Some(Upgrade::Check),
            Action::BecomeSuccessor => self.upgrade = Some(Upgrade::Become),
            Action::Report(report) => self.report(report),
            Action::Answer { ticket, answer } => {
                // Who has the answer has heard what led to it.
                self.tell_reports();
                self.control.answered(core, &mut self.os, ticket, answer);
            }
            Action::Spawn { .. }
            | Action::Signal { .. }
            | Action::Adopt { .. }
            | Action::NoteServing { .. }
            | Action::Ask { .. }
            | Action::Look { .. }
            | Action::Preflight { .. }
            | Action::Probe { .. }
            | Action::StopProbe { .. }
            | Action::Watch { .. }
            | Action::Unwatch { .. }
            | Action::Pin { .. }
            | Action::Unpin { .. }
            | Action::NameLeftovers { .. }
            | Action::TellLastWords { .. }
            | Action::StartWriter
            | Action::RetireWriter
            | Action::Terminate { .. }
            | Action::AskGroup { .. }
            | Action::TerminateGroup { .. }
            | Action::Kill { .. }
            | Action::Bind { .. }
            | Action::Configure { .. }
            | Action::Listen { .. }
            | Action::Park { .. }
            | Action::LeaveSockets
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
            self.report(Report::of_supervisor(Fact::SelectorFileMissing { path }));
        }
        // What is no text matches no name: it must not be taken for an absent selector, which means everything.
        let own = || std::env::var_os(SELECT).map(|value| value.to_string_lossy().into_owned());
        let text = in_file.or_else(own).unwrap_or_default();
        let event = match Selector::parse(&text) {
            Selector::All if !text.is_empty() => {
                Event::SelectorRefused { reason: format!("{SELECT} is {text:?}, which names no service") }
            }
            selector @ (Selector::All | Selector::Patterns(_)) => Event::SelectorRead(selector),
        };
        self.os.post(event);
    }

    fn report(&mut self, report: Report) {
        self.reports.push((Os::wall_clock(), report));
    }

    /// Tells what was reported since the last call.
    fn tell_reports(&mut self) {
        for (at, report) in self.reports.drain(..) {
            self.os.log(&report::format(&report, at, self.format));
            self.control.reported(&mut self.os, &report, at);
        }
        self.reports.shrink_to(REPORTS);
    }
}

/// The log line for a report that is made now.
pub fn line(report: &Report, format: Format) -> String {
    report::format(report, Os::wall_clock(), format)
}
