//! The OS layer against the real kernel.
//!
//! An `Os` reaps every child of the process it is in, so there is one at a time.

mod clean_child;
mod failures;
mod groups;
mod signals;
mod sockets;
mod world;
