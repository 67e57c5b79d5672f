//! Who the process of a service is, what it may do and how much it may use.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// What a child becomes before it becomes the program. Users and groups are numbers here: they were looked up when the
/// file was read, so that a start needs nobody's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user; the supervisor's own where there is none.
    pub user: Option<User>,
    /// The group; the supervisor's own where there is none. With a user there is one.
    pub group: Option<Group>,
    /// The supplementary groups, in order and each once; the supervisor's own where there is none. With a user or
    /// a group there are some, if only an empty list.
    pub supplementary_groups: Option<Vec<Group>>,
    /// The bits that files of its are created without.
    pub umask: Option<u32>,
    /// From -20, which gets most of the processor, to 19.
    pub nice: Option<i32>,
    /// From -1000, which is never killed when memory runs out, to 1000.
    pub oom_score_adjust: Option<i32>,
    /// Limits of resources, in the order of their names.
    pub rlimits: Vec<Rlimit>,
    /// Whether no program of it can gain rights, whatever bits its file has.
    pub no_new_privs: bool,
    /// The rights that it, or a program of it, can ever have; those of the supervisor where there is none.
    pub capabilities: Option<Capabilities>,
    /// The rights that it has from its start on although it is not root; what it would have without the key where
    /// there is none.
    pub ambient_capabilities: Option<Capabilities>,
    /// Where its processes are counted together.
    pub cgroup: Option<Cgroup>,
}

/// A cgroup of version 2: below `path` there is one for the service, with these limits, and in it one for each run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// The cgroup that bootstrap may use.
    pub path: PathBuf,
    /// Bytes of memory that all processes of the service may use together.
    pub memory_max: Option<u64>,
    /// Hundredths of a processor.
    pub cpu_percent: Option<u32>,
    /// How many processes and threads there may be.
    pub pids_max: Option<u32>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// As the file has it.
    pub name: Box<str>,
    /// Its number.
    pub uid: u32,
    /// What the machine knows of it; a number may stand for nobody that it knows.
    pub account: Option<Account>,
}

/// What a login would tell a shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: Box<str>,
    /// Its home directory.
    pub home: PathBuf,
    /// Its shell; none where logins are refused.
    pub shell: Option<PathBuf>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// As the file, or the machine, has it.
    pub name: Box<str>,
    /// Its number.
    pub gid: u32,
}

/// How much of a resource a process may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The resource as the file names it: `nofile`.
    pub name: Box<str>,
    /// The resource as `setrlimit` numbers it.
    pub resource: u32,
    /// What holds; the process may raise it up to `hard`.
    pub soft: u64,
    /// What it may raise it to.
    pub hard: u64,
}

/// Numbers of this size stand for no limit.
pub const UNLIMITED: u64 = u64::MAX;

/// A set of rights: bit n is number n of `capabilities(7)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Those of the two that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Is there none?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Is this one among them?
    pub const fn has(self, number: u32) -> bool {
        self.0 & bit(number) != 0
    }
}

const fn bit(number: u32) -> u64 {
    if number < u64::BITS { 1 << number } else { 0 }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}

/// Soft and hard, as the file has them: `1024:unlimited`.
impl fmt::Display for Rlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = |number: u64| if number == UNLIMITED { "unlimited".into() } else { number.to_string() };
        write!(f, "{}:{}", amount(self.soft), amount(self.hard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_past_its_end() {
        let set = Capabilities(1 << 10 | 1 << 63);
        let found: Vec<u32> = (0..200).filter(|&number| set.has(number)).collect();
        assert_eq!(found, [10, 63]);
        assert_eq!(set.without(Capabilities(1 << 63)), Capabilities(1 << 10));
    }

    #[test]
    fn a_limit_reads_as_it_is_written() {
        let limit = Rlimit { name: "core".into(), resource: 4, soft: 0, hard: UNLIMITED };
        assert_eq!(limit.to_string(), "0:unlimited");
    }
}
