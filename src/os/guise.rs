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
        // SAFETY: an integer; it changes nothing.
        let dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
        set_groups(&groups);
        // SAFETY: integers. Where it is refused the look is that of somebody with more rights, which is no worse than none.
        let (gid, uid) = unsafe { (libc::setfsgid(group.gid), libc::setfsuid(user.uid)) };
        let (gid, uid) = (gid.cast_unsigned(), uid.cast_unsigned());
        Some(Self { uid, gid, groups: ours, dumpable })
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
        // SAFETY: an integer. The kernel has taken us for a program that changed its user, and would show nothing of us to
        // those who may see it.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, self.dumpable) };
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
