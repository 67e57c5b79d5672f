//! The keys of the file: the one list of them. The comment on a key is its documentation for users.

use super::cgroup::{Bytes, Percent, Tasks};
use super::described::Key;
use super::field::{Field, Value as _};
use super::listen::Listen;
use super::notes::Notes;
use super::outlet::{Backups, LogBytes};
use super::probe::{CheckTable, HttpTarget, TcpTarget};
use super::problem::Problem;
use super::rights::{
    AmbientSet, BoundingSet, Mode, Nice, OomScore, Rlimits, ServiceGroup, ServiceGroups, ServiceUser,
    SocketGroup, SocketUser,
};
use super::sequence::Names;
use super::similar;
use super::value::{
    Backlog, Command, ControlDirectory, Env, Failures, FilePath, Gate, Pause, Port, Signal, Starts, Status,
    Surge, Timeout, Unavailable, WholeSeconds, Workers,
};
use crate::plan::{
    self, Address, Handshake, Orphans, Outlet, Restart, RestartOrder, Rights, ServiceName, WhenIdle,
};
use std::borrow::Cow;
use toml::Spanned;
use toml::de::DeTable;

/// Makes of a list of keys a struct with one [`Field`] each, and what is the same for all tables.
macro_rules! tables {
    ($($(#[doc = $about:literal])* $Table:ident {
        $($(#[doc = $doc:literal])* $key:ident: $Kind:ty,)*
    })*) => {$(
        $(#[doc = $about])*
        pub(super) struct $Table<'t> { $($(#[doc = $doc])* pub(super) $key: Field<'t, $Kind>,)* }

        impl<'t> $Table<'t> {
            /// The keys of this table.
            pub(super) const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];

            /// What users are told of this table.
            pub(super) const ABOUT: &'static [&'static str] = &[$($about),*];

            /// What users are told of each key, in the order of the list.
            pub(super) fn described() -> Vec<Key> {
                vec![$(Key { name: stringify!($key), lines: &[$($doc),*], schema: <$Kind>::schema() }),*]
            }

            /// The table where it is not there.
            pub(super) fn absent() -> Self {
                Self { $($key: Field::absent(stringify!($key)),)* }
            }

            /// Takes the fields of `table`, which has few of them mostly; notes the keys that it should not have.
            pub(super) fn of(table: &'t DeTable<'t>, notes: &mut Notes<'_>) -> Self {
                let mut fields = Self::absent();
                for (key, value) in table {
                    match key.get_ref().as_ref() {
                        $(stringify!($key) => fields.$key = Field::given(stringify!($key), value),)*
                        _ => unknown_key(key, Self::KEYS, notes),
                    }
                }
                fields
            }

            /// This table, with the fields that it lacks taken from `defaults`.
            #[allow(dead_code, reason = "only a service has defaults")]
            pub(super) fn or(self, defaults: &Self) -> Self {
                Self { $($key: self.$key.or(&defaults.$key),)* }
            }

            /// Reads every field for its mistakes.
            #[allow(dead_code, reason = "only `[defaults]` is read for its mistakes alone")]
            pub(super) fn review(&self, notes: &mut Notes<'_>) {
                $(self.$key.read(notes);)*
            }
        }
    )*};
}

tables! {
    /// `[bootstrap]`: what concerns the supervisor itself. All of it is optional.
    Bootstrap {
        /// What to do when nothing is up and nothing can come back by itself: `"exit"` ends the supervisor, with 1
        /// if a service crashed, else with 0; `"wait"` keeps it for the operator. Default: `"exit"`.
        when_idle: WhenIdle,
        /// What becomes of servers that a supervisor left behind that was killed: `"adopt"` takes them over, and they
        /// serve on; `"stop"` asks them to leave and starts others on their sockets; `"ignore"` leaves them alone.
        /// Default: `"adopt"`.
        orphans: Orphans,
        /// File of `NAME=value` lines, read at each SIGUSR1: `BOOTSTRAP_SELECT` may stand in it and names the
        /// services to restart. Default: none; the supervisor's own environment is asked.
        env_file: FilePath,
        /// Directory of the control socket and of the lock that keeps a second supervisor out; it is made, readable
        /// by nobody else. Default: `$RUNTIME_DIRECTORY`, else `bootstrap/STEM` of the file's name below `/run` for
        /// root and below `$XDG_RUNTIME_DIR` for others, who without that have `STEM` below `/tmp/bootstrap-UID`.
        runtime_dir: ControlDirectory,
        /// Name of the group whose members may speak to the control socket, besides root and the user that the
        /// supervisor runs as. Default: none.
        control_group: ServiceGroup,
        /// What members of `control_group` may do: `"read"` lets them look, `"full"` act as well. Default: `"read"`.
        control_rights: Rights,
        /// How many services may start or restart a process at a time, when more than that are to: a boot of ten
        /// thousand is a wave and not a flood. What crashes starts again without waiting for others. Default:
        /// `100`.
        start_concurrency: Starts,
    }

    /// `[[service]]`: one service. `[defaults]` takes the same keys, but for `name`, `port`, `listen` and
    /// `command`.
    Service {
        /// Its name in log lines and on the command line: `a-z`, `0-9`, `-` and `_`, at most 64, and no `-` first. No default.
        name: ServiceName,
        /// Short for `listen = ["tcp://0.0.0.0:PORT"]`; a number from 1 to 65535. May stand beside `listen`,
        /// and then comes first. Default: none.
        port: Port,
        /// The sockets that are held for it, as one text or an array: `"tcp://127.0.0.1:80"`,
        /// `"tcp://[::]:80"`, `"udp://0.0.0.0:53"`, `"unix:/run/web.sock"`, or a table with an `address` and
        /// settings. Their descriptors are handed over in this order. Default: none; a service needs no socket.
        listen: Listen,
        /// The program and its arguments: an array, or a text that is split like a shell does and run without
        /// one. `{fd}`, `{fd:NAME}`, `{pipe}`, `{port}`, `{worker}` and `{generation}` are replaced. No default.
        command: Command,
        /// What follows an exit that nobody asked for: `"no"` leaves this service down and touches no other,
        /// `"on-failure"` starts it again unless it exited with 0, `"always"` starts it again. Default: `"no"`.
        restart: Restart,
        /// Which comes first in a restart: `"stop-first"` starts the successor when the old process accepts no more;
        /// `"start-first"` starts it beside the old process, which is asked to leave when the new one is ready.
        /// Default: `"stop-first"`.
        restart_order: RestartOrder,
        /// How long a new process has to stay alive after it was ready, before what it replaces is given up: the
        /// old process with `"start-first"`, the way back to its program with `"stop-first"`. Default: `"0s"`.
        bake_time: Pause,
        /// Whether, with `"stop-first"`, the program that served last comes back when its successor dies or is not
        /// ready in time: with the command and environment of then, and from the very file that ran, even if it
        /// was replaced. With `"start-first"` the old process never left. With either, a crash after a restart
        /// that failed starts that program again. Default: `true`.
        rollback: bool,
        /// How many processes serve side by side on the same sockets, from 1 to 256. Default: `1`.
        workers: Workers,
        /// With `"start-first"`: how many workers a restart replaces at once, each beside its predecessor.
        /// Default: `1`.
        max_surge: Surge,
        /// With `"stop-first"`: how many workers may be missing at once in a restart. Default: `1`.
        max_unavailable: Unavailable,
        /// Whether a restart replaces one worker alone, and the others only when that one is up and its
        /// `bake_time` is over. Default: `false`.
        canary: bool,
        /// How sockets are handed over: `"pipe"` appends `LISTEN_FD PIPE_FD` to the command, asks with SIGUSR1
        /// and awaits 7 bytes on the pipe; `"systemd"` passes `LISTEN_FDS` and a `NOTIFY_SOCKET`; `"server-starter"`
        /// passes `SERVER_STARTER_PORT`; `"einhorn"` passes `EINHORN_FD_0` and so on; `"inetd"` makes the one
        /// socket the stdin of the process; `"none"` puts descriptors where the placeholders are, which the others
        /// do as well. Default: `"pipe"` with a socket, `"none"` without.
        handshake: Handshake,
        /// What makes a new process `up`: `"pipe"` awaits the 7 bytes `ready  ` on the pipe of the handshake;
        /// `"accepting"` awaits that the kernel shows it waiting for clients on a socket of the service;
        /// `"started"` that its program was started; `"delay"` that it has lived for `ready_delay`; `"tcp"`, `"http"`
        /// and `"exec"` ask what `check` asks until there is a good answer. Default: whichever of the first two comes first, and without a socket `"started"`.
        ready: Gate,
        /// How long it lives before it is `up`; with `ready = "delay"`, and shorter than `ready_timeout`. No
        /// default.
        ready_delay: Timeout,
        /// How a process is asked again and again whether it serves, as a table: `tcp`, `http` or `exec`, and how
        /// often. Too many bad answers in a row make it unhealthy: it is restarted unless `restart` is `"no"`, and
        /// in its `bake_time` it goes. Default: nothing is asked.
        check: CheckTable,
        /// With `handshake = "systemd"`: how often it has to say `WATCHDOG=1`; `WATCHDOG_USEC` tells it. One that
        /// fails to is unhealthy. Default: off.
        watchdog: Timeout,
        /// Whether the service is restarted when the file of its program changes, or a symbolic link on the way to
        /// it, and was then left alone for half a second. Default: `false`.
        watch: bool,
        /// Services that this one starts after: once they are up, or have given up. When everything stops they stop
        /// after it. A name, or an array of names. Default: none.
        after: Names,
        /// Services that have to be up before this one starts; when everything stops they stop after it. A name, or
        /// an array of names. Default: none.
        requires: Names,
        /// Working directory of the process. A program of `command` or of an `exec` check that is a relative path, such
        /// as `./server`, begins there, too. Default: the supervisor's own.
        directory: FilePath,
        /// Environment variables of the process, over those of the supervisor and of `env_file`; placeholders
        /// are replaced. Those of `[defaults]` are added, name by name. Default: none.
        env: Env,
        /// File of `NAME=value` lines for its environment, read at each start. Default: none.
        env_file: FilePath,
        /// Where its stdout goes: `"inherit"`, where that of bootstrap goes; `"null"`, nowhere; `"journal"`, the journal
        /// of systemd; `"syslog"`; or `"file:PATH"`, an absolute path. Default: `"inherit"`.
        stdout: Outlet,
        /// The same for its stderr. Both may go to one file, and several services too. Default: `"inherit"`.
        stderr: Outlet,
        /// Bytes after which a log file becomes a backup and another is begun, such as `"10M"`, or `"unlimited"`.
        /// Default: `"50M"`.
        log_max_bytes: LogBytes,
        /// How many backups are kept: `PATH.1` is the newest. Default: `10`.
        log_backups: Backups,
        /// Whether backups are compressed with gzip. Default: `false`.
        log_compress: bool,
        /// Whether each line of a log file begins with the time, the service and the pid. Default: `true`.
        log_timestamps: bool,
        /// The user that the process is, by name or number: with its group, its supplementary groups, and HOME, USER,
        /// LOGNAME and SHELL, unless `env_file` or `env` sets them. Looked up when the file is read. Default:
        /// bootstrap's own.
        user: ServiceUser,
        /// The group of the process, by name or number. Default: that of `user`, or bootstrap's own.
        group: ServiceGroup,
        /// Groups that the process is in besides those of `user`: an array of names and numbers. Default: none; where
        /// there is neither `user` nor `group`, bootstrap's own.
        supplementary_groups: ServiceGroups,
        /// What files that it makes are not allowed, as octal text such as `"0027"`. Default: bootstrap's own.
        umask: Mode,
        /// Its share of the processor: from -20, the largest, to 19. Default: bootstrap's own.
        nice: Nice,
        /// From -1000, which the kernel never kills when memory runs out, to 1000, which it kills first. Default:
        /// bootstrap's own.
        oom_score_adjust: OomScore,
        /// Limits of `setrlimit(2)`, as a table: `{ nofile = "1024:4096", core = "unlimited" }`, the soft limit before
        /// the hard one, or one for both; bytes may be written as `"64M"`. Default: bootstrap's own.
        rlimits: Rlimits,
        /// Whether neither it nor a program of it can gain rights, not by a set-user-ID bit either. Default: `false`.
        no_new_privs: bool,
        /// The capabilities that it, or a program of it, can ever have: an array of names such as
        /// `"net_bind_service"`. It has them if it is root. Default: all that bootstrap could have.
        capabilities: BoundingSet,
        /// Capabilities that it has although it is not root. Default: none with a `user`, else bootstrap's own.
        ambient_capabilities: AmbientSet,
        /// A cgroup for its processes, as a table. In it a process is of the service whatever it does, and the limits
        /// hold for all of them together. Default: none; it is in that of bootstrap.
        cgroup: plan::Cgroup,
        /// The signal that asks the main process to leave: a name such as `"SIGQUIT"` or `"quit"`, or a number.
        /// Default: `"SIGUSR1"` with the pipe handshake, `"SIGUSR2"` with einhorn's, else `"SIGTERM"`.
        stop_signal: Signal,
        /// How long a server that was asked to leave may take to say that it accepts no more. Default: `"10s"`.
        handover_timeout: Timeout,
        /// How long it may then take to finish what is in flight. Default: `"1m"`.
        drain_timeout: Timeout,
        /// How long it has between SIGTERM and SIGKILL. Default: `"5s"`.
        stop_timeout: Timeout,
        /// How long a new process may take to be ready. Default: `"30s"`.
        ready_timeout: Timeout,
        /// Pause before the second restart in a row after a crash; the first is immediate. Default: `"200ms"`.
        restart_delay: Pause,
        /// The pause doubles up to this. Default: `"30s"`.
        restart_delay_max: Pause,
        /// A life of this length wipes the earlier crashes out. Default: `"10s"`.
        healthy_after: Pause,
    }

    /// `cgroup` of a service, in a tree of version 2.
    Cgroup {
        /// The cgroup below which there is one for each service. It is made where only its last name is missing. No
        /// default.
        path: FilePath,
        /// Bytes of memory that its processes may use together, such as `"512M"`. Default: no limit.
        memory_max: Bytes,
        /// Their share of the processors, such as `"150%"` for one and a half. Default: no limit.
        cpu_max: Percent,
        /// How many processes and threads there may be. Default: no limit.
        pids_max: Tasks,
    }

    /// `[service.check]`: how a process is asked whether it serves. One of the first three is needed. `{port}`,
    /// `{worker}` and `{generation}` are replaced in them.
    Check {
        /// To connect is a good answer: `"IP:PORT"` or `"unix:PATH"`.
        tcp: TcpTarget,
        /// The status of the answer to a GET tells: `"http://IP:PORT/PATH"` or `"http://unix:SOCKET:/PATH"`.
        http: HttpTarget,
        /// A command, which gets the environment of the service and `BOOTSTRAP_PID`; to exit with 0 is a good answer.
        exec: Command,
        /// With `http`: the good status. Default: any from 200 to 399.
        status: Status,
        /// Pause between an answer and the next question. Default: `"10s"`.
        period: Timeout,
        /// Without an answer after this time it is a bad one; a command is killed. Default: `"2s"`.
        timeout: Timeout,
        /// So many bad answers in a row make it unhealthy, from 1 to 100. Default: `3`.
        failures: Failures,
    }

    /// A table in `listen`: an address and the settings of its socket, which are written back before each start.
    Listener {
        /// Its name for `{fd:NAME}`, unique within the service. Default: none.
        name: ServiceName,
        /// Where clients reach it: `"tcp://IP:PORT"`, `"udp://IP:PORT"` or `"unix:PATH"`. No default.
        address: Address,
        /// Clients that may wait to be accepted, from 1 to 65535; not for UDP. Default: the most that the kernel
        /// allows.
        backlog: Backlog,
        /// Whether accepting from the socket never blocks. Default: `false`.
        nonblocking: bool,
        /// A TCP connection is handed to the server with its first bytes, or after this time, in whole seconds;
        /// not for servers that speak first. Default: off.
        defer_accept: WholeSeconds,
        /// Who may connect, as octal text such as `"0660"`; for the path of a unix socket. Default: what the umask
        /// of bootstrap leaves of 0777.
        mode: Mode,
        /// The user that the path of a unix socket belongs to, by name or number. Default: that of bootstrap.
        user: SocketUser,
        /// The group that the path of a unix socket belongs to, by name or number. Default: that of bootstrap.
        group: SocketGroup,
    }
}

/// Notes the keys of `table` that are none of `known`.
pub(super) fn unknown_keys(table: &DeTable<'_>, known: &'static [&'static str], notes: &mut Notes<'_>) {
    for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
        unknown_key(key, known, notes);
    }
}

fn unknown_key(key: &Spanned<Cow<'_, str>>, known: &'static [&'static str], notes: &mut Notes<'_>) {
    let name = key.get_ref();
    let meant = similar::key(name, known);
    notes.add(key.span(), Problem::unknown_key(name, meant, known));
}
