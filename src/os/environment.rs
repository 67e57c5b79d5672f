//! The environment that a child gets.

use super::env_file::{self, FileError};
use crate::core::{SpawnFailure, SpawnStage};
use crate::plan::{Definition, User};
use crate::protocol::{Dialect, Granted, Value, expand};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What our own parent said to us; to a child it would be a lie.
const NOT_FOR_CHILDREN: [&str; 9] = [
    "BOOTSTRAP_SELECT",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDNAMES",
    "FDSTORE",
];

/// How the names of others begin that are as untrue.
const NOT_FOR_CHILDREN_EITHER: [&str; 2] = ["SERVER_STARTER_", "EINHORN_"];

/// Our own variables, as far as they are for children, in the order of their names. Nothing changes them while we run.
pub(super) struct Ours(Box<[(OsString, CString)]>);

impl Ours {
    /// Those of now.
    pub(super) fn of_now() -> Self {
        Self::of(std::env::vars_os())
    }

    fn of(all: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let is_for_children = |name: &OsStr| {
            let begins = |start: &&str| name.as_bytes().starts_with(start.as_bytes());
            !NOT_FOR_CHILDREN.iter().any(|exact| name == *exact)
                && !NOT_FOR_CHILDREN_EITHER.iter().any(begins)
        };
        let ours = all.into_iter().filter(|(name, _)| is_for_children(name));
        // What the kernel gave us has no NUL in it.
        let lines =
            ours.filter_map(|(name, value)| Some((name.clone(), CString::new(line(name, value)).ok()?)));
        let each_once: BTreeMap<OsString, CString> = lines.collect();
        Self(each_once.into_iter().collect())
    }

    /// Where this one is.
    fn place_of(&self, name: &OsStr) -> Option<usize> {
        self.0.binary_search_by_key(&name, |(name, _)| name).ok()
    }
}

/// Variables and their values; each name once.
pub(super) struct Environment<'a> {
    ours: &'a Ours,
    /// What differs from ours: another value, or none.
    own: BTreeMap<OsString, Option<OsString>>,
    own_pid: Vec<String>,
}

impl<'a> Environment<'a> {
    /// What a generation gets: ours, then what a login of its user would set, then its `env_file`, which has these
    /// contents, then its `env`, then what says who it is.
    ///
    /// # Errors
    ///
    /// At stage `EnvFile`: the file has a bad line (the subject is path and line).
    pub(super) fn of_child(
        ours: &'a Ours,
        definition: &Definition,
        granted: &Granted<'_>,
        env_file: &[u8],
    ) -> Result<Self, SpawnFailure> {
        let mut own: BTreeMap<OsString, Option<OsString>> = BTreeMap::new();
        if let Some(user) = &definition.program.identity.user {
            own.extend(log_in(user));
        }
        if let Some(path) = &definition.program.env_file {
            let read = env_file::variables(env_file).map_err(|error| refused(path, &error))?;
            own.extend(read.into_iter().map(|(name, value)| (name, Some(value))));
        }
        let set = |(name, value): (&String, &String)| (name.into(), Some(expand(value, granted).into()));
        own.extend(definition.program.env.iter().map(set));
        own.insert("BOOTSTRAP_SERVICE".into(), Some(definition.name.as_str().into()));
        own.insert("BOOTSTRAP_GENERATION".into(), Some(granted.generation.to_string().into()));
        own.insert("BOOTSTRAP_WORKER".into(), Some(granted.worker.to_string().into()));
        let mut own_pid = Vec::new();
        for (name, value) in Dialect::of(definition.program.handshake).variables(granted) {
            match value {
                Value::Text(text) => _ = own.insert(name.into(), Some(text.into())),
                Value::OwnPid => {
                    own.insert(OsString::from(&name), None);
                    own_pid.push(name);
                }
            }
        }
        if let Some(period) = definition.program.watchdog {
            own.insert("WATCHDOG_USEC".into(), Some(period.as_micros().to_string().into()));
            own_pid.push("WATCHDOG_PID".into());
        }
        Ok(Self { ours, own, own_pid })
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        if let Some(own) = self.own.get(OsStr::new(name)) {
            return own.as_deref();
        }
        let (_, line) = self.ours.0.get(self.ours.place_of(OsStr::new(name))?)?;
        line.as_bytes().get(name.len() + 1..).map(OsStr::from_bytes)
    }

    /// The variables that are to hold the child's own pid.
    pub(super) fn own_pid(&self) -> &[String] {
        &self.own_pid
    }

    /// Of all others those that are as ours, as `execve` takes them.
    pub(super) fn inherited(&self) -> impl Iterator<Item = &'a CStr> {
        // Both are in order, and few of ours are covered.
        let mut covered = self.own.keys().filter_map(|name| self.ours.place_of(name)).peekable();
        let ours = self.ours.0.iter().enumerate();
        ours.filter(move |(place, _)| covered.next_if_eq(place).is_none())
            .map(|(_, (_, line))| line.as_c_str())
    }

    /// The rest of them as `NAME=value`.
    pub(super) fn own_lines(&self) -> impl Iterator<Item = Vec<u8>> {
        self.own.iter().filter_map(|(name, value)| Some(line(name.clone(), value.clone()?)))
    }
}

fn line(name: OsString, value: OsString) -> Vec<u8> {
    let (mut line, value) = (name.into_vec(), value.into_vec());
    line.reserve_exact(value.len() + 2);
    line.push(b'=');
    line.extend(value);
    line
}

/// What a login would say to the user instead of what it has said to ours. Where nothing is known, nothing is said.
fn log_in(user: &User) -> impl Iterator<Item = (OsString, Option<OsString>)> {
    let account = user.account.as_ref();
    let name = account.map(|account| OsString::from(&*account.name));
    [
        ("HOME", account.map(|account| account.home.clone().into_os_string())),
        ("LOGNAME", name.clone()),
        ("SHELL", account.and_then(|account| account.shell.clone()).map(Into::into)),
        ("USER", name),
    ]
    .into_iter()
    .map(|(variable, value)| (variable.into(), value))
}

/// What stands in the `env_file` of a service now; nothing where it has none.
///
/// # Errors
///
/// At stage `EnvFile`: it cannot be read; the subject is its path.
pub(super) fn env_file_of(definition: &Definition) -> Result<Vec<u8>, SpawnFailure> {
    let read = |path: &PathBuf| env_file::contents(path).map_err(|error| refused(path, &error));
    definition.program.env_file.as_ref().map_or_else(|| Ok(Vec::new()), read)
}

pub(super) fn refused(path: &Path, error: &FileError) -> SpawnFailure {
    let (errno, subject) = match error {
        FileError::Unreadable(errno) => (*errno, path.display().to_string()),
        FileError::BadLine(line) => (Errno::EINVAL, format!("{}: line {line}", path.display())),
    };
    SpawnFailure { stage: SpawnStage::EnvFile, errno: errno as i32, subject }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Account, Generation};
    use std::io::Write;

    fn definition(env: &[(&str, &str)], env_file: Option<&Path>) -> Definition {
        let mut definition = Definition::least("web");
        definition.program.env =
            env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        definition.program.env_file = env_file.map(Path::to_path_buf);
        definition
    }

    fn lines(ours: &[(&str, &str)], definition: &Definition) -> Result<Vec<String>, SpawnFailure> {
        let ours = ours.iter().map(|(name, value)| (name.into(), value.into()));
        let granted = Granted {
            service: "web",
            listeners: &[],
            fds: &[],
            pipe: Some(9),
            notify: None,
            ack: None,
            ack_path: None,
            generation: Generation(4),
            worker: 0,
            supervisor: 1,
        };
        let ours = Ours::of(ours);
        let environment = Environment::of_child(&ours, definition, &granted, &env_file_of(definition)?)?;
        let inherited = environment.inherited().map(|line| line.to_bytes().to_vec());
        let lines = inherited.chain(environment.own_lines());
        let mut lines: Vec<String> = lines.map(|line| String::from_utf8(line).unwrap()).collect();
        lines.sort();
        for line in &lines {
            let (name, value) = line.split_once('=').unwrap();
            assert_eq!(environment.get(name), Some(OsStr::new(value)));
        }
        Ok(lines)
    }

    #[test]
    fn each_layer_covers_the_one_below_and_the_last_says_who_the_child_is() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"B=file\nC=file\nD=file\nBOOTSTRAP_WORKER=7").unwrap();
        let ours = [("A", "ours"), ("B", "ours"), ("BOOTSTRAP_SERVICE", "other")];
        let definition = definition(&[("C", "own {pipe}"), ("E", "g{generation}")], Some(file.path()));
        assert_eq!(
            lines(&ours, &definition).unwrap(),
            [
                "A=ours",
                "B=file",
                "BOOTSTRAP_GENERATION=4",
                "BOOTSTRAP_SERVICE=web",
                "BOOTSTRAP_WORKER=0",
                "C=own 9",
                "D=file",
                "E=g4"
            ]
        );
    }

    #[test]
    fn a_user_is_logged_in_below_its_own_variables() {
        let ours = [("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root"), ("SHELL", "/bin/zsh")];
        let account = Account { name: "www".into(), home: "/var/www".into(), shell: None };
        let mut definition = definition(&[("USER", "me")], None);
        definition.program.identity.user =
            Some(User { name: "www".into(), uid: 33, account: Some(account.clone()) });
        let found = |definition: &Definition| {
            let mut found = lines(&ours, definition).unwrap();
            found.retain(|line| !line.starts_with("BOOTSTRAP_"));
            found
        };
        assert_eq!(found(&definition), ["HOME=/var/www", "LOGNAME=www", "USER=me"]);
        let shell = Account { shell: Some("/bin/sh".into()), ..account };
        definition.program.identity.user = Some(User { name: "33".into(), uid: 33, account: Some(shell) });
        assert_eq!(found(&definition), ["HOME=/var/www", "LOGNAME=www", "SHELL=/bin/sh", "USER=me"]);
        definition.program.identity.user = Some(User { name: "77".into(), uid: 77, account: None });
        assert_eq!(found(&definition), ["USER=me"], "what is ours is not its");
    }

    #[test]
    fn what_our_parent_said_to_us_is_not_passed_on_but_may_be_set() {
        let mut ours = NOT_FOR_CHILDREN.map(|name| (name, "x")).to_vec();
        ours.extend([("EINHORN_FD_0", "x"), ("SERVER_STARTER_PORT", "x")]);
        let definition = definition(&[("LISTEN_FDS", "mine")], None);
        let lines = lines(&ours, &definition).unwrap();
        assert_eq!(
            lines,
            ["BOOTSTRAP_GENERATION=4", "BOOTSTRAP_SERVICE=web", "BOOTSTRAP_WORKER=0", "LISTEN_FDS=mine"]
        );
    }

    #[test]
    fn an_env_file_that_cannot_be_used_is_named_with_its_line() {
        let failure = lines(&[], &definition(&[], Some(Path::new("/nowhere.env")))).unwrap_err();
        let stage = SpawnStage::EnvFile;
        assert_eq!(failure, SpawnFailure { stage, errno: libc::ENOENT, subject: "/nowhere.env".into() });

        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"A=b\noops").unwrap();
        let failure = lines(&[], &definition(&[], Some(file.path()))).unwrap_err();
        let subject = format!("{}: line 2", file.path().display());
        assert_eq!(failure, SpawnFailure { stage, errno: libc::EINVAL, subject });
    }
}
