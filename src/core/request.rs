//! What somebody wants of the supervisor.

use crate::plan::Selector;
use serde::{Deserialize, Serialize};

/// One request of a client. It is answered exactly once, by [`Action::Answer`](super::Action::Answer), unless the
/// client is gone first ([`Event::TicketDropped`](super::Event::TicketDropped)).
///
/// Whoever gives them out never uses one twice while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// What somebody wants of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// SIGUSR1: restart the services that `BOOTSTRAP_SELECT` names, or all.
    Restart,
    /// SIGHUP: read the config anew and apply it.
    Reload,
    /// SIGUSR2, or a client: become the program now on disk.
    Upgrade,
    /// SIGTERM, SIGINT: stop everything gracefully; the second time, now.
    Stop,
    /// SIGQUIT: stop everything now.
    StopNow,
    /// A client has an order for some services.
    Order {
        /// Its number.
        ticket: Ticket,
        /// What to do.
        verb: Verb,
        /// With whom.
        selector: Selector,
        /// When it wants its answer.
        wait: Wait,
    },
    /// A client wants the config read anew and applied.
    ReloadFor {
        /// Its number.
        ticket: Ticket,
        /// When it wants its answer. Whether the file was refused it is told in any case.
        wait: Wait,
    },
}

/// What a client wants done with services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// Start what is down. What is up, or held, is left as it is.
    Start,
    /// End its processes, park its sockets, and start it only when somebody names it.
    Stop,
    /// Replace its processes, without a client refused. What is held is left as it is, and so is what an operator
    /// stopped, unless its very name is given.
    Restart,
    /// End its processes and start none until it is released; clients queue.
    Hold,
    /// Start what is held.
    Release,
    /// Nothing: tell when it is up, or will not be.
    Wait,
    /// Send this signal to the main process of each run that serves.
    Signal(i32),
}

/// When a client wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// When it is known what became of its order.
    Outcome,
    /// At once: when the order was taken. Services that are not done yet are [`Verdict::Ordered`](super::Verdict::Ordered).
    Accepted,
}
