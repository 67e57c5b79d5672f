//! Processes of `small.c`, and what they tell by a FIFO: each its pid when its `main` begins, and by the end of the
//! FIFO that all of them have ended.

use crate::peers::Service;
use crate::support::Stage;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// When many marks are awaited, they are read this often: who counts them is not to take the processor from who
/// starts.
const NAP: Duration = Duration::from_millis(1);

/// Bytes of a mark: a pid.
const MARK: usize = 4;

pub(crate) struct Marks {
    stage: Stage,
    reader: File,
    /// While it is open, the FIFO does not end.
    open: Option<File>,
    program: PathBuf,
}

impl Marks {
    /// A new FIFO. Builds the program.
    pub(crate) fn new() -> Self {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("small");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/small.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-static", "-O2", "-s", "-o"]).arg(&program).arg(source);
        assert!(compiler.status().expect("cc").success(), "{source} is not compiled");

        let stage = Stage::new();
        let path = stage.path("marks");
        nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader =
            OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path).unwrap();
        let open = OpenOptions::new().write(true).open(&path).ok();
        Self { stage, reader, open, program }
    }

    /// The program and the FIFO.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(self.stage.path("marks"));
        command
    }

    /// So many services that each run the program and, where sockets can be held, have an address of the loopback
    /// that nobody else has.
    pub(crate) fn services(&self, count: usize) -> Vec<Service> {
        let program = self.program.to_str().expect("a path of ours is text");
        let one = |index: usize| Service {
            name: format!("s-{index}"),
            command: vec![program.into(), self.stage.path("marks")],
            address: format!("127.77.{}.{}:18000", index / 250, index % 250 + 1),
            more: "ready = \"started\"\nrestart = \"always\"\nhealthy_after = \"1s\"".into(),
        };
        (0..count).map(one).collect()
    }

    /// The pids of so many processes whose `main` has begun since the last call, in order; none when it takes longer
    /// than `limit`.
    pub(crate) fn wait(&mut self, count: usize, limit: Duration) -> Option<Vec<i32>> {
        let until = Instant::now() + limit;
        let mut pids = Vec::with_capacity(count);
        let mut bytes = vec![0; MARK * count];
        while pids.len() < count {
            if !self.poll(PollFlags::POLLIN, until) {
                return None;
            }
            if count > 1 {
                sleep(NAP);
            }
            let left = MARK * (count - pids.len());
            let read = self.reader.read(&mut bytes[..left]).expect("it can be read now");
            let numbers = bytes[..read].chunks_exact(MARK);
            pids.extend(numbers.map(|four| i32::from_ne_bytes(four.try_into().expect("four bytes"))));
        }
        pids.sort_unstable();
        Some(pids)
    }

    /// Waits until every process that has written has ended: were there any left after `limit`?
    pub(crate) fn wait_ended(&mut self, limit: Duration) -> bool {
        self.open = None;
        let until = Instant::now() + limit;
        let mut rest = [0; 4096];
        while matches!(self.reader.read(&mut rest), Ok(1..)) {}
        let ended = self.poll(PollFlags::POLLHUP, until);
        self.open = OpenOptions::new().write(true).open(self.stage.path("marks")).ok();
        ended
    }

    /// Has it come to this before `until`?
    fn poll(&self, wanted: PollFlags, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.reader.as_fd(), wanted)];
            match poll(&mut fds, timeout) {
                Ok(0) => return false,
                Ok(_) => return fds[0].revents().is_some_and(|seen| seen.intersects(wanted)),
                Err(Errno::EINTR) => {}
                Err(error) => panic!("poll: {error}"),
            }
        }
    }
}
