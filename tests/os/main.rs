//! The OS layer against the real kernel.
//!
//! An `Os` reaps every child of the process it is in, so there is one at a time.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test names what it waits for; all else fails it")]

mod cgroups;
mod clean_child;
mod dialects;
mod failures;
mod groups;
mod identity;
mod pins;
mod repairs;
mod sight;
mod signals;
#[path = "../support/slice.rs"]
mod slice;
mod sockets;
mod watches;
mod world;
