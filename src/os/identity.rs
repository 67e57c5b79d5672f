//! What a child becomes before it becomes the program, in the order that makes each step effective
//! (docs/architecture.md). All is prepared before the fork; what runs behind it makes bare system calls only: the C
//! library's `setuid` and `setgroups` would tell its other threads, and take locks for that.
#![expect(unsafe_code, reason = "the calls between clone(2) and execve(2) that give rights up")]

use super::inherited::DescriptorLimit;
use crate::core::SpawnStage;
use crate::plan::{Capabilities, Identity};
use libc::{c_int, c_long};
use nix::errno::Errno;
use std::ffi::{CStr, CString};

#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
use libc::{SYS_setgroups, SYS_setresgid, SYS_setresuid};
// There the plain calls take numbers of 16 bits.
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
use libc::{
    SYS_setgroups32 as SYS_setgroups, SYS_setresgid32 as SYS_setresgid, SYS_setresuid32 as SYS_setresuid,
};

/// An identity, as the system takes it.
pub(super) struct Becoming {
    oom_score_adjust: Option<CString>,
    /// Resource, soft and hard limit.
    limits: Vec<(u32, [u64; 2])>,
    /// With its text.
    nice: Option<(i32, CString)>,
    umask: Option<libc::mode_t>,
    groups: Option<Vec<libc::gid_t>>,
    gid: Option<libc::gid_t>,
    bounding: Option<Capabilities>,
    uid: Option<libc::uid_t>,
    /// The rights that are left; nothing where all are.
    rights: Option<Capabilities>,
    no_new_privs: bool,
}

/// Takes the outcome of a step: the stage, which of several things it was about, and what the call returned. Comes
/// back only where that is no failure.
pub(super) trait Check: Fn(SpawnStage, u32, c_long) {}
impl<F: Fn(SpawnStage, u32, c_long)> Check for F {}

/// Numbers of `prctl` that not every C library names.
const PR_CAP_AMBIENT: c_int = 47;
const PR_CAP_AMBIENT_RAISE: c_long = 2;

impl Becoming {
    /// `limit` is the limit of descriptors where the identity has none.
    pub(super) fn new(identity: &Identity, limit: DescriptorLimit) -> Self {
        #[expect(clippy::useless_conversion, reason = "an int, elsewhere")]
        let descriptors = u32::try_from(libc::RLIMIT_NOFILE).unwrap_or(u32::MAX);
        let mut limits: Vec<(u32, [u64; 2])> =
            identity.rlimits.iter().map(|limit| (limit.resource, [limit.soft, limit.hard])).collect();
        if limits.iter().all(|(resource, _)| *resource != descriptors) {
            limits.push((descriptors, [limit.soft, limit.hard]));
        }
        let uid = identity.user.as_ref().map(|user| user.uid);
        // Root gets its rights at exec, of those that are left in the bounding set.
        let gives_up = uid.is_some_and(|uid| uid != 0) || identity.ambient_capabilities.is_some();
        Self {
            oom_score_adjust: identity.oom_score_adjust.map(number),
            limits,
            nice: identity.nice.map(|nice| (nice, number(nice))),
            umask: identity.umask,
            groups: identity
                .supplementary_groups
                .as_ref()
                .map(|all| all.iter().map(|group| group.gid).collect()),
            gid: identity.group.as_ref().map(|group| group.gid),
            bounding: identity.capabilities,
            uid,
            rights: gives_up.then(|| identity.ambient_capabilities.unwrap_or_default()),
            no_new_privs: identity.no_new_privs,
        }
    }

    /// Will the child be another one than we are? Then it must not have our memory: whoever is that user could reach
    /// into it, and the kernel would take us for one that changed its user.
    pub(super) fn is_another(&self) -> bool {
        self.groups.is_some()
            || self.gid.is_some()
            || self.bounding.is_some()
            || self.uid.is_some()
            || self.rights.is_some()
    }

    /// What the system may refuse to anybody but root, and takes no rights.
    pub(super) fn limit_oneself(&self, check: &impl Check) {
        // First of all: it opens a file, for which the limits may leave no room.
        if let Some(score) = &self.oom_score_adjust {
            set_oom_score(score, check);
        }
        for (at, (resource, amounts)) in (0..).zip(&self.limits) {
            let none = std::ptr::null_mut::<u64>();
            // SAFETY: `amounts` is what the kernel calls `struct rlimit64`, readable for the time of the call.
            let result = unsafe { libc::syscall(libc::SYS_prlimit64, 0, *resource, amounts.as_ptr(), none) };
            check(SpawnStage::Limits, at, result);
        }
        if let Some((nice, text)) = &self.nice {
            // SAFETY: three integers.
            let result = unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, *nice) };
            check(SpawnStage::Nice, 0, result);
            // With autogroups, which sessions are, it weighs only within the session, and this is what weighs against others
            // (sched(7)). Where they are switched off, or this is done too often, the above is what there is.
            let _ = write_of_own(c"/proc/self/autogroup", text);
        }
        if let Some(umask) = self.umask {
            // SAFETY: an integer. It cannot fail.
            unsafe { libc::umask(umask) };
        }
    }

    /// Becomes the user, and gives up what is not kept. Each step needs a right that a later one takes away.
    pub(super) fn give_up_rights(&self, check: &impl Check) {
        if let Some(groups) = &self.groups {
            // SAFETY: the list is readable for the time of the call, and as long as is said.
            let result = unsafe { libc::syscall(SYS_setgroups, groups.len(), groups.as_ptr()) };
            check(SpawnStage::SupplementaryGroups, 0, result);
        }
        if let Some(gid) = self.gid {
            // SAFETY: three integers.
            let result = unsafe { libc::syscall(SYS_setresgid, gid, gid, gid) };
            check(SpawnStage::PrimaryGroup, 0, result);
        }
        if let Some(kept) = self.bounding {
            drop_from_bounding_set(kept, check);
        }
        let keeps = self.rights.is_some_and(|rights| !rights.is_empty());
        if let (true, Some(_)) = (keeps, self.uid) {
            // Else the change of the user would take all of them.
            check(SpawnStage::Capabilities, NO_NUMBER, prctl(libc::PR_SET_KEEPCAPS, [1, 0]));
        }
        if let Some(uid) = self.uid {
            // SAFETY: three integers.
            let result = unsafe { libc::syscall(SYS_setresuid, uid, uid, uid) };
            check(SpawnStage::User, 0, result);
        }
        if let Some(rights) = self.rights {
            set_rights(rights, check);
        }
        if self.no_new_privs {
            check(SpawnStage::NoNewPrivs, 0, prctl(libc::PR_SET_NO_NEW_PRIVS, [1, 0]));
        }
    }
}

/// Where a step is about all capabilities.
const NO_NUMBER: u32 = u32::MAX;

/// What a step that failed was about, for people.
pub(super) fn subject(identity: &Identity, stage: SpawnStage, item: u32) -> String {
    match stage {
        SpawnStage::Cgroup => {
            identity.cgroup.as_ref().map_or_else(String::new, |cgroup| cgroup.path.display().to_string())
        }
        SpawnStage::OomScore => identity.oom_score_adjust.map_or_else(String::new, |score| score.to_string()),
        SpawnStage::Limits => match usize::try_from(item).ok().and_then(|item| identity.rlimits.get(item)) {
            Some(limit) => format!("{} {limit}", limit.name),
            None => "nofile".into(),
        },
        SpawnStage::Nice => identity.nice.map_or_else(String::new, |nice| nice.to_string()),
        SpawnStage::SupplementaryGroups => {
            let names = identity.supplementary_groups.iter().flatten().map(ToString::to_string);
            names.collect::<Vec<_>>().join(", ")
        }
        SpawnStage::PrimaryGroup => identity.group.as_ref().map_or_else(String::new, ToString::to_string),
        SpawnStage::User => identity.user.as_ref().map_or_else(String::new, ToString::to_string),
        SpawnStage::BoundingSet | SpawnStage::Capabilities => {
            let named = caps::all().into_iter().find(|known| u32::from(known.index()) == item);
            named.map_or_else(String::new, |known| known.to_string())
        }
        SpawnStage::EnvFile
        | SpawnStage::Lookup
        | SpawnStage::Pipe
        | SpawnStage::Output
        | SpawnStage::Listener
        | SpawnStage::Fork
        | SpawnStage::Group
        | SpawnStage::NoNewPrivs
        | SpawnStage::Directory
        | SpawnStage::Descriptors
        | SpawnStage::Exec
        | SpawnStage::Interpreter => String::new(),
    }
}

/// As the kernel reads it from a file.
fn number(number: i32) -> CString {
    CString::new(number.to_string()).expect("a number has no NUL")
}

fn set_oom_score(score: &CString, check: &impl Check) {
    check(SpawnStage::OomScore, 0, write_of_own(c"/proc/self/oom_score_adj", score));
}

/// Writes a file of the kernel about this process; -1 where that fails, for whoever asks for the errno.
fn write_of_own(path: &CStr, text: &CString) -> c_long {
    // SAFETY: a string that ends with NUL.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    if file == -1 {
        return -1;
    }
    let bytes = text.as_bytes();
    // SAFETY: the bytes are readable for the time of the call, and as many as is said.
    let result = unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) };
    let errno = Errno::last_raw();
    // SAFETY: opened above, and nobody else's.
    unsafe { libc::close(file) };
    Errno::set_raw(errno);
    if result == -1 { -1 } else { 0 }
}

/// From the lowest number up to the first that the kernel does not know.
fn drop_from_bounding_set(kept: Capabilities, check: &impl Check) {
    for number in (0..u64::BITS).filter(|&number| !kept.has(number)) {
        match prctl(libc::PR_CAPBSET_READ, [number.into(), 0]) {
            // It is not in the set: nobody needs a right to leave it so.
            0 => {}
            1 => check(SpawnStage::BoundingSet, number, prctl(libc::PR_CAPBSET_DROP, [number.into(), 0])),
            _ => return,
        }
    }
}

/// Leaves these and no others, and takes them along over exec.
fn set_rights(rights: Capabilities, check: &impl Check) {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    // Effective, permitted and inheritable: of the numbers below 32, then of those above.
    let word = |set: u64| u32::try_from(set & u64::from(u32::MAX)).unwrap_or(0);
    let [low, high] = [word(rights.0), word(rights.0 >> 32)];
    let sets = [low, low, low, high, high, high];
    // SAFETY: the structures of version 3, a header of two words and twice three words, readable for the time of
    // the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    check(SpawnStage::Capabilities, NO_NUMBER, result);
    for number in (0..u64::BITS).filter(|&number| rights.has(number)) {
        check(SpawnStage::Capabilities, number, prctl(PR_CAP_AMBIENT, [PR_CAP_AMBIENT_RAISE, number.into()]));
    }
}

fn prctl(what: c_int, [first, second]: [c_long; 2]) -> c_long {
    let none: c_long = 0;
    // SAFETY: integers, none of which stands for memory in the calls that are made here.
    unsafe { libc::syscall(libc::SYS_prctl, c_long::from(what), first, second, none, none) }
}
