//! A command on a terminal of its own, as a person has it: `script` makes the terminal, this plays the screen.

use super::{Stage, eventually};
use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A command that runs on a terminal.
pub(crate) struct Terminal {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    /// Where the size and the settings of the terminal can be reached.
    path: String,
    columns: usize,
}

/// What stands on the terminal of a shell while it runs the command, so that nobody's ^C ends the shell.
const SHELL: &str = "trap : INT; stty cols $1 rows 100; stty -a >before; tty >tty.new; mv tty.new tty; shift; \
                     \"$@\"; echo $? >code; stty -a >after";

impl Terminal {
    /// Runs `bootstrap` with these words, none of which has a blank, on a terminal of so many columns.
    pub(crate) fn run(stage: &Stage, columns: usize, words: &[&str]) -> Self {
        Self::run_with(stage, columns, words, None)
    }

    /// The same, with one variable more in its environment.
    pub(crate) fn run_with(
        stage: &Stage,
        columns: usize,
        words: &[&str],
        variable: Option<(&str, &str)>,
    ) -> Self {
        let tty = stage.dir().join("tty");
        let _ = fs::remove_file(&tty);
        let shell = stage.write("on-a-terminal", SHELL);
        let command = stage.command(words);
        let program = command.get_program().to_str().unwrap().to_owned();
        let line = format!("sh {} {columns} {program} {}", shell.display(), words.join(" "));
        // Whoever runs the tests may ignore what a terminal sends.
        let mut script = Command::new("env");
        script.args(["--default-signal=INT", "script"]);
        script.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        script.env_remove("NO_COLOR").env("TERM", "xterm").current_dir(stage.dir());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script.envs(variable);
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = script.spawn().expect("env and script; run tests/install");
        let said = Arc::new(Mutex::new(Vec::new()));
        let (mut out, sink) = (child.stdout.take().unwrap(), said.clone());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(len @ 1..) = out.read(&mut piece) {
                sink.lock().unwrap().extend_from_slice(&piece[..len]);
            }
        });
        eventually("there is a terminal", || tty.exists());
        let path = fs::read_to_string(tty).unwrap().trim().to_owned();
        Self { child, said, path, columns }
    }

    /// All that was written to the terminal, as it was.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// Waits until this was written to it.
    #[track_caller]
    pub(crate) fn wait_for(&self, wanted: &str) {
        eventually(&format!("{wanted:?} stands in {:?}", self.raw()), || self.raw().contains(wanted));
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: u8) {
        let keys = self.child.stdin.as_mut().unwrap();
        keys.write_all(&[key]).and_then(|()| keys.flush()).unwrap();
    }

    /// Makes it as wide as this. What is on it already is not played anew.
    pub(crate) fn resize(&mut self, columns: usize) {
        let size = columns.to_string();
        let status = Command::new("stty").args(["-F", &self.path, "cols", &size]).status().unwrap();
        assert!(status.success());
        self.columns = columns;
    }

    /// Waits for the end of the command: its exit code, or 128 and the signal.
    #[track_caller]
    pub(crate) fn end(&mut self, stage: &Stage) -> i32 {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        let read = |name: &str| fs::read_to_string(stage.dir().join(name)).unwrap();
        let (before, after) = (read("before"), read("after"));
        assert!(before.contains("isig"), "{before}");
        // The first line has the size, which the test may change.
        let settings = |text: &str| text.lines().skip(1).collect::<Vec<_>>().join("\n");
        assert_eq!(settings(&before), settings(&after), "the terminal is as it was");
        read("code").trim().parse().unwrap()
    }

    /// What stands on the screen at the end, line by line.
    pub(crate) fn screen(&self) -> Vec<String> {
        play(&self.raw(), self.columns)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a screen of this width to which a text was written: end of line, return, erasure of the rest of the
/// line, colours, and lines that are too long.
fn play(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let mut column = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' => lines.push(Vec::new()),
            '\r' => column = 0,
            '\u{1b}' => {
                assert_eq!(chars.next(), Some('['));
                match &*order(&mut chars) {
                    "K" => lines.last_mut().unwrap().truncate(column),
                    colour if colour.ends_with('m') => {}
                    other => panic!("an order that is not played: {other:?}"),
                }
            }
            c => {
                if column == columns {
                    lines.push(Vec::new());
                    column = 0;
                }
                let line = lines.last_mut().unwrap();
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
        if c == '\n' {
            // A terminal sends a return before it.
            lines.last_mut().unwrap().resize(column, ' ');
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned()).collect()
}

/// The rest of an order to a terminal, up to the letter that ends it.
fn order(chars: &mut impl Iterator<Item = char>) -> String {
    let mut order = String::new();
    while !order.ends_with(|c: char| c.is_ascii_alphabetic()) {
        order.push(chars.next().expect("an order has an end"));
    }
    order
}
