//! A server that misbehaves, one option per sin. Without any it is merely dull.
//!
//! ```text
//! rude [SIN]... LISTEN_FD PIPE_FD
//!
//! before it serves:   --exit CODE   --die SIGNAL   --say WORD (as given)   --close-pipe   --deaf (to SIGTERM)
//!                     --late DURATION (installs its handler for SIGUSR1 after a while)
//! while it serves:    --exit-after REQUESTS CODE   --unasked (says success, accepts no more, stays)
//! when it is asked:   --mute (goes on serving)   --answer WORD   --pieces DURATION (a pause after each byte)
//!                     --twice   --hang-up (closes the pipe instead)   --stay (never ends)   --exit-asked CODE
//!                     --grandchild DURATION (outlives it, in its group, with the pipe)
//! ```

#![expect(unsafe_code, reason = "descriptors arrive as numbers")]
#![expect(clippy::disallowed_methods, reason = "sins need time, children, and sudden ends")]

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, listen};
use signal_hook::consts::{SIGTERM, SIGUSR1};
use signal_hook::low_level::{self, raise};
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::process::{Command, exit};
use std::thread::sleep;
use std::time::Duration;

/// What it does wrong.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct Sins {
    exit_after: Option<(u32, i32)>,
    unasked: bool,
    mute: bool,
    answer: Option<String>,
    pieces: Option<Duration>,
    twice: bool,
    hang_up: bool,
    stay: bool,
    exit_asked: i32,
    grandchild: Option<Duration>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(([options @ .., listener], pipe)) = args.split_last().map(|(pipe, rest)| (rest, pipe)) else {
        return Err("usage: rude [SIN]... LISTEN_FD PIPE_FD".into());
    };
    // SAFETY: both were opened for us, and nothing else in here knows the numbers.
    let (listener, pipe) =
        unsafe { (OwnedFd::from_raw_fd(listener.parse()?), OwnedFd::from_raw_fd(pipe.parse()?)) };
    let mut pipe = Some(File::from(pipe));

    let sins = commit_early_ones(options, &mut pipe)?;
    let (asked, ask) = io::pipe()?;
    low_level::pipe::register(SIGUSR1, ask)?;
    listen(&listener, Backlog::new(4096)?)?;
    if sins.unasked {
        drop(listener);
        say(pipe.as_mut(), b"success")?;
        forever();
    }
    serve(&TcpListener::from(listener), &asked, &sins)?;
    take_leave(pipe, &sins)
}

/// Reads the options; what is to be done before serving is done on the way, in their order.
fn commit_early_ones(options: &[String], pipe: &mut Option<File>) -> Result<Sins, Box<dyn Error>> {
    let mut sins = Sins::default();
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let mut value = || options.next().ok_or_else(|| format!("{option} needs a value"));
        match &**option {
            "--exit" => exit(value()?.parse()?),
            "--die" => raise(value()?.parse()?)?,
            "--say" => say(pipe.as_mut(), value()?.as_bytes())?,
            "--close-pipe" => *pipe = None,
            "--late" => sleep(humantime::parse_duration(value()?)?),
            // SAFETY: a handler that does nothing is safe to run at any time.
            "--deaf" => drop(unsafe { low_level::register(SIGTERM, || {}) }?),
            "--exit-after" => sins.exit_after = Some((value()?.parse()?, value()?.parse()?)),
            "--unasked" => sins.unasked = true,
            "--mute" => sins.mute = true,
            "--answer" => sins.answer = Some(value()?.clone()),
            "--pieces" => sins.pieces = Some(humantime::parse_duration(value()?)?),
            "--twice" => sins.twice = true,
            "--hang-up" => sins.hang_up = true,
            "--stay" => sins.stay = true,
            "--exit-asked" => sins.exit_asked = value()?.parse()?,
            "--grandchild" => sins.grandchild = Some(humantime::parse_duration(value()?)?),
            unknown => return Err(format!("{unknown} is no sin that I know").into()),
        }
    }
    Ok(sins)
}

/// Serves, one connection at a time, until it is asked to leave, or for ever.
fn serve(listener: &TcpListener, asked: &PipeReader, sins: &Sins) -> Result<(), Box<dyn Error>> {
    let mut requests = 0;
    loop {
        let mut fds = [asked.as_fd(), listener.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let watched = if sins.mute { &mut fds[1..] } else { &mut fds[..] };
        match poll(watched, PollTimeout::NONE) {
            Ok(_) if !sins.mute && fds[0].any() == Some(true) => return Ok(()),
            Ok(_) => {}
            Err(nix::Error::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let _ = answer(listener.accept()?.0);
        requests += 1;
        if let Some((limit, code)) = sins.exit_after
            && requests == limit
        {
            exit(code);
        }
    }
}

fn answer(mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = BufReader::new(&client);
    let mut line = String::new();
    while head.read_line(&mut line)? > 2 {
        line.clear();
    }
    let generation = std::env::var("BOOTSTRAP_GENERATION").unwrap_or_default();
    let body = format!("rude generation={generation} pid={}\n", std::process::id());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    client.write_all((head + &body).as_bytes())
}

/// Answers the supervisor in its own manner.
fn take_leave(mut pipe: Option<File>, sins: &Sins) -> Result<(), Box<dyn Error>> {
    if let Some(life) = sins.grandchild {
        // Born with our pipe: nobody made it close-on-exec.
        Command::new("sleep").arg(life.as_secs_f64().to_string()).spawn()?;
    }
    if sins.hang_up {
        pipe = None;
    }
    let answer = sins.answer.as_deref().unwrap_or("success").as_bytes();
    for _ in 0..=u8::from(sins.twice) {
        match sins.pieces {
            None => say(pipe.as_mut(), answer)?,
            Some(pause) => {
                for byte in answer {
                    say(pipe.as_mut(), &[*byte])?;
                    sleep(pause);
                }
            }
        }
    }
    if sins.stay {
        forever();
    }
    exit(sins.exit_asked)
}

fn say(pipe: Option<&mut File>, word: &[u8]) -> io::Result<()> {
    pipe.map_or(Ok(()), |pipe| pipe.write_all(word))
}

fn forever() -> ! {
    loop {
        sleep(Duration::from_secs(3600));
    }
}
