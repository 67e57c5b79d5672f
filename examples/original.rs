//! A server as it was written for the program that the pipe handshake comes from, not knowing of ours.
//!
//! Exactly two arguments, the listener and the pipe. It calls `listen` itself, makes the shared socket
//! non-blocking, and never says `ready  `. One connection at a time, one request each.

#![expect(unsafe_code, reason = "descriptors arrive as numbers")]

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, listen};
use signal_hook::consts::SIGUSR1;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let (asked, ask) = io::pipe()?;
    signal_hook::low_level::pipe::register(SIGUSR1, ask)?;

    let args: Vec<String> = std::env::args().collect();
    let [_, listener, pipe] = &args[..] else {
        return Err(format!("usage: original LISTEN_FD PIPE_FD, not {args:?}").into());
    };
    // SAFETY: both were opened for us, and nothing else in here knows the numbers.
    let (listener, pipe) =
        unsafe { (OwnedFd::from_raw_fd(listener.parse()?), OwnedFd::from_raw_fd(pipe.parse()?)) };
    let mut pipe = File::from(pipe);

    fcntl(&listener, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    if listen(&listener, Backlog::new(4096)?).is_err() {
        return Ok(pipe.write_all(b"failed ")?);
    }
    let listener = TcpListener::from(listener);
    loop {
        let mut fds = [&asked.as_fd(), &listener.as_fd()].map(|fd| PollFd::new(*fd, PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) if fds[0].any() == Some(true) => break,
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if let Ok((client, _)) = listener.accept() {
            // An error here is a client that went away.
            let _ = answer(client);
        }
    }
    drop(listener);
    // Where nobody reads it the supervisor was killed, and nobody waits for it.
    let _ = pipe.write_all(b"success");
    Ok(())
}

fn answer(mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = BufReader::new(&client);
    let mut line = String::new();
    while head.read_line(&mut line)? > 2 {
        line.clear();
    }
    let generation = std::env::var("BOOTSTRAP_GENERATION").unwrap_or_default();
    let body = format!("original generation={generation} pid={}\n", std::process::id());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    client.write_all((head + &body).as_bytes())
}
