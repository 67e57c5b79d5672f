//! What comes next: the events in their order, the time, the clients, and then a wait for more.

use super::control::ControlSocket;
use super::poller::Token;
use super::records::Records;
use super::signals::Letter;
use super::{Input, Os, clock, memory};
use crate::core::{Event, Time};
use crate::limits::{BUSY_EVENTS, EXIT_PATIENCE};

impl Os {
    /// The next thing that happened and the time at which it is taken. Blocks until there is one or `deadline` has
    /// come, which is [`Event::DeadlinePassed`]; that is never kept back by others that keep coming. Clients are
    /// listened to one at a time: when nothing else is there, and else when they have their share of the time (`share.rs`).
    pub fn wait(&mut self, deadline: Option<Time>) -> (Time, Input) {
        self.share.ends(clock::now);
        loop {
            let now = self.now();
            // Until it is known whether the sockets are bound, nothing is true that a client could be told.
            let binds = matches!(self.events.front(), Some(Event::Bound | Event::BindRefused { .. }));
            if !binds && !self.events.is_empty() && self.share.comes(now) {
                self.look();
                if let Some(input) = self.control.as_mut().and_then(listen_to) {
                    self.share.begins(now);
                    return (now, input);
                }
            }
            if let Some(event) = self.events.pop_front() {
                self.busy_with = self.busy_with.saturating_add(1);
                return (now, Input::Event(event));
            }
            if let Some(by) = deadline.map(|by| self.standstill.put_off(by)).filter(|by| *by <= now) {
                // We may have stood still until long after it: what came in time is heard before.
                if self.looked_by != Some(by) {
                    self.looked_by = Some(by);
                    self.look();
                    continue;
                }
                self.standstill.ends();
                return (now, Input::Event(Event::DeadlinePassed));
            }
            self.log.end_turn(&self.poller);
            self.note_changes();
            self.hand_up();
            self.give_successor_up(now);
            self.events.extend(self.logs.deadline_passed(&self.poller, now));
            self.events.extend(self.processes.take_ends(&self.poller, now));
            if !self.events.is_empty() {
                continue;
            }
            if std::mem::take(&mut self.polled)
                && let Some(input) = self.control.as_mut().and_then(listen_to)
            {
                return (now, input);
            }
            self.lavish |= std::mem::take(&mut self.busy_with) >= BUSY_EVENTS;
            // Whoever takes an answer is not kept waiting for it; how long that may take has a bound.
            let takes_none = || !self.control.as_ref().is_some_and(ControlSocket::is_taken_from);
            if self.lavish && takes_none() {
                self.lavish = false;
                self.look();
                return (now, Input::Calm);
            }
            let at_once = self.control.as_ref().is_some_and(ControlSocket::has_news).then_some(now);
            let cut = self.control.as_ref().and_then(ControlSocket::deadline);
            let give_up = self.check.as_ref().map(|check| check.by);
            let ends = self.processes.ends_due(&self.poller);
            let deadline = deadline.map(|by| self.standstill.put_off(by));
            let logs = self.logs.deadline().into_iter().chain(self.log.tries_again(now)).min();
            let deadlines = [deadline, at_once, cut, give_up, ends, self.hand_up_at(), logs];
            let (began, by) = (self.now(), deadlines.into_iter().flatten().min());
            for token in self.wait_for_tokens(now, by) {
                self.take(token);
            }
            self.polled = true;
            let now = self.now();
            let stood_still = self.standstill.woke(began, by, now);
            self.events.extend(stood_still.map(|late| Event::StoodStill { late }));
            // What has just come goes first.
            self.share.waits(now);
            if let Some(control) = self.control.as_mut() {
                control.deadline_passed(&self.poller, now);
            }
        }
    }

    /// Blocks. Where all that has come is that servers will say no more, they are about to end, and are let do so.
    fn wait_for_tokens(&self, now: Time, deadline: Option<Time>) -> Vec<Token> {
        let tokens = self.poller.wait(now, deadline);
        if tokens.is_empty() || !tokens.iter().all(|token| matches!(token, Token::VoiceEnded(_))) {
            return tokens;
        }
        let now = self.now();
        let by = deadline.map_or(now + EXIT_PATIENCE, |deadline| deadline.min(now + EXIT_PATIENCE));
        let next = self.poller.wait(now, Some(by));
        tokens.into_iter().chain(next).collect()
    }

    /// Keeps no more room than it needs, once others have `packed` what they keep.
    pub fn give_back(&mut self, packed: impl FnOnce()) {
        packed();
        self.processes.pack();
        self.listeners.pack();
        self.records.iter_mut().for_each(Records::pack);
        memory::give_back();
    }

    /// Is there anything that [`wait`](Self::wait) gives out at once? Where there seems to be nothing, what became of runs
    /// is noted and the system looked at: one that was asked to leave answers within some ten microseconds.
    pub fn has_more(&mut self) -> bool {
        if self.events.is_empty() {
            self.note_changes();
            self.look();
        }
        !self.events.is_empty()
    }

    /// Takes what is there, without waiting.
    pub(super) fn look(&mut self) {
        let now = self.now();
        for token in self.poller.wait(now, Some(now)) {
            self.take(token);
        }
        self.polled = true;
    }

    pub(super) fn take(&mut self, token: Token) {
        match token {
            Token::Signal => self.signals.take().for_each(|letter| self.received(letter)),
            Token::SignalWaits => {
                if let Some(letter) = self.signals.take_waiting() {
                    self.received(letter);
                }
            }
            Token::Log => self.log.write(&self.poller),
            Token::Voice(number) => self.hear(number),
            Token::VoiceEnded(number) => {
                self.events.extend(self.processes.hear_end(&self.poller, number, clock::now()));
            }
            Token::Cgroup(number) => {
                self.events.extend(self.processes.count_again(&self.poller, number, clock::now()));
            }
            Token::Writer => self.events.extend(self.logs.hear(&self.poller, self.now())),
            Token::WriterEnded => self.events.extend(self.logs.writer_ended(&self.poller, self.now())),
            Token::LogBytes => self.logs.stirred(&self.poller, self.now()),
            Token::Successor => self.hear_successor(),
            Token::Adopted(leader) => {
                self.events.extend(self.processes.adopted_ended(&self.poller, leader, self.now()));
            }
            Token::Probe(number) => self.events.extend(self.probes.go_on(&self.poller, number)),
            Token::Watch => {
                let changed = self.watches.changed().into_iter();
                self.events.extend(changed.map(|service| Event::ProgramChanged { service }));
            }
            Token::Listener(id) => self.events.extend(self.listeners.mend(id)),
            Token::Control | Token::RuntimeDir | Token::Client(_) | Token::ClientGone(_) => {
                let now = self.now();
                if let (Some(control), Some(directory)) = (&mut self.control, &mut self.runtime_dir) {
                    control.take(&self.poller, directory, token, now);
                }
                if let (Token::RuntimeDir, Some(records)) = (token, &mut self.records) {
                    // Where it fails, the next SIGHUP tells so.
                    let _ = records.renew();
                }
                if token == Token::RuntimeDir {
                    self.note_writer_again();
                }
            }
        }
        self.mend_touched();
    }

    fn received(&mut self, letter: Letter) {
        match letter {
            Letter::Request(request) => self.events.push_back(Event::Request(request)),
            Letter::ChildEnded => self.reap(),
            Letter::Stray(signal) => self.events.push_back(Event::StraySignal(signal)),
        }
    }

    fn reap(&mut self) {
        self.events.extend(self.processes.reap(&self.poller, &mut self.probes, clock::now()));
    }

    /// Repairs the sockets of runs that said something or ended: servers that leave remove paths.
    pub(super) fn mend_touched(&mut self) {
        for id in self.processes.take_touched() {
            self.events.extend(self.listeners.mend_unwatched(id));
        }
    }
}

/// The next thing that the control socket has, if any.
fn listen_to(control: &mut ControlSocket) -> Option<Input> {
    if let Some(renewed) = control.take_renewed() {
        return Some(Input::ControlRenewed(renewed));
    }
    control.next().map(|(client, heard)| Input::Client(client, heard))
}
