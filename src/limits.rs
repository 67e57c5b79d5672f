//! Every limit of the program: its value, its unit and why it is there.
//!
//! A limit that is not here does not exist. Each is tested at the limit and one past it.

use std::time::Duration;

/// Longest service name, in bytes. Names stand in log lines and on the control socket.
pub const SERVICE_NAME_BYTES: usize = 64;

/// Most services in one file. Two descriptors each must fit the hard limit of descriptors long before this.
pub const SERVICES: usize = 16_384;

/// Values that are kept to see whether the next service has the same: commands, policies, identities. Services that
/// are alike stand together, or come from one generator; a look through all of them is to cost less than one start.
pub const COMMON_VALUES: usize = 64;

/// Looks at the program of a service, from just before its starts, that are kept until it is watched: that of the newest
/// start counts, and one that fails again and again is not watched anew.
pub const LOOKS_KEPT: usize = 8;

/// Paths of binaries that are known to be such: services run a few programs, or each its own, and then one look more is what
/// a start costs.
pub const BINARIES_KNOWN: usize = 64;

/// Where so many sockets are held at most, TCP sockets are asked one by one what waits at them. Else all that listen on the machine are
/// asked for at once, which takes half of the time for each, but does not know ours from others.
pub const QUEUES_ASKED_ONE_BY_ONE: usize = 200;

/// Descriptors that the supervisor needs beside those of its services: standard streams, the numbers that children
/// get theirs under, signals, poller, lock, log, a start under way, and some clients.
pub const OWN_DESCRIPTORS: usize = 128;

/// Where fewer descriptors than these are left, nobody is asked to leave for a successor: what starts already may need them. To a
/// client of the control socket twice as many are left. From Linux 6.2 on; before, it would take too long to count them.
pub const DESCRIPTORS_FOR_STARTS: u64 = 8;

/// Most listeners of one service: each takes a descriptor, and an argument in the command line.
pub const LISTENERS_PER_SERVICE: usize = 64;

/// Most workers of one service: some for each processor of a large machine. More is a slip of the finger, and each is
/// a process.
pub const WORKERS: u32 = 256;

/// Largest config file, in bytes. Ten thousand services fit; a log file given by mistake does not.
pub const CONFIG_BYTES: u64 = 8 * 1024 * 1024;

/// Largest environment file, in bytes; it is read at each start of the service.
pub const ENV_FILE_BYTES: u64 = 1024 * 1024;

/// Longest unix socket path, in bytes: `sun_path` holds 108 with its closing NUL.
pub const UNIX_PATH_BYTES: usize = 107;

/// Longest path of a runtime directory: that of `control` in it is one of a unix socket.
pub const CONTROL_DIRECTORY_BYTES: usize = UNIX_PATH_BYTES - "/control".len();

/// Mistakes of one config file that are shown; the rest is counted.
pub const MISTAKES_SHOWN: usize = 50;

/// Longest duration a key may hold: a hundred days. A longer one is a slip of the unit.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// How long the lock of a supervisor that has ended may still be held before another one is refused. A child that it
/// was just starting has a share in its descriptors until it is its program, and the kernel takes some milliseconds to
/// close them.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Pause between two looks at that lock: nobody tells when it is free.
pub const LOCK_RETRY: Duration = Duration::from_millis(5);

/// How long the kernel may take to end a process after SIGKILL before we go on without it
/// (a process in uninterruptible sleep can neither accept nor answer).
pub const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// How long a process that has closed its pipe may take to end before that it has closed it is news. The kernel takes some
/// microseconds; where it takes longer, it is seen that the process is about to. It may be waited for twice: once by whoever
/// listens, for the exit, and once with other things to do.
pub const EXIT_PATIENCE: Duration = Duration::from_millis(2);

/// How many pipes that were closed are kept that long. More are closed at once: a supervisor may have just as many
/// descriptors as its services need.
pub const ENDS_HELD: usize = 8;

/// First pause before a server is asked again to leave, when its signal handler was not installed yet.
/// Doubles up to [`ASK_AGAIN_MAX`]; `handover_timeout` bounds the whole.
pub const ASK_AGAIN_FIRST: Duration = Duration::from_millis(10);

/// A server that is up and this old is asked without a look whether its signal handler is installed: the look costs a third
/// of a stop of everything. Where it is not, the signal is lost, and it is asked again, with a look, when half of
/// `handover_timeout` has passed.
pub const LISTENS_AFTER: Duration = Duration::from_secs(1);

/// Longest pause between two tries to ask a server whose signal handler is not installed yet.
pub const ASK_AGAIN_MAX: Duration = Duration::from_secs(1);

/// Bytes of log lines kept while stderr does not take them; what comes after is counted and dropped.
pub const LOG_QUEUE_BYTES: usize = 256 * 1024;

/// How long the last log lines may take to leave at the end of the program.
pub const LOG_FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// In a wait that ends so much too late this process stood still, and its servers most likely with it.
pub const STANDSTILL: Duration = Duration::from_secs(1);

/// How much longer is waited for what was to come meanwhile.
pub const STANDSTILL_GRACE: Duration = Duration::from_secs(1);

/// How long an exec is tried again that fails with `ETXTBSY`: whoever copied the file, or was forked then, has it open still.
pub const TEXT_BUSY_PATIENCE: Duration = Duration::from_millis(500);

/// Pause between two such tries.
pub const TEXT_BUSY_RETRY: Duration = Duration::from_millis(10);

/// How long a start is tried again for which the kernel has no process left (`EAGAIN`): those that leave make room as they end.
pub const NO_PROCESS_PATIENCE: Duration = Duration::from_secs(5);

/// Pause between two such tries.
pub const NO_PROCESS_RETRY: Duration = Duration::from_millis(50);

/// Bytes taken from one server's pipe in one turn: all that a pipe holds, so one turn after a server's death
/// finds everything that it said, and a server that never stops writing does not keep the others waiting.
pub const PIPE_TURN_BYTES: usize = 64 * 1024;

/// First pause between two looks at whether a server accepts.
pub const LOOK_FIRST: Duration = Duration::from_millis(2);

/// Longest pause between two such looks.
pub const LOOK_MAX: Duration = Duration::from_millis(100);

/// Pause between looks for which nobody waits: ten thousand may be stopped at once.
pub const LOOK_PATIENT: Duration = Duration::from_millis(500);

/// Looks in a row that must show nobody accepting before a leaving server counts as quiet: a worker that is
/// busy with a request shows nothing either.
pub const LOOKS_UNTIL_QUIET: u32 = 3;

/// Looks at one that starts and is not seen to wait, after which its clients are looked for; then after twice as many each time.
pub const LOOKS_UNTIL_CLOSER: u32 = 8;

/// Longest datagram of a server's notices, in bytes; systemd takes as much.
pub const NOTIFY_BYTES: usize = 4096;

/// Datagrams taken from one server's notify socket in one turn, so that none keeps the others waiting.
pub const NOTIFY_TURN: usize = 64;

/// Longest line of einhorn's command socket, in bytes. The one message that is understood has forty.
pub const ACK_LINE_BYTES: usize = 4096;

/// Connections of one worker to einhorn's command socket. It needs one, for a moment; this is room for mistakes.
pub const ACK_CONNECTIONS: usize = 8;

/// Processes of one run that are looked at to see whether it accepts, and passed through to find them. Few servers have as many.
pub const SIGHT_PROCESSES: usize = 256;

/// Threads of one process that are looked at to see whether it accepts.
pub const SIGHT_THREADS: usize = 256;

/// Descriptors of one process among which its epoll sets are looked for, the lowest first: they are older than its clients.
pub const SIGHT_DESCRIPTORS: usize = 1024;

/// Connections of one kind and port that are looked through for one that a process has accepted.
pub const SIGHT_CONNECTIONS: usize = 65_536;

/// Bytes read of the description of one epoll set: 90 or so for each descriptor in it.
pub const SIGHT_EPOLL_BYTES: u64 = 4 * 1024 * 1024;

/// Descriptors that are looked at of those that one `poll` or `select` waits for.
pub const SIGHT_POLLED: usize = 1024;

/// Longest part of a command that a log line shows, in characters.
pub const COMMAND_CHARS: usize = 200;

/// Generations of one worker that may be leaving at a time. Each is a process with connections of its own; with
/// a restart more often than they finish there would be no end to them.
pub const LEAVING: usize = 64;

/// Connections to the control socket. Each command is one; a hundred scripts at once are plenty. Members of
/// `control_group` together have half of them, so that the owner always finds room.
pub const CONTROL_CLIENTS: usize = 256;

/// Longest request on the control socket, in bytes: a thousand names of services and their quotes.
pub const CONTROL_LINE_BYTES: usize = 64 * 1024;

/// How long a client may take for a whole request: from its connection, and from the answer before.
pub const CONTROL_LINE_PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may take no byte of an answer that waits for it.
pub const CONTROL_ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of events that wait for one client; what comes after is counted, dropped, and told.
pub const CONTROL_EVENT_BYTES: usize = 256 * 1024;

/// Bytes of answers that wait for all clients together; past it a status has to be asked for again later.
/// Two answers about ten thousand services fit.
pub const CONTROL_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// So many changes of runs are noted after one more look, which finds that most have gone on since.
pub const NOTED_AT_ONCE: usize = 8;

/// Texts of records that are kept for the next start of the same service. One that is written anew costs some five
/// microseconds: it is for those that start again by themselves, and nothing in a wave.
pub const TEXTS_KEPT: usize = 8;

/// Bytes in the file about runs that may be about such as have ended, beyond twice those about the others. Then these move to
/// a new file.
pub const RECORDS_SLACK_BYTES: u64 = 256 * 1024;

/// Reports that wait for the end of their turn, while events keep coming: their wording takes longer than what they are about, and
/// memory is not to grow with a storm of them.
pub const REPORTS: usize = 64;

/// So many events without a pause are a busy time: what it took of memory is given back after it. That takes about a
/// millisecond, which is little beside so many.
pub const BUSY_EVENTS: u32 = 256;

/// As many events may wait while a program that has just been started goes first, for one slice of time at most: more are a
/// time when much is started, and whoever starts goes on then.
pub const COURTESY_EVENTS: usize = 4;

/// How long we have the processor at once where others want it as well: the least that the kernel gives (Linux 6.12). Who starts
/// a thousand programs waits for each behind those before it, and with the usual three milliseconds for longer than what it does.
pub const SLICE_OF_TIME: Duration = Duration::from_micros(100);

/// While much else is to be done, clients of the control socket are listened to this often: a person who asks in the
/// midst of a restart of everything is not to wait for its end.
pub const CONTROL_PAUSE: Duration = Duration::from_millis(10);

/// Nor more often than that, where answers take long: for each of them so many times as long goes to all else.
pub const CONTROL_SHARE: u32 = 4;

/// All else gets its part so much later at most. Who asks a few times in a row has each answer soon, about ten thousand
/// services, too; one who asks without end has no more than its share.
pub const CONTROL_CREDIT: Duration = Duration::from_secs(1);

/// Connections taken in one turn, so that they keep nothing else waiting.
pub const CONTROL_TURN: usize = 16;

/// Requests of clients that may be waited for at a time. Each holds a connection; a script that asks in a loop is
/// told so before it takes all descriptors.
pub const TICKETS: usize = 1024;

/// How long a command waits until the supervisor takes its connection, and answers what takes it no time. A status of
/// ten thousand services that all restart has taken a second.
pub const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

/// How long a command waits at the least for what is so already, however short `--timeout` is: `0s` asks whether it is.
pub const ANSWER_GRACE: Duration = Duration::from_millis(200);

/// How long the program now on disk may take to say whether it can go on from here; everything goes on meanwhile.
pub const UPGRADE_PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take to look at the latest, after it has answered once; nothing goes on meanwhile.
pub const UPGRADE_LAST_LOOK: Duration = Duration::from_secs(1);

/// Longest answer of it, in bytes. A reason is a line.
pub const UPGRADE_ANSWER_BYTES: usize = 4096;

/// How many processes that outlived their main process are named in one line; the others are counted.
pub const LEFTOVERS_NAMED: usize = 5;

/// How long PID 1 waits at its end for those who are left, once it has sent them SIGTERM: then they die with it.
pub const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// How many generations that serve after a failed restart are named in its answer; more are counted.
pub const GENERATIONS_NAMED: usize = 4;

/// Longest command of one of them that is told, in characters. More of it tells no more.
pub const LEFTOVER_CHARS: usize = 60;

/// Pause between two looks for them: each goes through all processes of the machine, and takes no more than a part
/// of our time, however many servers leave some behind at once.
pub const LEFTOVERS_PAUSE: Duration = Duration::from_millis(100);

/// Longest first line of an answer to an HTTP check, in bytes. What follows is not read.
pub const STATUS_LINE_BYTES: usize = 1024;

/// First pause between two probes of a process that is not ready yet. Doubles up to [`PROBE_MAX`].
pub const PROBE_FIRST: Duration = Duration::from_millis(10);

/// Longest pause between two such probes.
pub const PROBE_MAX: Duration = Duration::from_millis(500);

/// No pause between them is longer than this part of the time that a process has to be ready, so that one that is
/// ready just in time is found to be.
pub const PROBES_AT_LEAST: u32 = 10;

/// Most bad answers in a row that a check may allow: more is a slip of the finger.
pub const CHECK_FAILURES: u32 = 100;

/// Shortest time in which a server may promise to feed its watchdog: each feeding wakes us up.
pub const WATCHDOG_MIN: Duration = Duration::from_millis(100);

/// Longest `STATUS=` of a server that is kept, in characters: it is for a line of a table.
pub const STATUS_CHARS: usize = 200;

/// How long the files of a program must be left alone before a change of them restarts its service: a deployment
/// is several of them.
pub const WATCH_QUIET: Duration = Duration::from_millis(500);

/// The longest that a program which is changed again and again may put its restart off.
pub const WATCH_MAX: Duration = Duration::from_secs(5);

/// Symbolic links that are followed, and watched, on the way to a program; the kernel follows forty.
pub const WATCH_LINKS: usize = 40;

/// Pause before the manager above is told again what it had no room for: its socket takes a few hundred datagrams,
/// and nobody tells when there is room again.
pub const ABOVE_RETRY: Duration = Duration::from_millis(250);

/// Longest name of a descriptor that the manager above keeps; systemd takes no longer one.
pub const FDNAME_BYTES: usize = 255;

/// Connections to the metrics at a time; more wait in the queue of the socket. A Prometheus or two, and probes.
pub const METRICS_CLIENTS: usize = 64;

/// Longest head of a request to the metrics, in bytes. That of Prometheus has some 300.
pub const METRICS_HEAD_BYTES: usize = 8192;

/// Most header fields of such a request.
pub const METRICS_HEADERS: usize = 64;

/// How long a client of the metrics may take for its request, and for its answer. Half of what Prometheus waits.
pub const METRICS_PATIENCE: Duration = Duration::from_secs(5);

/// For so long clients of the metrics are told why the supervisor did not answer the last one, and it is not asked again: those
/// who came meanwhile are heard within a moment.
pub const METRICS_FAILURE_HOLDS: Duration = Duration::from_millis(100);

/// How long the supervisor may take to answer the metrics; its clients are told then that it does not.
pub const METRICS_STATUS_PATIENCE: Duration = Duration::from_secs(2);

/// Most backups of a log file. Each rotation renames all of them.
pub const LOG_BACKUPS: u32 = 1000;

/// Longest line of a service, in bytes; a longer one is split. It is no more than a quarter of what a pipe holds, so
/// that a pipe never is full of a line that has no end.
pub const LOG_LINE_BYTES: usize = 16 * 1024;

/// What a pipe to the log writer is to hold, in bytes: a service goes on for so long while nobody reads. Users that are
/// not root may have 64 MiB in all pipes together.
pub const LOG_PIPE_BYTES: usize = 256 * 1024;

/// What the log writer keeps for one file, or for the journal or syslog, that does not take it, in bytes. What comes
/// after is counted and dropped.
pub const LOG_MEMORY_BYTES: usize = 8 * 1024 * 1024;

/// The log writer looks again after this time at a pipe whose writer may go on in the middle of a write, which the kernel tells
/// nobody; then after twice that, up to [`LOG_LOOK_PAUSE_MAX`].
pub const LOG_LOOK_PAUSE: Duration = Duration::from_millis(1);

/// The longest pause between two such looks.
pub const LOG_LOOK_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a disk may take for what is in a pipe before that is taken into memory, so that its service goes on.
pub const LOG_DISK_PATIENCE: Duration = Duration::from_secs(1);

/// Pause between two tries to write where it failed.
pub const LOG_RETRY: Duration = Duration::from_secs(1);

/// How long the lock of a log file is waited for. Who reads the file with `logs` holds it for milliseconds; anybody who may
/// read it could hold it for ever, and is not waited for then.
pub const LOG_LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How long the log writer goes on trying to write what fails, once nobody is left who could write more. Then it ends, so
/// that it holds no disk for ever.
pub const LOG_LAST_PATIENCE: Duration = Duration::from_secs(10);

/// How long a PID 1 waits at the end for a log writer that still has something to write: the kernel kills it with us. It is a
/// little more than the writer takes.
pub const LOG_WRITER_LAST_WAIT: Duration = Duration::from_secs(11);

/// Last lines of what a run wrote to stderr that stand in the report of its failure.
pub const LOG_TAIL_LINES: usize = 5;

/// Longest part of each of them, in characters.
pub const LOG_TAIL_CHARS: usize = 200;

/// Messages of the log writer that wait while the supervisor does not take them; beyond, only those are kept that free
/// something.
pub const LOG_MESSAGES: usize = 4096;

/// How long a log writer may take to take a pipe, or to say that it is there, before it is ended and another one gets its
/// pipes; and how long after its answer it is not asked again.
pub const LOG_WRITER_PATIENCE: Duration = Duration::from_secs(10);

/// How long a log writer may take to write what it has begun, when a supervisor ends or the next one takes its pipes.
pub const LOG_LEAVE_PATIENCE: Duration = Duration::from_secs(3);

/// Pipes of one service that are held; with one more the oldest is left to the log writer alone. There are so many only
/// where a writer does not come to their ends: as many as generations may be leaving, with two streams each.
pub const LOG_PIPES_LEFT: usize = 2 * LEAVING;

/// How long the answer to a client waits for what a run said last that failed. The log writer tells it within a millisecond,
/// where it is not busy with a flood.
pub const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(1);

/// Last words of runs that are kept in case that somebody asks: their ends may be told before.
pub const LOG_TAILS: usize = 64;

/// Backups of a log file that `logs` opens at once, while the writer waits. Most that anybody wants to see is there.
pub const LOG_BACKUPS_AT_ONCE: u32 = 64;
