//! Packets between two processes of ours, and descriptors that come with them.
#![expect(unsafe_code, reason = "descriptors that the kernel has just made for us, by number")]

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Longest packet, in bytes: some lines of a log, and what JSON makes of them.
const PACKET_BYTES: usize = 64 * 1024;

/// Two ends of a socket on which packets stay whole.
///
/// # Errors
///
/// The system's.
pub fn packet_pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Sends one packet, and a descriptor with it; never blocks.
///
/// # Errors
///
/// `EAGAIN`: there is no room now. `EPIPE`: nobody is there.
pub fn send(socket: impl AsFd, message: &impl Serialize, with: Option<BorrowedFd<'_>>) -> nix::Result<()> {
    let text = serde_json::to_vec(message).map_err(|_| Errno::EINVAL)?;
    let numbers = with.map(|fd| [fd.as_raw_fd()]);
    let control: Vec<ControlMessage<'_>> =
        numbers.iter().map(|numbers| ControlMessage::ScmRights(numbers)).collect();
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_fd().as_raw_fd(), &[IoSlice::new(&text)], &control, flags, None).map(drop)
}

/// The next packet, and the descriptor that came with it; never blocks. Nothing: the other end is closed.
///
/// # Errors
///
/// `EAGAIN`: there is none now. `EBADMSG`: it is none of ours.
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> nix::Result<Option<(T, Option<OwnedFd>)>> {
    let mut buffer = vec![0; PACKET_BYTES];
    let mut control = cmsg_space!(RawFd);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(socket.as_fd().as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let numbers = received.cmsgs()?.flat_map(|message| {
        if let ControlMessageOwned::ScmRights(numbers) = message { numbers } else { Vec::new() }
    });
    // SAFETY: the kernel made each of them for us when it gave us the packet, and told nobody else.
    let mut fds: Vec<OwnedFd> = numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect();
    let length = received.bytes;
    if length == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(buffer.get(..length).unwrap_or_default());
    message.map(|message| Some((message, fds.pop()))).map_err(|_| Errno::EBADMSG)
}

/// What a pipe holds at most, in bytes.
pub fn pipe_capacity(pipe: impl AsFd) -> usize {
    fcntl(pipe, FcntlArg::F_GETPIPE_SZ).ok().and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
}

/// Gives a pipe room for so much, as far as that is allowed; gives what it has then.
pub fn widen_pipe(pipe: impl AsFd, bytes: usize) -> usize {
    let wanted = i32::try_from(bytes).unwrap_or(i32::MAX);
    // The system refuses it to users that have many pipes; the pipe stays as it was.
    let _ = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(wanted));
    pipe_capacity(pipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    #[test]
    fn packets_stay_whole_and_bring_descriptors_along() {
        let (ours, theirs) = packet_pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        send(&ours, &"one", Some(writer.as_fd())).unwrap();
        send(&ours, &vec![2; 3], None).unwrap();
        drop(writer);
        let (text, fd): (String, _) = receive(&theirs).unwrap().unwrap();
        assert_eq!(text, "one");
        File::from(fd.unwrap()).write_all(b"through").unwrap();
        let (numbers, fd): (Vec<i32>, _) = receive(&theirs).unwrap().unwrap();
        assert!(numbers == [2; 3] && fd.is_none());
        let mut got = String::new();
        reader.read_to_string(&mut got).unwrap();
        assert_eq!(got, "through");

        assert_eq!(receive::<String>(&theirs).unwrap_err(), Errno::EAGAIN);
        drop(ours);
        assert!(receive::<String>(&theirs).unwrap().is_none());
        assert_eq!(send(&theirs, &1, None), Err(Errno::EPIPE));
    }
}
