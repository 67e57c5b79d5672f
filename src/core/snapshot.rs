//! The core as a text: what a supervisor hands to the program that it becomes.
//!
//! A snapshot is read back to an equal core, or not at all. Whoever adds a field that an older snapshot does not
//! have gives it a `#[serde(default)]`; whoever changes a meaning raises [`VERSION`] and reads both.

use super::Supervisor;
use crate::plan::shared::sharing;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version that is written.
pub const VERSION: u32 = 1;

/// Everything, as it is written; `beside` is what the system layer adds.
#[derive(Serialize)]
struct Written<'a, T> {
    version: u32,
    program: &'a str,
    core: &'a Supervisor,
    beside: &'a T,
}

/// What must be known before anything else is read.
#[derive(Deserialize)]
struct Head {
    version: u32,
    program: String,
}

/// Everything else.
#[derive(Deserialize)]
struct Body<T> {
    core: Supervisor,
    beside: T,
}

/// What a snapshot holds.
#[derive(Debug)]
pub struct Snapshot<T> {
    /// The version of the program that wrote it.
    pub program: String,
    /// The core.
    pub core: Supervisor,
    /// What the system layer added.
    pub beside: T,
}

/// Why a snapshot is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not JSON, or a field has no place here.
    Unreadable(String),
    /// Its version is none that is read here.
    Version {
        /// The version found.
        found: u32,
        /// The version of the program that wrote it.
        program: String,
    },
    /// What it says cannot be true of a core.
    Broken(String),
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "the snapshot cannot be read: {why}"),
            Self::Version { found, program } => {
                write!(f, "the snapshot of {program} has version {found}, this program reads {VERSION}")
            }
            Self::Broken(why) => write!(f, "the snapshot contradicts itself: {why}"),
        }
    }
}

/// Writes the core, and `beside` it what the system layer needs.
///
/// # Errors
///
/// What cannot be written, such as a path that is no text; nothing that comes out of a config file is.
pub fn write<T: Serialize>(core: &Supervisor, beside: &T) -> Result<String, String> {
    let written = Written { version: VERSION, program: env!("CARGO_PKG_VERSION"), core, beside };
    sharing(|| serde_json::to_string(&written)).map_err(|error| error.to_string())
}

/// Reads what [`write()`] wrote, now or in an older version, and sees that it holds together.
///
/// # Errors
///
/// The first reason why this cannot be the state of a supervisor.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<Snapshot<T>, Refused> {
    let unreadable = |error: serde_json::Error| Refused::Unreadable(error.to_string());
    let Head { version, program } = serde_json::from_str(text).map_err(unreadable)?;
    if version != VERSION {
        return Err(Refused::Version { found: version, program });
    }
    let Body { core, beside } = sharing(|| serde_json::from_str::<Body<T>>(text)).map_err(unreadable)?;
    core.check().map_err(Refused::Broken)?;
    Ok(Snapshot { program, core, beside })
}
