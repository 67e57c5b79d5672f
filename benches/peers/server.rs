//! The server of our examples, in the roles that the different supervisors have for one.

#![expect(unsafe_code, reason = "descriptors arrive as numbers")]

#[path = "../../examples/serve/mod.rs"]
mod serve;

use serve::Options;
use signal_hook::consts::{SIGTERM, SIGUSR1};
use socket2::{Domain, Socket, Type};
use std::error::Error;
use std::fs::File;
use std::io::{Write as _, pipe};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// How long it takes to start.
pub(crate) const DELAY: &str = "300ms";

/// Is that server: a role, and what the role needs.
pub(crate) fn serve(mut arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let role = arguments.next().ok_or("the role is missing")?;
    let (asked, ask) = pipe()?;
    let signal = if role == "handshake" { SIGUSR1 } else { SIGTERM };
    signal_hook::low_level::pipe::register(signal, ask)?;

    let (options, rest) = Options::parse(
        ["--delay", DELAY].map(String::from).into_iter().chain(descriptors(&role, arguments)?),
    )?;
    let mut listeners = rest;
    if role == "handshake" {
        let pipe = File::from(listeners.pop().ok_or("the pipe is missing")?);
        let say_quiet = |served: bool| (&pipe).write_all(if served { b"success" } else { b"failed " });
        return serve::run(options, listeners, &asked, || (&pipe).write_all(b"ready  "), say_quiet);
    }
    serve::run(options, listeners, &asked, || Ok(()), |_| Ok(()))
}

/// The numbers of its descriptors.
fn descriptors(
    role: &str,
    mut arguments: impl Iterator<Item = String>,
) -> Result<Vec<String>, Box<dyn Error>> {
    match role {
        "handshake" | "inherits" => Ok(arguments.collect()),
        "starter" => {
            let port = std::env::var("SERVER_STARTER_PORT")?;
            Ok(vec![port.rsplit_once('=').ok_or("it has no descriptor")?.1.into()])
        }
        "binds" => {
            let port = arguments.next().ok_or("the port is missing")?.parse()?;
            let number = std::os::fd::IntoRawFd::into_raw_fd(bound(port)?);
            Ok(vec![number.to_string()])
        }
        role => Err(format!("{role:?} is no role").into()),
    }
}

/// A socket that does not listen yet, as before the first moment of a server that sets up all else first.
fn bound(port: u16) -> std::io::Result<OwnedFd> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}
