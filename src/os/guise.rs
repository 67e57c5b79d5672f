//! Looking at files with the rights of another user, who will have to execute them: root sees what is closed to others.
#![expect(unsafe_code, reason = "setfsuid(2), setfsgid(2) and setgroups(2), of this thread only")]

use crate::plan::Identity;
use libc::{c_int, gid_t, uid_t};
use nix::unistd::getgroups;

/// For as long as it lives this thread looks at files as somebody else. It stays who it is for all else.
pub(super) struct Guise {
    uid: uid_t,
    gid: gid_t,
    groups: Vec<gid_t>,
    dumpable: c_int,
    /// The signal that this process gets when its own parent dies.
    tie: c_int,
}

impl Guise {
    /// That of an identity; none where it has no user of its own, or rights that a look does not show.
    pub(super) fn of(identity: &Identity) -> Option<Self> {
        let (user, group) = identity.user.as_ref().zip(identity.group.as_ref())?;
        if identity.ambient_capabilities.is_some_and(|rights| !rights.is_empty()) {
            return None;
        }
        let groups: Vec<gid_t> =
            identity.supplementary_groups.iter().flatten().map(|group| group.gid).collect();
        let ours = getgroups().ok()?.into_iter().map(nix::unistd::Gid::as_raw).collect();
        let mut tie = 0;
        // SAFETY: an integer, and a place for one. They change nothing of us.
        let dumpable = unsafe {
            libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut tie);
            libc::prctl(libc::PR_GET_DUMPABLE)
        };
        set_groups(&groups);
        // SAFETY: integers. Where it is refused the look is that of somebody with more rights, which is no worse than none.
        let (gid, uid) = unsafe { (libc::setfsgid(group.gid), libc::setfsuid(user.uid)) };
        let (gid, uid) = (gid.cast_unsigned(), uid.cast_unsigned());
        Some(Self { uid, gid, groups: ours, dumpable, tie })
    }
}

impl Drop for Guise {
    fn drop(&mut self) {
        // SAFETY: integers. What this thread had before is not refused to it.
        unsafe {
            libc::setfsuid(self.uid);
            libc::setfsgid(self.gid);
        }
        set_groups(&self.groups);
        // SAFETY: integers. The kernel has taken us for a program that changed its user: it would show nothing of us to those
        // who may see it, and has forgotten the signal.
        unsafe {
            libc::prctl(libc::PR_SET_DUMPABLE, self.dumpable);
            libc::prctl(libc::PR_SET_PDEATHSIG, self.tie);
        }
    }
}

/// Of this thread: the call of the C library would tell its other threads.
fn set_groups(groups: &[gid_t]) {
    #[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
    use libc::SYS_setgroups;
    #[cfg(any(target_arch = "x86", target_arch = "arm"))]
    use libc::SYS_setgroups32 as SYS_setgroups;
    // SAFETY: the list is readable for the time of the call, and as long as is said.
    unsafe { libc::syscall(SYS_setgroups, groups.len(), groups.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Capabilities, Group, User};
    use std::fs;

    /// What is said of this thread in /proc.
    fn said(field: &str) -> String {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.unwrap().split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn nobody() -> Identity {
        Identity {
            user: Some(User { name: "nobody".into(), uid: 65_534, account: None }),
            group: Some(Group { name: "nobody".into(), gid: 65_534 }),
            supplementary_groups: Some(Vec::new()),
            ..Identity::default()
        }
    }

    #[test]
    fn whoever_looks_as_another_is_itself_again_afterwards() {
        let all = || {
            let mut tie: c_int = 0;
            // SAFETY: an integer, and a place for one.
            let dumpable = unsafe {
                libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut tie);
                libc::prctl(libc::PR_GET_DUMPABLE)
            };
            (said("Uid:"), said("Gid:"), said("Groups:"), said("CapEff:"), dumpable, tie)
        };
        // SAFETY: an integer; of this thread only, which ends with the test.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGUSR2) };
        let before = all();
        let guise = Guise::of(&nobody()).unwrap();
        if nix::unistd::geteuid().is_root() {
            assert!(said("Uid:").ends_with(" 0 65534") && said("Gid:").ends_with(" 65534"), "{before:?}");
            assert_eq!(said("Groups:"), "");
        }
        drop(guise);
        assert_eq!(all(), before);
    }

    #[test]
    fn nobody_is_played_whose_rights_a_look_does_not_show() {
        assert!(Guise::of(&Identity::default()).is_none());
        let rights = Capabilities(1 << 1);
        assert!(Guise::of(&Identity { ambient_capabilities: Some(rights), ..nobody() }).is_none());
    }
}
