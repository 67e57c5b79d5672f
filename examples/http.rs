//! An HTTP/1.1 server that restarts without failing a request: the pipe handshake in full.
//!
//! ```text
//! http [--name NAME] [--delay DURATION] [--grace DURATION] LISTEN_FD... PIPE_FD
//! ```
//!
//! The descriptors come from the supervisor, which appends them to the command. What it serves and how it drains
//! is in `serve/mod.rs`; SIGUSR1 asks it to leave.

#![expect(unsafe_code, reason = "descriptors arrive as numbers")]

mod serve;

use serve::Options;
use signal_hook::consts::SIGUSR1;
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};

fn main() -> Result<(), Box<dyn Error>> {
    // First of all: from here on SIGUSR1 is a byte in a pipe and cannot be missed.
    let (asked, ask) = io::pipe()?;
    signal_hook::low_level::pipe::register(SIGUSR1, ask)?;

    let (options, mut fds) = Options::parse(std::env::args().skip(1))?;
    let pipe = match fds.pop() {
        Some(pipe) if !fds.is_empty() => File::from(pipe),
        _ => return Err("the last arguments must be LISTEN_FD PIPE_FD: start me from bootstrap".into()),
    };
    let say_ready = || (&pipe).write_all(b"ready  ");
    let say_quiet = |served: bool| (&pipe).write_all(if served { b"success" } else { b"failed " });
    serve::run(options, fds, &asked, say_ready, say_quiet)
}
