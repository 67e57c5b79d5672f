//! A multi-service supervisor that holds the listen sockets.

pub mod cli;
pub mod config;
pub mod control;
pub mod core;
pub mod exit;
pub mod import;
pub mod limits;
pub mod metrics;
pub mod os;
pub mod plan;
pub mod protocol;
pub mod report;
pub mod run;
pub mod writer;
