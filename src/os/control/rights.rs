//! Who may speak to the control socket, and what each may ask for: looked at when somebody connects, and again when the settings
//! change.

use super::ControlSocket;
use super::place::give;
use crate::core::Time;
use crate::os::poller::Poller;
use crate::os::runtime_dir::RuntimeDir;
use crate::os::sockopt::peer_groups;
use crate::plan::Rights;
use crate::protocol::control::ErrorCode;
use nix::sys::socket::{UnixCredentials, getsockopt, sockopt};
use nix::unistd::geteuid;
use std::io;
use std::os::fd::AsFd;

/// A group, and what its members may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) gid: u32,
    rights: Rights,
}

impl ControlSocket {
    /// Lets the members of a group speak to it, or nobody but us and root.
    ///
    /// # Errors
    ///
    /// The socket cannot be given to the group: then nobody else may.
    pub(in crate::os) fn admit(
        &mut self,
        poller: &Poller,
        directory: &RuntimeDir,
        (gid, rights): (Option<u32>, Rights),
        now: Time,
    ) -> io::Result<()> {
        let given = gid.map_or(Ok(()), |gid| directory.admit(gid));
        let given = given.and_then(|()| give(&directory.socket(), gid));
        self.admitted = gid.filter(|_| given.is_ok()).map(|gid| Admitted { gid, rights });
        self.judge_again(poller, now);
        given
    }

    /// Whoever is connected has the rights of now. Who may not speak to it any more is told so, and cut.
    fn judge_again(&mut self, poller: &Poller, now: Time) {
        for number in self.clients.keys().copied().collect::<Vec<_>>() {
            let Some(client) = self.clients.get_mut(&number) else { continue };
            let rights = getsockopt(&*client, sockopt::PeerCredentials)
                .ok()
                .and_then(|peer| rights_of(&*client, &peer, self.admitted));
            if let Some(rights) = rights {
                client.peer.rights = rights;
                continue;
            }
            client.refuse(ErrorCode::Forbidden, forbidden(client.peer.uid));
            let goes_on = client.write(now);
            self.go_on(poller, number, goes_on, now);
        }
    }
}

/// Root, and the user that we are.
pub(super) fn is_owner(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// What somebody may ask for; none may ask for nothing. Its groups are those of when it connected.
pub(super) fn rights_of(
    stream: &impl AsFd,
    peer: &UnixCredentials,
    admitted: Option<Admitted>,
) -> Option<Rights> {
    if is_owner(peer.uid()) {
        return Some(Rights::Full);
    }
    let admitted = admitted?;
    let is_member = peer.gid() == admitted.gid || peer_groups(stream).contains(&admitted.gid);
    is_member.then_some(admitted.rights)
}

pub(super) fn forbidden(uid: u32) -> String {
    format!("the user {uid} may not speak to this supervisor; see `control_group`")
}
