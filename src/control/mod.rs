//! What clients of the control socket want: each request becomes one for the core, or is answered from what is known.

mod definitions;
mod late;
mod order;
mod outcome;
mod overview;
mod status;
mod unknown;
mod upgrade;

use late::LateAnswers;

use crate::config::{Disk, Stamp};
use crate::core::{Answer, ControlFact, Event, Fact, Report, Request, Supervisor, Ticket, Time, Verb};
use crate::os::{ClientId, Heard, Os, Peer, Then};
use crate::plan::{Plan, Rights, Selector};
use crate::protocol::control::{ControlRequest, ErrorCode, Reply};
use crate::report::{self, Format};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

/// The clients that wait for something, and what they wait for.
pub struct Control {
    disk: Disk,
    began: Time,
    /// Answers that wait for what a run said last.
    late: LateAnswers,
    /// Who waits for the answer of the core.
    open: BTreeMap<Ticket, Open>,
    last: u64,
    /// Who is told what is reported, and by the number of which request.
    followers: BTreeMap<ClientId, Follower>,
}

/// A request that the core has not answered.
#[derive(Clone, Copy, Debug)]
struct Open {
    client: ClientId,
    id: u64,
    verb: Option<Verb>,
}

/// A client that is told what is reported.
struct Follower {
    id: u64,
    selector: Selector,
    /// Until its own request is answered; it knows what it asked for.
    waits: bool,
}

/// A request is either on its way, or answered with this.
type Answered = Result<(), Reply>;

impl Control {
    /// For a supervisor that began at this time with this config file.
    pub fn new(file: &Path, began: Time) -> Self {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.into());
        // After an upgrade the core may still have tickets of the program before: those numbers are not used again.
        let last = began.ms << 20;
        let late = LateAnswers::default();
        Self { disk: Disk::of(&file), began, late, open: BTreeMap::new(), last, followers: BTreeMap::new() }
    }

    /// The config file says this, as was found when it was read to be run.
    pub fn learn(&mut self, stamp: Stamp, found: Plan) {
        self.disk.learn(stamp, found);
    }

    /// Takes what a client did; what it wants of the core is posted, what is known is answered. Gives what there is
    /// to report.
    pub fn heard(
        &mut self,
        core: &Supervisor,
        os: &mut Os,
        client: ClientId,
        heard: Heard,
    ) -> Option<Report> {
        match heard {
            Heard::Line(peer, line) => {
                let (id, request) = ControlRequest::read(&line);
                let told = request.as_ref().ok().and_then(|request| command(request, peer));
                let result =
                    request.and_then(|request| self.requested(core, os, (client, id), peer, request));
                match result {
                    Ok(()) => told,
                    Err(reply) => {
                        os.answer(client, &reply.line(id), Then::Next);
                        None
                    }
                }
            }
            Heard::Gone => {
                self.followers.remove(&client);
                let gone: Vec<Ticket> = self
                    .open
                    .iter()
                    .filter(|(_, open)| open.client == client)
                    .map(|(ticket, _)| *ticket)
                    .collect();
                for ticket in gone {
                    self.open.remove(&ticket);
                    os.post(Event::TicketDropped(ticket));
                }
                None
            }
        }
    }

    fn requested(
        &mut self,
        core: &Supervisor,
        os: &mut Os,
        from: (ClientId, u64),
        peer: Peer,
        request: ControlRequest,
    ) -> Answered {
        if peer.rights < Rights::Full && !request.only_looks() {
            let message = "members of `control_group` may look, not act (`control_rights = \"read\"`)";
            return Err(Reply::error(ErrorCode::Forbidden, message));
        }
        match request {
            ControlRequest::Version {} => Err(self.version(peer)),
            ControlRequest::Status { services } => {
                if !os.has_room_for_answers() {
                    return Err(Reply::error(ErrorCode::Busy, "too many answers wait to be read; try again"));
                }
                let selector = order::selector(core, &mut self.disk, &services)?;
                status::answer(core, os, &mut self.disk, self.began, &selector, from);
                Ok(())
            }
            ControlRequest::Plan {} => Err(overview::plan(core, &mut self.disk)),
            ControlRequest::Events { services } => {
                let selector = order::selector(core, &mut self.disk, &services)?;
                os.answer(from.0, &Reply::Following {}.line(from.1), Then::More);
                self.followers.insert(from.0, Follower { id: from.1, selector, waits: false });
                Ok(())
            }
            ControlRequest::Start(order) => self.order(os, from, Verb::Start, &order.services, order.wait),
            ControlRequest::Stop(order) => self.order(os, from, Verb::Stop, &order.services, order.wait),
            ControlRequest::Restart(order) => {
                self.order(os, from, Verb::Restart, &order.services, order.wait)
            }
            ControlRequest::Hold(order) => self.order(os, from, Verb::Hold, &order.services, order.wait),
            ControlRequest::Release(order) => {
                self.order(os, from, Verb::Release, &order.services, order.wait)
            }
            ControlRequest::Wait { services } => self.order(os, from, Verb::Wait, &services, true),
            ControlRequest::Signal { services, signal } => {
                order::check_signal(signal)?;
                self.order(os, from, Verb::Signal(signal), &services, false)
            }
            ControlRequest::Reload { wait } => {
                if wait {
                    self.followers
                        .insert(from.0, Follower { id: from.1, selector: Selector::All, waits: true });
                }
                let ticket = self.ticket(from, None);
                os.post(Event::Request(Request::ReloadFor { ticket, wait: order::wait(wait) }));
                Ok(())
            }
            ControlRequest::Upgrade {} => {
                os.asks_for_upgrade(from.0, from.1);
                os.post(Event::Request(Request::Upgrade));
                Ok(())
            }
        }
    }

    /// Hands an order on to the core. While its client waits it is told what is reported of these services.
    fn order(
        &mut self,
        os: &mut Os,
        from: (ClientId, u64),
        verb: Verb,
        services: &[String],
        wait: bool,
    ) -> Answered {
        let selector = order::patterns(services)?;
        if wait {
            self.followers.insert(from.0, Follower { id: from.1, selector: selector.clone(), waits: true });
        }
        let ticket = self.ticket(from, Some(verb));
        let wait = order::wait(wait);
        os.post(Event::Request(Request::Order { ticket, verb, selector, wait }));
        Ok(())
    }

    fn ticket(&mut self, (client, id): (ClientId, u64), verb: Option<Verb>) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.open.insert(ticket, Open { client, id, verb });
        ticket
    }

    /// Tells a client what the core says became of its request.
    pub fn answered(&mut self, core: &Supervisor, os: &mut Os, ticket: Ticket, answer: Answer) {
        if let Some(answer) = self.late.keep(core, os, ticket, answer) {
            self.answer(core, os, ticket, &answer);
        }
    }

    /// Gives the answers that waited for what is known by now, or all of them where nothing more will come.
    pub fn answer_late(&mut self, core: &Supervisor, os: &mut Os, at_once: bool) {
        let late = if at_once { self.late.take_all() } else { self.late.take(os) };
        for (ticket, answer) in late {
            self.answer(core, os, ticket, &answer);
        }
    }

    /// When one must be given, if ever.
    pub fn deadline(&self) -> Option<Time> {
        self.late.deadline()
    }

    fn answer(&mut self, core: &Supervisor, os: &mut Os, ticket: Ticket, answer: &Answer) {
        if let Some(open) = self.open.remove(&ticket) {
            self.followers.remove(&open.client);
            let reply = outcome::reply(core, &mut self.disk, open.verb, answer);
            os.answer(open.client, &reply.line(open.id), Then::Next);
        }
    }

    /// Tells those who follow what is reported and when it was, and those who asked for an upgrade what came of it.
    pub fn reported(&self, os: &mut Os, report: &Report, at: SystemTime) {
        upgrade::reported(os, &report.fact);
        let is_command = matches!(report.fact, Fact::Control(ControlFact::Commanded { .. }));
        let concerns = |follower: &Follower| match &report.service {
            Some(name) => follower.selector.matches(name),
            None => follower.selector == Selector::All && !(is_command && follower.waits),
        };
        let mut line = None;
        for (client, follower) in self.followers.iter().filter(|(_, follower)| concerns(follower)) {
            let line = line.get_or_insert_with(|| report::format(report, at, Format::Json));
            os.tell(*client, follower.id, &Reply::event_line(follower.id, line));
        }
    }

    fn version(&self, peer: Peer) -> Reply {
        Reply::Version {
            program: env!("CARGO_PKG_VERSION").into(),
            pid: status::own_pid(),
            config: self.disk.path().display().to_string(),
            rights: match peer.rights {
                Rights::Read => "read".into(),
                Rights::Full => "full".into(),
            },
        }
    }
}

/// The report of who asked for what, where it changes something.
fn command(request: &ControlRequest, peer: Peer) -> Option<Report> {
    let command = order::in_words(request)?;
    let (uid, pid) = (peer.uid, peer.pid);
    Some(Report::of_supervisor(Fact::Control(ControlFact::Commanded { command, uid, pid })))
}
