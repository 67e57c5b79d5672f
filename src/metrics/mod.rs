//! The supervisor's numbers for those who scrape them: OpenMetrics over HTTP.
//!
//! It is a service like others: a server on a socket that it was handed, with the pipe handshake.

mod client;
mod page;
mod server;
mod table;

pub use server::{Source, serve};
pub use table::{Kind, METRICS, Metric};
