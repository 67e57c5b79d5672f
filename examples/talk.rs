//! A service that writes numbered lines: `NAME NUMBER xxx`, with NUMBER % 97 times an x.
//!
//! `talk --name NAME --lines N [--both] [--chunk BYTES] [--done FILE] [--then wait|REST|exit]`: with `--both` it writes to
//! stderr, too, under `NAME-err`. A chunk ends anywhere in a line. When all is written FILE is made; then it waits for a
//! signal, or says REST on stderr, without a newline, and ends with 3.

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let (mut name, mut lines, mut both, mut chunk) = (String::from("talk"), 0_u32, false, 4000);
    let (mut done, mut then) = (None, String::from("wait"));
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let mut value = || arguments.next().expect("a value");
        match &*option {
            "--name" => name = value(),
            "--lines" => lines = value().parse().expect("a number"),
            "--both" => both = true,
            "--chunk" => chunk = value().parse().expect("a number"),
            "--done" => done = Some(value()),
            "--then" => then = value(),
            _ => panic!("unknown option {option}"),
        }
    }
    let mut out = Chunks { to: io::stdout(), chunk, held: Vec::new() };
    let mut err = Chunks { to: io::stderr(), chunk, held: Vec::new() };
    for number in 0..lines {
        let rest = format!("{number} {}\n", "x".repeat(number as usize % 97));
        out.say(&format!("{name} {rest}"))?;
        if both {
            err.say(&format!("{name}-err {rest}"))?;
        }
    }
    out.flush()?;
    err.flush()?;
    if let Some(path) = done {
        File::create(path)?;
    }
    if then == "wait" {
        loop {
            std::thread::park();
        }
    }
    write!(io::stderr(), "{then}")?;
    Ok(ExitCode::from(3))
}

/// Writes chunks of one size, with one call each.
struct Chunks<W> {
    to: W,
    chunk: usize,
    held: Vec<u8>,
}

impl<W: Write> Chunks<W> {
    fn say(&mut self, line: &str) -> io::Result<()> {
        self.held.extend_from_slice(line.as_bytes());
        if self.held.len() >= self.chunk {
            let chunk: Vec<u8> = self.held.drain(..self.chunk).collect();
            self.to.write_all(&chunk)?;
            self.to.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.write_all(&std::mem::take(&mut self.held))?;
        self.to.flush()
    }
}
