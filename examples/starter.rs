//! The same server as `http.rs`, for the protocol of `Server::Starter`.
//!
//! ```text
//! starter [--name NAME] [--delay DURATION] [--grace DURATION]
//! ```
//!
//! Its sockets are in `SERVER_STARTER_PORT`, as `ADDRESS=NUMBER` with `;` between them, and which of the processes it
//! is in `SERVER_STARTER_GENERATION`. SIGTERM asks it to leave.

#![expect(unsafe_code, reason = "descriptors arrive as numbers")]

mod serve;

use serve::Options;
use signal_hook::consts::SIGTERM;
use std::env;
use std::error::Error;
use std::io;

fn main() -> Result<(), Box<dyn Error>> {
    let (asked, ask) = io::pipe()?;
    signal_hook::low_level::pipe::register(SIGTERM, ask)?;

    let ports =
        env::var("SERVER_STARTER_PORT").map_err(|_| "no SERVER_STARTER_PORT: start me from a starter")?;
    let listeners = ports.split(';').map(|port| {
        let number = port.rsplit_once('=').map_or(port, |(_, number)| number);
        serve::descriptor(number).ok_or_else(|| format!("{port:?} has no descriptor"))
    });
    let listeners = listeners.collect::<Result<_, _>>()?;
    let (mut options, _) = Options::parse(env::args().skip(1))?;
    if let Ok(generation) = env::var("SERVER_STARTER_GENERATION") {
        options.generation = generation;
    }
    serve::run(options, listeners, &asked, || Ok(()), |_| Ok(()))
}
