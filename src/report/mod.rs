//! From facts to words: one report is one log line; a service and all that is known of it is a status.

mod control;
mod difference;
mod level;
mod line;
mod logs;
mod repairs;
mod sentence;
mod status;
mod succession;
mod weight;
mod words;

pub use difference::differences;
pub use level::Level;
pub use line::{Format, format, message, printable};
pub use status::{all_draining, cause, failure, of_service};
pub use words::{beginning, overlap, signal_name, spawn_failure, verb_words};
