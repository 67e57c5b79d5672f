//! The decisions. Pure: no clock, no system call, no order that differs between runs.
//!
//! [`Supervisor::handle`] takes one [`Event`] and appends [`Action`]s; that is all there is to it.

mod above;
mod action;
mod adoption;
mod answer;
mod backoff;
pub mod candidate;
mod care;
mod cast;
mod deadlines;
mod displaced;
mod ending;
mod event;
mod fact;
pub mod generation;
mod goal;
mod guard;
mod handover;
pub mod health;
pub mod history;
pub mod invariants;
pub mod leaving;
mod life;
mod log_writer;
mod logs;
mod orders;
mod orphan;
mod outcome;
mod pack;
mod preflight;
mod proven;
mod pulse;
mod quarantine;
mod reconcile;
mod repair;
mod request;
mod rollout;
mod said;
mod scale;
mod scene;
mod sequence;
pub mod service;
mod services;
mod sight;
pub mod snapshot;
mod sockets;
mod standing;
pub mod state;
mod status_text;
mod succession;
mod supervisor;
mod survey;
mod tickets;
mod time;
mod turns;
mod upgrade;
mod watch;
pub mod worker;
mod writer;

pub use above::{Above, Message};
pub use action::{Action, Closeness, Hearing};
pub use answer::{Answer, Crew, Refusal, Verdict};
pub use event::{
    BindFailure, Event, ExitStatus, Leftover, Miss, Owner, PipeEnd, RunEvent, SpawnFailure, SpawnStage,
    UpgradeRefusal, WriterEvent,
};
pub use fact::{Applied, ControlFact, Fact, Leave, Next, Report};
pub use health::{Health, Sign};
pub use logs::LogFact;
pub use orphan::Orphan;
pub use outcome::Outcome;
pub use pack::{Growth, pack};
pub use repair::Repair;
pub use request::{Request, Ticket, Verb, Wait};
pub use sight::Sight;
pub use succession::{Succession, Unwanted};
pub use supervisor::Supervisor;
pub use time::Time;
