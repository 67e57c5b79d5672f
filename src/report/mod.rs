//! From facts to words: one report is one log line.

mod line;
mod sentence;
mod words;

pub use line::{Format, format};
pub use sentence::Level;
