//! The socket for `sd_notify(3)`: one for each generation, and only its own processes are heard.
//!
//! It has an abstract name that the kernel chose, which anybody could guess, so each datagram counts only with
//! the pid that the kernel says sent it. A sender that has been reaped by the time we read is nobody's.
#![expect(unsafe_code, reason = "recvmsg(2) for the credentials of a sender, with no room for descriptors")]

use super::heard::Heard;
use crate::limits::{NOTIFY_BYTES, NOTIFY_TURN};
use crate::protocol::Notice;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, bind, getsockname, setsockopt, socket, sockopt,
};
use nix::unistd::{Pid, getpgid};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Our end; servers have none, but its address.
pub(super) struct NotifySocket(OwnedFd);

/// A datagram that arrived.
struct Datagram {
    len: usize,
    /// Who sent it.
    pid: i32,
    /// There was more of it than fits.
    cut: bool,
}

impl NotifySocket {
    /// Makes the socket; gives its address as `NOTIFY_SOCKET` has it.
    pub(super) fn new() -> io::Result<(Self, String)> {
        // Without a name the kernel gives it one of five hexadecimal digits.
        let ours = Self::bound(&UnixAddr::new_unnamed())?;
        let address = ours.address()?;
        Ok((ours, address))
    }

    /// Makes the socket again at an address that a server knows; nobody else has it, if this succeeds.
    pub(super) fn at(address: &str) -> io::Result<Self> {
        let name = address.strip_prefix('@').ok_or(Errno::EINVAL)?;
        Ok(Self::bound(&UnixAddr::new_abstract(name.as_bytes())?)?)
    }

    fn bound(address: &UnixAddr) -> nix::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let ours = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&ours, sockopt::PassCred, &true)?;
        bind(ours.as_raw_fd(), address)?;
        Ok(Self(ours))
    }

    /// Its address as `NOTIFY_SOCKET` has it.
    pub(super) fn address(&self) -> nix::Result<String> {
        let address: UnixAddr = getsockname(self.0.as_raw_fd())?;
        let name = address.as_abstract().and_then(|name| std::str::from_utf8(name).ok());
        Ok(format!("@{}", name.ok_or(Errno::EADDRNOTAVAIL)?))
    }

    /// Reads what is there, at most [`NOTIFY_TURN`] datagrams of [`NOTIFY_BYTES`]; longer ones are dropped, and
    /// so are those of strangers. Descriptors that come along are closed by the kernel before this returns,
    /// which is all that `BARRIER=1` asks for.
    pub(super) fn read(&mut self, leader: i32) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut buffer = [0; NOTIFY_BYTES];
        for _ in 0..NOTIFY_TURN {
            match self.receive(&mut buffer) {
                Ok(found) if found.cut || !is_of_group(found.pid, leader) => {}
                Ok(found) => {
                    let said = Notice::read(buffer.get(..found.len).unwrap_or_default());
                    heard.extend(said.into_iter().map(Heard::Notice));
                }
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        heard
    }

    fn receive(&self, buffer: &mut [u8]) -> nix::Result<Datagram> {
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // Aligned for a header, and larger than the one message that is let in.
        let mut control = [0_u64; 8];
        let size = u32::try_from(size_of::<libc::ucred>()).expect("three numbers");
        // SAFETY: `msghdr` is plain old data, for which all zeros is a value.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        // Room for the credentials, which come first, and for nothing else: a descriptor never becomes ours.
        // SAFETY: computes a number from a number.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(size) } as _;
        debug_assert!(message.msg_controllen as usize <= size_of_val(&control));
        // SAFETY: `message` points to one part, which is all of `buffer`, and to a part of `control`; both are
        // writable for the time of the call, and so is `message`.
        let result = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        let len = usize::try_from(Errno::result(result)?).unwrap_or(0);
        let cut = message.msg_flags & libc::MSG_TRUNC != 0;
        Ok(Datagram { len, pid: sender(&message).unwrap_or(0), cut })
    }
}

impl From<OwnedFd> for NotifySocket {
    /// Takes over a socket that was made for this; its name is known to the server already.
    fn from(ours: OwnedFd) -> Self {
        Self(ours)
    }
}

/// The pid in the credentials that came with a message.
fn sender(message: &libc::msghdr) -> Option<i32> {
    // SAFETY: the kernel has filled in the control part and set its length; the macro checks that a header fits.
    let header = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() }?;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) {
        return None;
    }
    // SAFETY: a message of this type holds one `ucred`, for which there was room; it may not be aligned for it.
    let credentials = unsafe { libc::CMSG_DATA(header).cast::<libc::ucred>().read_unaligned() };
    Some(credentials.pid)
}

/// Is this process in the group? 0 stands for one that we cannot see.
fn is_of_group(pid: i32, leader: i32) -> bool {
    pid > 0
        && (pid == leader || getpgid(Some(Pid::from_raw(pid))).is_ok_and(|group| group.as_raw() == leader))
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
