//! The hand-over protocols, as a table over one mechanism: where descriptors go, which variables tell of them,
//! and on what the server answers.

use super::granted::Granted;
use crate::plan::{Address, Handshake, ListenerSpec};

/// What makes one hand-over protocol differ from another.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// The numbers that the listeners have in the server.
    pub numbers: Numbers,
    /// Whether the numbers are appended to a command that does not place them.
    pub appended: bool,
    /// On what the server talks to us.
    pub voice: Voice,
    /// Whether the signal that asks is ignored until the server has a handler for it: an early one would kill a
    /// server whose answer is awaited.
    pub starts_deaf: bool,
    variables: fn(&Granted<'_>) -> Vec<(String, Value)>,
}

/// The numbers that the listeners have in the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// 3, 4, 5 and so on.
    FromThree,
    /// 0, 3, 4 and so on: the first is its stdin.
    Stdin,
}

/// On what a server talks to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// On nothing: its exit is its only answer.
    Silent,
    /// The pipe with the words of seven bytes.
    Pipe,
    /// A socket for the datagrams of `sd_notify`.
    Notify,
    /// A socket for the one message that einhorn's workers send.
    Ack,
}

/// What a variable holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// This.
    Text(String),
    /// The pid of the server, which nobody knows before there is one.
    OwnPid,
}

impl Dialect {
    /// The protocol of this handshake.
    pub fn of(handshake: Handshake) -> &'static Self {
        match handshake {
            Handshake::Pipe => &PIPE,
            Handshake::Systemd => &SYSTEMD,
            Handshake::ServerStarter => &SERVER_STARTER,
            Handshake::Einhorn => &EINHORN,
            Handshake::Inetd => &INETD,
            Handshake::None => &NONE,
        }
    }

    /// The variables that tell a server what it is given.
    pub fn variables(&self, granted: &Granted<'_>) -> Vec<(String, Value)> {
        (self.variables)(granted)
    }
}

impl Numbers {
    /// The numbers in the server of this many listeners.
    pub fn of(self, count: usize) -> Vec<i32> {
        match self {
            Self::FromThree => (3..).take(count).collect(),
            Self::Stdin => std::iter::once(0).chain(3..).take(count).collect(),
        }
    }
}

const NONE: Dialect = Dialect {
    numbers: Numbers::FromThree,
    appended: false,
    voice: Voice::Silent,
    starts_deaf: false,
    variables: |_| Vec::new(),
};

const PIPE: Dialect = Dialect { appended: true, voice: Voice::Pipe, starts_deaf: true, ..NONE };

const SYSTEMD: Dialect = Dialect { voice: Voice::Notify, variables: systemd, ..NONE };

const SERVER_STARTER: Dialect = Dialect { variables: server_starter, ..NONE };

const EINHORN: Dialect = Dialect { voice: Voice::Ack, variables: einhorn, ..NONE };

const INETD: Dialect = Dialect { numbers: Numbers::Stdin, ..NONE };

fn text(name: impl Into<String>, value: &impl ToString) -> (String, Value) {
    (name.into(), Value::Text(value.to_string()))
}

/// As `sd_listen_fds_with_names(3)` and `sd_notify(3)` read them. A listener without a name has that of the
/// service, as one of a socket unit has that of the unit.
fn systemd(granted: &Granted<'_>) -> Vec<(String, Value)> {
    let mut variables: Vec<_> =
        granted.notify.map(|address| text("NOTIFY_SOCKET", &address)).into_iter().collect();
    if !granted.fds.is_empty() {
        let name = |listener: &ListenerSpec| listener.name.as_deref().unwrap_or(granted.service).to_owned();
        let names: Vec<String> = granted.listeners.iter().map(name).collect();
        variables.push(text("LISTEN_FDS", &granted.fds.len()));
        variables.push(text("LISTEN_FDNAMES", &names.join(":")));
        variables.push(("LISTEN_PID".into(), Value::OwnPid));
    }
    variables
}

/// As `Server::Starter` writes them: `HOST:PORT=FD` or `PATH=FD`, with `;` between. It has no word for UDP.
fn server_starter(granted: &Granted<'_>) -> Vec<(String, Value)> {
    let port = |(listener, fd): (&ListenerSpec, &i32)| match &listener.address {
        Address::Tcp(address) => Some(format!("{address}={fd}")),
        Address::Unix(path) => Some(format!("{}={fd}", path.display())),
        Address::Udp(_) => None,
    };
    let ports: Vec<String> = granted.listeners.iter().zip(granted.fds).filter_map(port).collect();
    vec![
        text("SERVER_STARTER_PORT", &ports.join(";")),
        text("SERVER_STARTER_GENERATION", &granted.generation),
    ]
}

/// As einhorn sets them for a worker that finds its command socket as a descriptor.
fn einhorn(granted: &Granted<'_>) -> Vec<(String, Value)> {
    let fds = granted.fds.iter().enumerate().map(|(index, fd)| text(format!("EINHORN_FD_{index}"), fd));
    let path = granted.ack_path.map(|fd| text("EINHORN_SOCK_PATH", &format!("/proc/self/fd/{fd}")));
    fds.chain(granted.ack.map(|fd| text("EINHORN_SOCK_FD", &fd)))
        .chain(path)
        .chain([
            text("EINHORN_FD_COUNT", &granted.fds.len()),
            text("EINHORN_MASTER_PID", &granted.supervisor),
            text("EINHORN_CHILD_INDEX", &granted.worker),
        ])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Generation;

    /// `NAME=value` for a service with a TCP, a named v6, a unix and a UDP listener.
    fn variables(handshake: Handshake, fds: &[i32]) -> Vec<String> {
        let mut v6 = ListenerSpec::new(Address::Tcp("[::1]:8443".parse().unwrap()));
        v6.name = Some("tls".into());
        let all = [
            ListenerSpec::new(Address::Tcp("0.0.0.0:80".parse().unwrap())),
            v6,
            ListenerSpec::new(Address::Unix("/run/web.sock".into())),
            ListenerSpec::new(Address::Udp("127.0.0.1:53".parse().unwrap())),
        ];
        let granted = Granted {
            service: "web",
            listeners: &all[..fds.len()],
            fds,
            pipe: None,
            notify: Some("@1a2b3"),
            ack: Some(9),
            ack_path: Some(10),
            generation: Generation(4),
            worker: 2,
            supervisor: 77,
        };
        let line = |(name, value)| match value {
            Value::Text(text) => format!("{name}={text}"),
            Value::OwnPid => format!("{name}=its own"),
        };
        Dialect::of(handshake).variables(&granted).into_iter().map(line).collect()
    }

    #[test]
    fn each_protocol_has_its_own_variables() {
        for (handshake, fds, expected) in [
            (Handshake::Pipe, &[5, 6][..], &[][..]),
            (Handshake::None, &[5, 6], &[]),
            (Handshake::Inetd, &[0], &[]),
            (
                Handshake::Systemd,
                &[3, 4],
                &["NOTIFY_SOCKET=@1a2b3", "LISTEN_FDS=2", "LISTEN_FDNAMES=web:tls", "LISTEN_PID=its own"],
            ),
            (Handshake::Systemd, &[], &["NOTIFY_SOCKET=@1a2b3"]),
            (
                Handshake::ServerStarter,
                &[5, 6, 7, 8],
                &[
                    "SERVER_STARTER_PORT=0.0.0.0:80=5;[::1]:8443=6;/run/web.sock=7",
                    "SERVER_STARTER_GENERATION=4",
                ],
            ),
            (
                Handshake::Einhorn,
                &[5, 6],
                &[
                    "EINHORN_FD_0=5",
                    "EINHORN_FD_1=6",
                    "EINHORN_SOCK_FD=9",
                    "EINHORN_SOCK_PATH=/proc/self/fd/10",
                    "EINHORN_FD_COUNT=2",
                    "EINHORN_MASTER_PID=77",
                    "EINHORN_CHILD_INDEX=2",
                ],
            ),
        ] {
            assert_eq!(variables(handshake, fds), expected, "{handshake:?}");
        }
    }

    #[test]
    fn each_protocol_puts_descriptors_where_its_servers_look() {
        for handshake in [
            Handshake::Pipe,
            Handshake::None,
            Handshake::ServerStarter,
            Handshake::Einhorn,
            Handshake::Systemd,
        ] {
            assert_eq!(Dialect::of(handshake).numbers.of(3), [3, 4, 5], "{handshake:?}");
        }
        assert_eq!(Dialect::of(Handshake::Inetd).numbers.of(3), [0, 3, 4]);
        assert!(Numbers::FromThree.of(0).is_empty() && Numbers::Stdin.of(0).is_empty());
    }

    #[test]
    fn only_the_pipe_handshake_appends_and_starts_deaf_and_each_has_its_signal_and_its_voice() {
        for (handshake, signal, voice) in [
            (Handshake::Pipe, libc::SIGUSR1, Voice::Pipe),
            (Handshake::Systemd, libc::SIGTERM, Voice::Notify),
            (Handshake::ServerStarter, libc::SIGTERM, Voice::Silent),
            (Handshake::Einhorn, libc::SIGUSR2, Voice::Ack),
            (Handshake::Inetd, libc::SIGTERM, Voice::Silent),
            (Handshake::None, libc::SIGTERM, Voice::Silent),
        ] {
            let dialect = Dialect::of(handshake);
            assert_eq!((handshake.default_stop_signal(), dialect.voice), (signal, voice), "{handshake:?}");
            let pipe = handshake == Handshake::Pipe;
            assert_eq!((dialect.appended, dialect.starts_deaf), (pipe, pipe), "{handshake:?}");
        }
    }
}
