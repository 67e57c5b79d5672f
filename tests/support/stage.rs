//! A directory, a config file and the real binary.

use super::process::comes_true;
use super::{Answer, LIMIT, Log, Process, eventually, get, log::has};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// What is there before the supervisor starts.
pub(crate) struct Stage {
    dir: TempDir,
    env: Vec<(String, String)>,
    wrapper: Vec<String>,
    program: String,
    marker: String,
    /// Sockets that it is given at its start, by their names.
    given: Vec<(String, OwnedFd)>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            dir: TempDir::with_prefix("bootstrap-test-").unwrap(),
            env: Vec::new(),
            wrapper: Vec::new(),
            program: env!("CARGO_BIN_EXE_bootstrap").into(),
            marker: format!("{}-{number}", std::process::id()),
            given: Vec::new(),
        }
    }

    /// One that everybody may enter, whoever else a service or a client is.
    pub(crate) fn public() -> Self {
        let stage = Self::new();
        fs::set_permissions(stage.dir(), fs::Permissions::from_mode(0o755)).unwrap();
        stage
    }

    /// Its directory, in which the config file and other files are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir().join(name).to_str().unwrap().into()
    }

    /// Writes a file, as people should: complete, and renamed into its place.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let (new, path) = (self.dir().join(format!("{name}.new")), self.dir().join(name));
        fs::write(&new, text).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    /// Puts a program at this name, complete, as a deployment should. It may be a moment before it can be executed: see
    /// [`install`](Self::install).
    pub(crate) fn deploy(&self, name: &str, program: &[u8]) {
        deploy(&self.dir().join(name), program);
    }

    /// Copies a program to this name, complete, for everybody to execute. Another process writes it: what this one has
    /// open for writing, a child that another test forks meanwhile has open too, and until it executes its own program
    /// nobody can execute the copy ("Text file busy").
    pub(crate) fn install(&self, program: impl AsRef<Path>, name: &str) -> String {
        let path = self.path(name);
        let mut install = Command::new("install");
        install.arg("--mode=755").arg(program.as_ref()).arg(format!("{path}.new"));
        assert!(install.status().unwrap().success());
        fs::rename(format!("{path}.new"), &path).unwrap();
        path
    }

    /// Sets a variable in the environment of the supervisor.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts the supervisor through another program, such as `["prlimit", "--nofile=20"]`, which must exec.
    pub(crate) fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(ToString::to_string).collect();
        self
    }

    /// Starts this copy of the supervisor.
    pub(crate) fn program(mut self, path: &str) -> Self {
        self.program = path.into();
        self
    }

    /// Has the next supervisors given these sockets, as systemd does it: at most two.
    pub(crate) fn give(&mut self, given: Vec<(String, OwnedFd)>) {
        self.given = given;
    }

    /// The command for `bootstrap` with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let words: Vec<&str> = self.wrapper.iter().map(|word| &**word).collect();
        let names: Vec<&str> = self.given.iter().map(|(name, _)| &**name).collect();
        let taking = format!(
            "exec 3<&0 4<&1 </dev/null >&2; LISTEN_FDS={} LISTEN_FDNAMES='{}' LISTEN_PID=$$ exec \"$0\" \"$@\"",
            names.len(),
            names.join(":")
        );
        let giving = if names.is_empty() { vec![] } else { vec!["sh", "-c", &taking] };
        let words = [&giving, &words, &[&*self.program][..], arguments].concat();
        let mut command = Command::new(words[0]);
        // A process group of its own, as a shell gives it: ^C goes to the group.
        command.args(&words[1..]).process_group(0).current_dir(self.dir()).stdin(Stdio::null());
        let mut sockets = self.given.iter().map(|(_, socket)| socket.try_clone().unwrap());
        sockets.next().into_iter().for_each(|socket| _ = command.stdin(socket));
        sockets.next().into_iter().for_each(|socket| _ = command.stdout(socket));
        assert!(sockets.next().is_none(), "more than two sockets are given");
        command
            .env_remove("BOOTSTRAP_SELECT")
            .env_remove("BOOTSTRAP_RUNTIME_DIR")
            .env("BOOTSTRAP_TEST", &self.marker);
        // Supervisors of other tests have files of the same name.
        command.env("RUNTIME_DIRECTORY", self.dir().join("run"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `bootstrap` with these arguments to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts the supervisor on this config. It may not have bound anything yet.
    pub(crate) fn launch(self, config: &str) -> Supervised {
        self.launch_with(config, Stdio::piped())
    }

    /// The same, with stderr given.
    pub(crate) fn launch_with(self, config: &str, stderr: Stdio) -> Supervised {
        self.write("services.toml", config);
        let mut command = self.command(&["-c", "services.toml"]);
        command.stderr(stderr);
        let mut child = command.spawn().unwrap();
        let log = child.stderr.take().map(Log::of).unwrap_or_default();
        Supervised { stage: self, child, log, skip: 0, status: None }
    }

    /// Starts the supervisor and waits until each of `services` has its first process.
    pub(crate) fn start(self, config: &str, services: &[&str]) -> Supervised {
        let supervised = self.launch(config);
        for service in services {
            supervised.pid_of(service, 1);
        }
        supervised
    }
}

/// Puts a program at this path, complete, as a deployment should.
pub(crate) fn deploy(path: &Path, program: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, program).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, path).unwrap();
}

/// A running supervisor. Dropping it ends every process that it, or a process of it, has started.
pub(crate) struct Supervised {
    pub(crate) stage: Stage,
    child: Child,
    log: Log,
    skip: usize,
    status: Option<i32>,
}

impl Supervised {
    /// On a new stage; see [`Stage::start`].
    pub(crate) fn start(config: &str, services: &[&str]) -> Self {
        Stage::new().start(config, services)
    }

    /// Kills it with SIGKILL, and starts another in its place. Its log begins anew.
    pub(crate) fn kill_and_start_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.start_again();
    }

    /// Starts another in the place of one that has ended.
    pub(crate) fn start_again(&mut self) {
        let mut command = self.stage.command(&["-c", "services.toml"]);
        self.child = command.stderr(Stdio::piped()).spawn().unwrap();
        self.log = self.child.stderr.take().map(Log::of).unwrap_or_default();
        (self.skip, self.status) = (0, None);
    }

    pub(crate) fn process(&self) -> Process {
        Process(i32::try_from(self.child.id()).unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process().signal(signal);
    }

    /// From now on `wait_for` looks only at later lines.
    pub(crate) fn forget(&mut self) {
        self.skip = self.log.lines().len();
    }

    /// Waits for a log line that has each piece of `wanted`; pieces are separated by `…`.
    #[track_caller]
    pub(crate) fn wait_for(&self, wanted: &str) -> String {
        match self.log.wait(self.skip, wanted) {
            Some(line) => line,
            None => panic!("no line with {wanted:?}\n{self}"),
        }
    }

    /// Has it said such a line by now?
    pub(crate) fn said(&self, wanted: &str) -> bool {
        self.log.lines().iter().skip(self.skip).any(|line| has(line, wanted))
    }

    /// All it has said since its start.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.lines()
    }

    /// How many such lines it has said since its start.
    pub(crate) fn count(&self, wanted: &str) -> usize {
        self.log.lines().iter().filter(|line| has(line, wanted)).count()
    }

    /// Waits until this generation was started; its main process.
    #[track_caller]
    pub(crate) fn pid_of(&self, service: &str, generation: u32) -> Process {
        let wanted = format!(" {service} generation={generation} pid= … started");
        let Some(line) = self.log.wait(0, &wanted) else {
            panic!("{service} has no generation {generation}\n{self}");
        };
        let (_, number) = line.split_once("pid=").unwrap();
        let digits = number.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        let process = Process(digits.parse().unwrap());
        // `vfork` returns when `execve` has taken the new memory; the descriptors are closed and the arguments
        // are in place a moment later.
        super::eventually("its execve is over", || !process.arguments().is_empty() || !process.is_alive());
        process
    }

    /// The newest generation of a service that the log tells of; 0 before the first.
    pub(crate) fn last_generation(&self, service: &str) -> u32 {
        let subject = format!(" {service} generation=");
        let numbers = self
            .log
            .lines()
            .into_iter()
            .filter_map(|line| line.split_once(&subject)?.1.split(' ').next()?.parse().ok());
        numbers.max().unwrap_or(0)
    }

    /// Is its newest generation ready, and every older one gone? For servers that say that they are ready.
    pub(crate) fn is_settled(&self, service: &str) -> bool {
        let last = self.last_generation(service);
        let lines = self.log.lines();
        let told = |generation: u32, wanted: &str| {
            lines.iter().any(|line| has(line, &format!(" {service} generation={generation} … {wanted}")))
        };
        told(last, "ready after")
            && !told(last, "asked to stop")
            && (1..last).all(|old| told(old, "exit code"))
    }

    /// An answer of this port; the test fails where there is none.
    #[track_caller]
    pub(crate) fn get(&self, port: u16) -> Answer {
        match get(port, "/") {
            Ok(answer) => answer,
            Err(failure) => panic!("port {port} gave no answer: {failure:?}\n{self}"),
        }
    }

    /// Waits until this port is answered by this generation.
    #[track_caller]
    pub(crate) fn wait_answer(&self, port: u16, generation: u32) {
        let answers = || get(port, "/").is_ok_and(|answer| answer.generation() == generation);
        assert!(comes_true(answers), "generation {generation} does not answer\n{self}");
    }

    /// Every process that it, or a process of it, has started and that still lives.
    pub(crate) fn offspring(&self) -> Vec<Process> {
        let mut found = Process::marked(&format!("BOOTSTRAP_TEST={}", self.stage.marker));
        found.retain(|process| *process != self.process() && process.is_alive());
        found
    }

    /// Waits for its end: its exit code, or minus the signal that ended it.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        let (pid, (tell, told)) = (Pid::from_raw(self.process().0), std::sync::mpsc::channel());
        let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        std::thread::spawn(move || tell.send(waitid(Id::Pid(pid), ended)));
        let in_time = told.recv_timeout(LIMIT);
        assert!(in_time.is_ok(), "it does not end\n{self}");
        let status = self.child.try_wait().unwrap().expect("it has ended");
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
        self.status = Some(code);
        self.log.catch_up();
        code
    }

    /// Asks it to stop and waits: it ends with 0 and leaves no process behind.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let code = self.wait_exit();
        assert_eq!((code, self.offspring()), (0, vec![]), "after SIGTERM\n{self}");
        assert!(!self.stage.dir().join("run/records").exists(), "somebody is written down still\n{self}");
    }
}

impl std::fmt::Display for Supervised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let config = fs::read_to_string(self.stage.dir().join("services.toml")).unwrap_or_default();
        writeln!(f, "--- services.toml\n{config}--- log of pid {}", self.child.id())?;
        writeln!(f, "{}", self.log.lines().join("\n"))?;
        match self.status {
            Some(code) => writeln!(f, "--- it ended with {code}"),
            None => writeln!(f, "--- it was still running"),
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Some servers write their title over their environment (nginx), so they would not be found by it.
            let servers = self.process().children();
            let _ = self.child.kill();
            let _ = self.child.wait();
            for server in servers {
                let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(server.0), Signal::SIGKILL);
            }
        }
        loop {
            let left = self.offspring();
            if left.is_empty() {
                return;
            }
            for process in left {
                process.signal(Signal::SIGKILL);
            }
            std::thread::yield_now();
        }
    }
}
