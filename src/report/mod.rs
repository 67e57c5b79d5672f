//! From facts to words: one report is one log line.

mod level;
mod line;
mod sentence;
mod succession;
mod words;

pub use level::Level;
pub use line::{Format, format};
