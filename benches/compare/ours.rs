//! Many services under `bootstrap`, each figure with its ratio to the bare loop of the same run and with its goal.

use crate::marks::Marks;
use crate::peers::ours;
use crate::support::{Stage, Supervised};
use crate::table::kib_as_mb;
use crate::{LIMIT, REST, bare, median, millis};
use nix::sys::signal::Signal::{SIGTERM, SIGUSR1};
use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often a figure is measured of which the median is taken.
const TIMES: usize = 5;

/// At most so many times the bare loop, or so much.
struct Goals {
    boot: f64,
    restart: f64,
    stop: f64,
    memory_mb: f64,
}

const GOALS: Goals = Goals { boot: 1.25, restart: 2.0, stop: 2.0, memory_mb: 4.0 };

/// From here on these.
const MANY: usize = 10_000;

const GOALS_OF_MANY: Goals = Goals { boot: 1.4, restart: 2.2, stop: 2.0, memory_mb: 14.0 };

/// Longest time of a `status`, for any number of services.
const STATUS_MS: f64 = 50.0;

/// Prints all figures of so many services.
pub(crate) fn print(count: usize) {
    let goals = if count < MANY { GOALS } else { GOALS_OF_MANY };
    let mut marks = Marks::new();
    let Some((mut rounds, mut supervised, having)) = rounds(&mut marks, count) else { return };
    let (started, stopped) = (median(rounds.started), median(rounds.stopped));
    println!();
    println!("{count} services under bootstrap, with {}", having.words());
    println!("{:<44} {:>10}", "bare loop: start until main", millis(started));
    println!("{:<44} {:>10}", "bare loop: kill and reap", millis(stopped));

    against("boot until main of all", median(rounds.boots), started, goals.boot);
    sleep(2 * REST);
    memory("PSS", &supervised, &goals);
    status_took("status --json, the first", run(&supervised, &["status", "--json"]));
    status("status --json, at rest", &supervised, &["status", "--json"]);
    status("status, at rest", &supervised, &["status"]);
    sleep(REST);
    memory("PSS after these", &supervised, &goals);

    let begin = Instant::now();
    supervised.signal(SIGUSR1);
    if marks.wait(count, LIMIT).is_none() {
        return println!("not restarted within {} s; left", LIMIT.as_secs());
    }
    against("restart of all until main of all", begin.elapsed(), started, goals.restart);
    sleep(2 * REST);
    memory("PSS after it", &supervised, &goals);
    supervised.signal(SIGUSR1);
    status("status --json, while all restart", &supervised, &["status", "--json"]);
    if marks.wait(count, LIMIT).is_none() {
        return println!("not restarted within {} s; left", LIMIT.as_secs());
    }
    sleep(2 * REST);
    reload(&supervised, &mut marks, count, having, started);
    sleep(2 * REST);
    memory("PSS after these", &supervised, &goals);

    rounds.stops.push(stop(&mut supervised, &mut marks));
    against("stop until it has ended", median(rounds.stops), stopped, goals.stop);
}

/// What was measured several times, in turns: a single time says little where others use the machine.
#[derive(Default)]
struct Rounds {
    started: Vec<Duration>,
    stopped: Vec<Duration>,
    boots: Vec<Duration>,
    stops: Vec<Duration>,
}

/// Boots and stops them, each time after the bare loop; those of the last time go on. None when they cannot be booted.
fn rounds(marks: &mut Marks, count: usize) -> Option<(Rounds, Supervised, Having)> {
    let (mut rounds, mut wanted) = (Rounds::default(), Having::ALL.to_vec());
    loop {
        let (started, stopped) = bare::start_and_stop(marks, count);
        rounds.started.push(started);
        rounds.stopped.push(stopped);
        sleep(REST);
        let (mut supervised, having, boot) = boot(marks, count, &wanted)?;
        rounds.boots.push(boot);
        if rounds.boots.len() == TIMES {
            return Some((rounds, supervised, having));
        }
        // What was refused once is refused again.
        wanted = vec![having];
        sleep(2 * REST);
        rounds.stops.push(stop(&mut supervised, marks));
        sleep(REST);
    }
}

/// How long it takes until it and all of its services have ended.
fn stop(supervised: &mut Supervised, marks: &mut Marks) -> Duration {
    let begin = Instant::now();
    supervised.signal(SIGTERM);
    supervised.wait_exit();
    marks.wait_ended(LIMIT);
    begin.elapsed()
}

/// What a service has of ours, beside its process; the most comes first.
#[derive(Clone, Copy)]
enum Having {
    SocketAndPipe,
    Socket,
    Nothing,
}

impl Having {
    const ALL: [Self; 3] = [Self::SocketAndPipe, Self::Socket, Self::Nothing];

    fn handshake(self) -> &'static str {
        match self {
            Self::SocketAndPipe => "pipe",
            Self::Socket | Self::Nothing => "none",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::SocketAndPipe => "a socket and a pipe each",
            Self::Socket => "a socket each and no pipe",
            Self::Nothing => "no socket",
        }
    }
}

/// Starts them with as much of what is `wanted` as the limit of descriptors allows: none when all is refused, or takes too long.
fn boot(marks: &mut Marks, count: usize, wanted: &[Having]) -> Option<(Supervised, Having, Duration)> {
    for &having in wanted {
        let with = having.words();
        let stage = Stage::new();
        let log = stage.path("log");
        let file = File::create(&log).expect("the directory is ours");
        let config = config(marks, count, having, 0);
        let begin = Instant::now();
        let mut supervised = stage.launch_with(&config, file.into());
        if first(marks, &supervised) && marks.wait(count - 1, LIMIT).is_some() {
            return Some((supervised, having, begin.elapsed()));
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        println!(
            "with {with}: not booted, or not within {} s: {}",
            LIMIT.as_secs(),
            said.lines().last().unwrap_or("silent")
        );
        supervised.signal(SIGTERM);
        supervised.wait_exit();
        marks.wait_ended(LIMIT);
    }
    None
}

/// Waits until one has begun, for as long as the supervisor is there: a boot may be refused.
fn first(marks: &mut Marks, supervised: &Supervised) -> bool {
    let until = Instant::now() + LIMIT;
    while supervised.process().is_alive() && Instant::now() < until {
        if marks.wait(1, Duration::from_millis(20)).is_some() {
            return true;
        }
    }
    false
}

/// The first `changed` services have a variable more.
fn config(marks: &Marks, count: usize, having: Having, changed: usize) -> String {
    let mut services = marks.services(count);
    for service in &mut services[..changed] {
        service.more += "\nenv = { CHANGED = \"yes\" }";
    }
    let text = ours(&services, &format!("handshake = \"{}\"", having.handshake()));
    if let Having::SocketAndPipe | Having::Socket = having {
        return text;
    }
    text.lines().filter(|line| !line.starts_with("listen")).map(|line| line.to_owned() + "\n").collect()
}

fn against(figure: &str, time: Duration, bare: Duration, goal: f64) {
    let ratio = time.as_secs_f64() / bare.as_secs_f64();
    verdict(figure, &millis(time), &format!("{ratio:.2} times"), &format!("{goal} times"), ratio <= goal);
}

fn verdict(figure: &str, value: &str, ratio: &str, goal: &str, met: bool) {
    let word = if met { "met" } else { "missed" };
    println!("{figure:<44} {value:>10} {ratio:>11}   goal {goal:<10} {word}");
}

fn memory(figure: &str, supervised: &Supervised, goals: &Goals) {
    let found = kib_as_mb(supervised.process().memory_kib());
    let (value, goal) = (format!("{found:.1} MB"), format!("{:.0} MB", goals.memory_mb));
    verdict(figure, &value, "", &goal, found <= goals.memory_mb);
}

fn status(figure: &str, supervised: &Supervised, command: &[&str]) {
    let times = (0..TIMES).map(|_| run(supervised, command));
    status_took(figure, median(times.collect()));
}

fn status_took(figure: &str, time: Duration) {
    let ms = time.as_secs_f64() * 1000.0;
    verdict(figure, &millis(time), "", &format!("{STATUS_MS:.0} ms"), ms < STATUS_MS);
}

/// How long this command takes.
fn run(supervised: &Supervised, command: &[&str]) -> Duration {
    let begin = Instant::now();
    let output = supervised.stage.run(&[&["-c", "services.toml"], command].concat());
    let took = begin.elapsed();
    // Three: a service does not run, such as while it is restarted.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{command:?}: {}: {said}", output.status);
    took
}

/// None, one, and one in a hundred change. What a reload takes that changes nothing is reading the file; what the others take
/// beyond it is set against a bare loop that starts as many.
fn reload(supervised: &Supervised, marks: &mut Marks, count: usize, having: Having, started: Duration) {
    let nothing = median((0..TIMES).map(|_| run(supervised, &["reload"])).collect());
    println!("{:<44} {:>10}", "reload that changes nothing", millis(nothing));
    let mut before = 0;
    for changed in [1, count / 100] {
        supervised.stage.write("services.toml", &config(marks, count, having, changed));
        let begin = Instant::now();
        run(supervised, &["reload"]);
        let took = begin.elapsed();
        let restarted = changed - before;
        before = changed;
        if marks.wait(restarted, LIMIT).is_none() {
            return println!("the changed ones were not restarted within {} s", LIMIT.as_secs());
        }
        let more = took.saturating_sub(nothing);
        let ratio = more.as_secs_f64() / (started.as_secs_f64() * restarted as f64 / count as f64);
        println!(
            "{:<44} {:>10} {:>11}   {} more than nothing, by a bare loop of these",
            format!("reload that changes {restarted}"),
            millis(took),
            format!("{ratio:.2} times"),
            millis(more),
        );
        sleep(REST);
    }
}
