//! The decisions. Pure: no clock, no system call, no order that differs between runs.

mod action;
mod event;
mod fact;
mod time;

pub use action::Action;
pub use event::{BindFailure, Event, ExitStatus, Owner, PipeEnd, Request, SpawnFailure, SpawnStage};
pub use fact::{Fact, Next, Report};
pub use time::Time;
