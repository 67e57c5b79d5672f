//! What the kernel is asked about sockets that listen and about their connections, and what it answers: `NETLINK_SOCK_DIAG`, as
//! `sock_diag(7)` has it. Numbers are in the order of the machine.

/// `SOCK_DIAG_BY_FAMILY`: the kind of the question, and of each answer to it.
const BY_FAMILY: u16 = 20;

/// `NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH`: all of them.
const DUMP: u16 = 0x301;

/// `AF_UNIX`, `AF_INET` and `AF_INET6`.
const UNIX: u8 = 1;
const V4: u8 = 2;
const V6: u8 = 10;

/// `IPPROTO_TCP`.
const TCP: u8 = 6;

/// The bit of `TCP_LISTEN` among the states.
const LISTENS: u32 = 1 << 10;

/// The bits of the states in which a connection may belong to a process: `TCP_ESTABLISHED`, `TCP_FIN_WAIT1`, `TCP_FIN_WAIT2`,
/// `TCP_CLOSE_WAIT`, `TCP_LAST_ACK` and `TCP_CLOSING`. Unix sockets have the first.
const CONNECTED: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;

/// `UDIAG_SHOW_NAME` and `UDIAG_SHOW_RQLEN`: with the path, and with the length of the queue.
const WITH_NAME: u32 = 0x1;
const WITH_QUEUE: u32 = 0x10;

/// `UNIX_DIAG_NAME`: the attribute that has the path.
const NAME: u16 = 0;

/// `UNIX_DIAG_RQLEN`: the attribute that has it.
const QUEUE: u16 = 4;

/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// Bytes of the header of a message, of what describes a unix socket, and of the header of an attribute.
const HEADER: usize = 16;
const UNIX_SOCKET: usize = 16;
const ATTRIBUTE: usize = 4;

/// Bytes of the addresses in a question about TCP sockets: those of which state they are is not told by them.
const ADDRESSES: usize = 48;

/// Where in the description of a TCP socket its queue begins (`idiag_rqueue`, then `idiag_wqueue`), and where its inode is.
/// Of one that listens they mean who waits, and how many may (`tcp_diag_get_info` in the kernel).
const TCP_QUEUE: usize = 4 + ADDRESSES + 4;
const TCP_INODE: usize = TCP_QUEUE + 12;

/// The sockets that one question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unix sockets.
    Unix,
    /// TCP sockets at a v4 address.
    TcpV4,
    /// TCP sockets at a v6 address.
    TcpV6,
}

/// Something that the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketQueue {
    /// Of a socket that listens.
    Of {
        /// The lower half of its inode, which is all that there is of it.
        inode: u32,
        /// Clients that wait to be accepted.
        waiting: u32,
        /// How many may.
        limit: u32,
    },
    /// Nothing more comes, or it does not tell.
    End,
}

/// The question for the queues of all sockets of this kind that listen.
pub fn ask_queues(kind: Kind) -> Vec<u8> {
    match kind {
        Kind::Unix => about_unix(LISTENS, WITH_QUEUE),
        Kind::TcpV4 => about_tcp(V4, LISTENS, 0),
        Kind::TcpV6 => about_tcp(V6, LISTENS, 0),
    }
}

/// The question for the connections of this kind whose own end has this port; of unix sockets for all that have a name.
pub fn ask_connections(kind: Kind, port: u16) -> Vec<u8> {
    match kind {
        Kind::Unix => about_unix(CONNECTED, WITH_NAME),
        Kind::TcpV4 => about_tcp(V4, CONNECTED, port),
        Kind::TcpV6 => about_tcp(V6, CONNECTED, port),
    }
}

/// Family, protocol, two bytes of nothing; states; no inode; what to show; no cookie.
fn about_unix(states: u32, show: u32) -> Vec<u8> {
    question(
        &[&[UNIX, 0, 0, 0][..], &states.to_ne_bytes(), &[0; 4], &show.to_ne_bytes(), &[0xff; 8]].concat(),
    )
}

/// Family, protocol, two bytes of nothing; states; the port of the own end, 0 for any, in the order of the network, and no
/// addresses else.
fn about_tcp(family: u8, states: u32, port: u16) -> Vec<u8> {
    let head = [family, TCP, 0, 0];
    question(&[&head[..], &states.to_ne_bytes(), &port.to_be_bytes(), &[0; ADDRESSES - 2]].concat())
}

fn question(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend(u32::try_from(HEADER + body.len()).unwrap_or(0).to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    // The number of the question, and of who asks: the kernel fills the second in.
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes
}

/// The sockets that one datagram of an answer tells of, and whether it is the last: what is not whole is.
fn messages(mut bytes: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut found = Vec::new();
    let nothing = bytes.is_empty();
    while let Some(message) = first(bytes, u32_at(bytes, 0)) {
        match u16_at(message, 4) {
            Some(BY_FAMILY) => found.push(message),
            Some(ERROR | DONE) | None => return (found, true),
            Some(_) => {}
        }
        bytes = bytes.get(aligned(message.len())..).unwrap_or_default();
    }
    (found, nothing || !bytes.is_empty())
}

/// Reads one datagram of the answer for queues. What is not whole counts as the end.
pub fn read_queues(bytes: &[u8]) -> Vec<SocketQueue> {
    let (found, is_last) = messages(bytes);
    found.into_iter().filter_map(queue).chain(is_last.then_some(SocketQueue::End)).collect()
}

/// Reads one datagram of the answer for connections: the lower half of the inode of each that somebody has accepted or made, and
/// the name of a unix socket; and whether it is the last.
pub fn read_connections(bytes: &[u8]) -> (Vec<(u32, Vec<u8>)>, bool) {
    let (found, is_last) = messages(bytes);
    // One that waits to be accepted has none yet.
    let connections = found.into_iter().filter_map(connection).filter(|(inode, _)| *inode != 0);
    (connections.collect(), is_last)
}

fn connection(message: &[u8]) -> Option<(u32, Vec<u8>)> {
    match *message.get(HEADER)? {
        UNIX => Some((u32_at(message, HEADER + 4)?, attribute(message, NAME)?.to_vec())),
        V4 | V6 => Some((u32_at(message, HEADER + TCP_INODE)?, Vec::new())),
        _ => None,
    }
}

/// The socket of one message, if it has a queue.
fn queue(message: &[u8]) -> Option<SocketQueue> {
    match *message.get(HEADER)? {
        UNIX => unix_queue(message),
        V4 | V6 => {
            let (waiting, limit) =
                (u32_at(message, HEADER + TCP_QUEUE)?, u32_at(message, HEADER + TCP_QUEUE + 4)?);
            Some(SocketQueue::Of { inode: u32_at(message, HEADER + TCP_INODE)?, waiting, limit })
        }
        _ => None,
    }
}

fn unix_queue(message: &[u8]) -> Option<SocketQueue> {
    let inode = u32_at(message, HEADER + 4)?;
    let queue = attribute(message, QUEUE)?;
    Some(SocketQueue::Of { inode, waiting: u32_at(queue, 0)?, limit: u32_at(queue, 4)? })
}

/// What an attribute of a unix socket says.
fn attribute(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = message.get(HEADER + UNIX_SOCKET..)?;
    while let Some(attribute) = first(rest, u16_at(rest, 0).map(u32::from)) {
        if u16_at(attribute, 2) == Some(wanted) {
            return attribute.get(ATTRIBUTE..);
        }
        rest = rest.get(aligned(attribute.len())..).unwrap_or_default();
    }
    None
}

/// The first `len` bytes, where there are so many, and enough for the header of an attribute.
fn first(bytes: &[u8], len: Option<u32>) -> Option<&[u8]> {
    let len = usize::try_from(len?).ok()?;
    bytes.get(..len).filter(|_| len >= ATTRIBUTE)
}

/// Where the next one begins.
fn aligned(len: usize) -> usize {
    len.next_multiple_of(4)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Linux 6.18 said of two sockets, with a limit of 256 and of 4096. A little-endian machine wrote it.
    const HEARD: &str = "3400000014000200000000009b06000001010a001471040001100000000000000c000400000000000001000005000\
                         600000000003400000014000200000000009b06000001010a001671040002100000000000000c000400030000000\
                         01000000500060000000000";

    fn heard() -> Vec<u8> {
        let digits: Vec<u8> =
            HEARD.chars().filter_map(|c| c.to_digit(16)).map(|digit| u8::try_from(digit).unwrap()).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// A socket as the kernel describes it, with another attribute first.
    fn message(inode: u32, queue: Option<(u32, u32)>) -> Vec<u8> {
        let mut body = [&[UNIX, 1, 10, 0][..], &inode.to_ne_bytes(), &[0; 8]].concat();
        body.extend([&6_u16.to_ne_bytes()[..], &2_u16.to_ne_bytes(), &[0; 4]].concat());
        if let Some((waiting, limit)) = queue {
            body.extend([&12_u16.to_ne_bytes()[..], &QUEUE.to_ne_bytes()].concat());
            body.extend([waiting.to_ne_bytes(), limit.to_ne_bytes()].concat());
        }
        whole(BY_FAMILY, &body)
    }

    fn whole(kind: u16, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(HEADER + body.len()).unwrap();
        [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn what_a_kernel_has_said_is_understood() {
        let of = |inode, waiting, limit| SocketQueue::Of { inode, waiting, limit };
        assert_eq!(read_queues(&heard()), [of(0x4_7114, 0, 256), of(0x4_7116, 3, 4096)]);
    }

    #[test]
    fn the_question_is_as_long_as_it_says() {
        for kind in [Kind::Unix, Kind::TcpV4, Kind::TcpV6] {
            let question = ask_queues(kind);
            assert_eq!(u32_at(&question, 0), Some(u32::try_from(question.len()).unwrap()), "{kind:?}");
        }
    }

    #[test]
    fn sockets_of_an_answer_are_told_and_its_end() {
        let (a, b) = (message(7, Some((3, 128))), message(8, None));
        let of = SocketQueue::Of { inode: 7, waiting: 3, limit: 128 };
        assert_eq!(read_queues(&[&a[..], &b].concat()), [of]);
        let done = whole(DONE, &[0; 4]);
        assert_eq!(read_queues(&[&a[..], &b, &done, &a].concat()), [of, SocketQueue::End]);
        assert_eq!(read_queues(&b), [], "one without a queue is not the end");
        assert_eq!(read_queues(&whole(ERROR, &[0; 4])), [SocketQueue::End]);
        assert_eq!(read_queues(&[]), [SocketQueue::End]);
    }

    #[test]
    fn what_is_not_whole_is_the_end() {
        let text = [message(7, Some((3, 128))), message(9, Some((1, 2)))].concat();
        for len in 0..text.len() {
            let found = read_queues(&text[..len]);
            assert!(found.len() <= 2, "{len}: {found:?}");
            assert!(len == text.len() / 2 || found.last() == Some(&SocketQueue::End), "{len}: {found:?}");
        }
        // Lengths that lead nowhere: none is followed for ever.
        for len in [0_u32, 1, 4, 15, u32::MAX] {
            let mut wrong = text.clone();
            wrong[..4].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(read_queues(&wrong).last(), Some(&SocketQueue::End), "{len}");
        }
    }
}
