//! What a file asks of the machine on which it is read: its users and groups, and what bootstrap may do there.

use super::rule::Rule;
use crate::plan::{Account, Capabilities, Group, User};
use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::{self, AccessFlags, Gid, Uid};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::path::Path;

/// Shells that are there to refuse a login; for a server they would be no shell at all.
const NO_SHELLS: [&str; 3] = ["nologin", "false", "true"];

/// A user or a group, as the file names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    Name(String),
    Number(u32),
}

/// A user, and the groups that come with it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) user: User,
    /// Its own group; none where the machine does not know the user.
    pub(super) group: Option<Group>,
    /// The groups that count it among their members; its own is none of them where it is that by the user alone.
    pub(super) groups: Vec<Group>,
}

/// The machine, asked once for each user and group of a file.
#[derive(Default)]
pub(super) struct Machine {
    users: BTreeMap<Named, Result<Member, Rule>>,
    groups: BTreeMap<Named, Result<Group, Rule>>,
}

impl Machine {
    pub(super) fn user(&mut self, named: &Named) -> Result<Member, Rule> {
        self.users.entry(named.clone()).or_insert_with(|| user(named)).clone()
    }

    pub(super) fn group(&mut self, named: &Named) -> Result<Group, Rule> {
        self.groups.entry(named.clone()).or_insert_with(|| group(named)).clone()
    }
}

fn unanswered(errno: Errno) -> Rule {
    Rule::NobodyAnswers { reason: errno.desc().into() }
}

/// What a look-up has found. Without the file (a container without `/etc/passwd`) nobody has a name, and a number holds;
/// getpwnam(3) leaves it open which of these errors says so.
fn known<T>(found: nix::Result<Option<T>>) -> Result<Option<T>, Rule> {
    match found {
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        found => found.map_err(unanswered),
    }
}

fn user(named: &Named) -> Result<Member, Rule> {
    let (name, found) = match named {
        Named::Name(name) => (name.clone(), unistd::User::from_name(name)),
        Named::Number(number) => (number.to_string(), unistd::User::from_uid(Uid::from_raw(*number))),
    };
    match (known(found)?, named) {
        (Some(found), _) => member(&name, found),
        (None, Named::Name(_)) => Err(Rule::NoSuchUser),
        (None, Named::Number(uid)) => {
            let user = User { name: name.into(), uid: *uid, account: None };
            Ok(Member { user, group: None, groups: Vec::new() })
        }
    }
}

fn member(name: &str, found: unistd::User) -> Result<Member, Rule> {
    let login = CString::new(found.name.as_str()).map_err(|_| Rule::NoSuchUser)?;
    // The list begins with the group that is given: with none that there is, it has those in which the user stands.
    let none = Gid::from_raw(u32::MAX);
    let gids = unistd::getgrouplist(&login, none).map_err(unanswered)?;
    let listed = gids.into_iter().filter(|gid| *gid != none);
    let groups = listed.map(named_group).collect::<Result<Vec<_>, _>>()?;
    let is_shell = |path: &std::path::Path| {
        path.file_name().is_some_and(|name| NO_SHELLS.iter().all(|refuses| name != *refuses))
    };
    let account = Account {
        name: found.name.into(),
        home: found.dir,
        shell: Some(found.shell).filter(|path| is_shell(path)),
    };
    let user = User { name: name.into(), uid: found.uid.as_raw(), account: Some(account) };
    Ok(Member { user, group: Some(named_group(found.gid)?), groups })
}

fn group(named: &Named) -> Result<Group, Rule> {
    match named {
        Named::Number(number) => Ok(Group { name: number.to_string().into(), gid: *number }),
        Named::Name(name) => match known(unistd::Group::from_name(name))? {
            Some(found) => Ok(Group { name: name.as_str().into(), gid: found.gid.as_raw() }),
            None => Err(Rule::NoSuchGroup),
        },
    }
}

/// A group by the name that people know it by, where there is one.
fn named_group(gid: Gid) -> Result<Group, Rule> {
    let name = known(unistd::Group::from_gid(gid))?.map(|group| group.name);
    Ok(Group { name: name.unwrap_or_else(|| gid.to_string()).into(), gid: gid.as_raw() })
}

/// Is this the user that bootstrap runs as? It may always become that one.
pub(super) fn is_own_user(uid: u32) -> bool {
    uid == Uid::effective().as_raw()
}

/// Is this the group that bootstrap runs as?
pub(super) fn is_own_group(gid: u32) -> bool {
    gid == Gid::effective().as_raw()
}

/// Is bootstrap in this group?
pub(super) fn is_in_group(gid: u32) -> bool {
    let groups = unistd::getgroups().unwrap_or_default();
    is_own_group(gid) || groups.iter().any(|group| group.as_raw() == gid)
}

/// The rule that is broken where bootstrap lacks this right.
pub(super) fn needs(right: Capability) -> Result<(), Rule> {
    if caps::has_cap(None, CapSet::Effective, right).unwrap_or(false) {
        return Ok(());
    }
    Err(Rule::NeedsRight { right: right.to_string(), root: Uid::effective().is_root() })
}

/// Those of `asked` that bootstrap does not have and so cannot pass on.
pub(super) fn not_held(asked: Capabilities) -> Capabilities {
    asked.without(set(CapSet::Permitted))
}

/// Those that bootstrap, and what it starts, could ever have.
pub(super) fn bounding_set() -> Capabilities {
    set(CapSet::Bounding)
}

fn set(which: CapSet) -> Capabilities {
    let found = caps::read(None, which).unwrap_or_default();
    Capabilities(found.iter().fold(0, |all, one| all | one.bitmask()))
}

/// The hard limit that bootstrap has itself.
pub(super) fn hard_limit(resource: Resource) -> u64 {
    getrlimit(resource).map_or(u64::MAX, |(_, hard)| hard)
}

/// The most descriptors that the kernel gives to a process, whoever asks.
pub(super) fn most_descriptors() -> u64 {
    number_in("/proc/sys/fs/nr_open").unwrap_or(u64::MAX)
}

/// The lowest nice value that anybody may take here.
pub(super) fn lowest_nice() -> i64 {
    let (soft, _) = getrlimit(Resource::RLIMIT_NICE).unwrap_or((0, 0));
    let allowed = 20 - i64::try_from(soft).unwrap_or(40).min(40);
    allowed.min(own_nice().unwrap_or(0))
}

/// The nineteenth field; the second is the name, in parentheses.
fn own_nice() -> Option<i64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(16)?.parse().ok()
}

/// The lowest `oom_score_adj` that anybody may take here.
pub(super) fn lowest_oom_score() -> i64 {
    number_in("/proc/self/oom_score_adj").unwrap_or(0).min(0)
}

/// Can there be a cgroup at this path, with these controllers? It is made at the first start.
pub(super) fn cgroup(path: &Path, controllers: impl Iterator<Item = &'static str>) -> Result<(), Rule> {
    let there = [Some(path), path.parent()].into_iter().flatten().find(|path| path.is_dir());
    let there = there.ok_or(Rule::CgroupMissing)?;
    let is_cgroup =
        |path: &Path| statfs(path).is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC);
    if !is_cgroup(there) {
        return Err(Rule::NoCgroup);
    }
    unistd::eaccess(there, AccessFlags::W_OK).map_err(|_| Rule::CgroupClosed)?;
    for controller in controllers {
        let offers = |path: &&Path| {
            let offered = fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
            offered.split_ascii_whitespace().any(|word| word == controller)
        };
        if !there.ancestors().take_while(|path| is_cgroup(path)).any(|path| offers(&path)) {
            return Err(Rule::NoController { controller: controller.into() });
        }
    }
    Ok(())
}

fn number_in<T: std::str::FromStr>(path: &str) -> Option<T> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
