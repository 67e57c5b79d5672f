//! The decisions. Pure: no clock, no system call, no order that differs between runs.
//!
//! [`Supervisor::handle`] takes one [`Event`] and appends [`Action`]s; that is all there is to it.

mod action;
mod backoff;
mod deadlines;
mod event;
mod fact;
pub mod invariants;
pub mod leaving;
mod life;
mod reconcile;
pub mod service;
mod supervisor;
mod time;

pub use action::Action;
pub use event::{
    BindFailure, Event, ExitStatus, Owner, PipeEnd, Repair, Request, RunEvent, Sight, SpawnFailure,
    SpawnStage,
};
pub use fact::{Fact, Next, Report};
pub use supervisor::{Outcome, Supervisor};
pub use time::Time;
