//! Codecs between bytes and meaning: no I/O, no clock, no decision.

mod argv;
mod verdict;

pub use argv::{Granted, PlaceholderError, arguments, check, expand};
pub use verdict::{Word, WordReader};
