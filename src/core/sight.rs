//! What can be seen of a run from outside, and what follows from that.

use serde::{Deserialize, Serialize};

/// What a look at a run's processes from outside shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sight {
    /// One of them waits for clients on a socket of the service.
    Accepting,
    /// None of them does at this moment. One that is busy with a request does not either.
    NotAccepting,
    /// None of them has a socket of the service open any more: they will not accept again.
    Closed,
    /// Nor does one of them wait, but there are connections that they have accepted: they are busy. Only a closer look shows it.
    Busy,
    /// It cannot be seen: no permission, or a way of waiting that leaves no trace.
    Hidden,
}

impl Sight {
    /// What is to be believed where nobody waits for it: who has a socket open may accept again.
    pub(super) fn beyond_doubt(self) -> Self {
        match self {
            Self::NotAccepting | Self::Busy => Self::Accepting,
            Self::Accepting | Self::Closed | Self::Hidden => self,
        }
    }
}
