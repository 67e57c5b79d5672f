//! What a server said, whichever way it talks.

use crate::core::{PipeEnd, RunEvent};
use crate::protocol::{Notice, Word};

/// What a server said, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A word.
    Word(Word),
    /// A notice.
    Notice(Notice),
    /// There will be no other word.
    End(PipeEnd),
    /// It will say no more, which is no news.
    Hangup,
}

impl Heard {
    /// What it is to the core, if anything.
    pub(super) fn event(self) -> Option<RunEvent> {
        match self {
            Self::Word(word) => Some(RunEvent::Said(word)),
            Self::Notice(notice) => Some(RunEvent::Notified(notice)),
            Self::End(end) => Some(RunEvent::PipeEnded(end)),
            Self::Hangup => None,
        }
    }
}
