//! The same server as `http.rs`, for systemd's protocols: `sd_listen_fds(3)` and `sd_notify(3)`.
//!
//! ```text
//! systemd [--name NAME] [--delay DURATION] [--grace DURATION]
//! ```
//!
//! Its sockets are the descriptors from 3 on, as many as `LISTEN_FDS` says, if `LISTEN_PID` is its own. It says
//! `READY=1` and `STOPPING=1` to `NOTIFY_SOCKET`, where there is one. SIGTERM asks it to leave.

#![expect(unsafe_code, reason = "descriptors arrive as numbers")]

mod serve;

use serve::Options;
use signal_hook::consts::SIGTERM;
use std::env;
use std::error::Error;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

fn main() -> Result<(), Box<dyn Error>> {
    let (asked, ask) = io::pipe()?;
    signal_hook::low_level::pipe::register(SIGTERM, ask)?;

    // A wrapper that forks has another pid: what it was given is not for us.
    if env::var("LISTEN_PID")? != std::process::id().to_string() {
        return Err("LISTEN_PID is not my pid: the sockets are for another process".into());
    }
    let count: u32 = env::var("LISTEN_FDS")?.parse()?;
    let listeners = (3..3 + count).filter_map(|number| serve::descriptor(&number.to_string())).collect();
    let (options, _) = Options::parse(env::args().skip(1))?;
    serve::run(options, listeners, &asked, || notify("READY=1"), |_| notify("STOPPING=1"))
}

/// Tells the supervisor, if it wants to be told.
fn notify(word: &str) -> io::Result<()> {
    let Ok(name) = env::var("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(word.as_bytes(), &address).map(drop)
}
