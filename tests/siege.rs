//! Clients of the control socket that mean harm, or do it without meaning to, and many of them: what they cost is bounded,
//! and nobody else notices.

#![expect(clippy::disallowed_methods, reason = "how long a restart takes is what is measured")]

mod support;

use bootstrap::limits::{CONTROL_CLIENTS, CONTROL_LINE_BYTES};
use nix::sys::signal::Signal::SIGUSR1;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{LIMIT, Load, Manner, Supervised, Wire, eventually, free_port, http};

/// A service that is up.
fn web() -> (Supervised, u16) {
    let port = free_port();
    let supervised = Supervised::start(&http("web", port, "ready = \"pipe\""), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    (supervised, port)
}

/// How long a restart takes, from the signal to the line that says it is ready.
fn restart(supervised: &Supervised) -> Duration {
    let generation = supervised.last_generation("web") + 1;
    let began = Instant::now();
    supervised.signal(SIGUSR1);
    supervised.wait_for(&format!(" web generation={generation} … ready after"));
    began.elapsed()
}

/// Descriptors of the supervisor that are sockets.
fn sockets(supervised: &Supervised) -> usize {
    supervised.process().descriptors().iter().filter(|(_, what)| what.starts_with("socket:")).count()
}

const STATUS: &[u8] = b"{\"version\":1,\"request\":\"status\"}\n";

/// What a client of the siege does, again and again, each on a connection of its own.
#[derive(Clone, Copy, Debug)]
enum Sin {
    /// Sends without an end of line.
    Flood,
    /// Goes in the middle of a request.
    Vanish,
    /// Orders a restart, waits for its outcome, and goes before it comes.
    VanishWaiting,
    /// Sends bytes that are no text.
    Garbage,
    /// Speaks another version of the protocol.
    Version,
    /// Asks much, and reads no answer.
    Deaf,
    /// Closes its side without a word, and waits.
    HalfOpen,
    /// Sends a byte a second.
    Slow,
    /// Follows events, and reads none.
    DeafFollower,
    /// Asks, reads, and goes, as it should be.
    None,
}

const SINS: [Sin; 10] = [
    Sin::Flood,
    Sin::Vanish,
    Sin::VanishWaiting,
    Sin::Garbage,
    Sin::Version,
    Sin::Deaf,
    Sin::HalfOpen,
    Sin::Slow,
    Sin::DeafFollower,
    Sin::None,
];

impl Sin {
    /// Commits it once.
    fn commit(self, path: &Path, stop: &AtomicBool) -> std::io::Result<()> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(LIMIT))?;
        match self {
            Self::Flood => (0..64).try_for_each(|_| stream.write_all(&vec![b'{'; 65_536])),
            Self::Vanish => stream.write_all(b"{\"version\":1,"),
            Self::VanishWaiting => {
                stream.write_all(b"{\"version\":1,\"request\":\"wait\",\"services\":[\"web\"]}\n")
            }
            Self::Garbage => answer(&mut stream, b"\xff\xfe\xff\n", "bad-request"),
            Self::Version => answer(&mut stream, b"{\"version\":2,\"request\":\"status\"}\n", "version"),
            Self::Deaf => (0..50).try_for_each(|_| stream.write_all(STATUS)),
            Self::HalfOpen => {
                stream.shutdown(Shutdown::Write)?;
                assert_eq!(stream.read(&mut [0; 16])?, 0, "there is nothing to say to it");
                Ok(())
            }
            Self::Slow => STATUS.iter().try_for_each(|byte| {
                stream.write_all(&[*byte])?;
                // The pause is a wait for an answer that does not come.
                stream.set_read_timeout(Some(Duration::from_secs(1)))?;
                let _ = stream.read(&mut [0; 256]);
                if stop.load(Ordering::Relaxed) {
                    Err(std::io::ErrorKind::Interrupted.into())
                } else {
                    Ok(())
                }
            }),
            Self::DeafFollower => {
                stream.write_all(b"{\"version\":1,\"request\":\"events\"}\n")?;
                while !stop.load(Ordering::Relaxed) {
                    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
                    // Peeks at nothing: its own socket pair has nothing to say, and that is the pause.
                    let (mut quiet, _other) = UnixStream::pair()?;
                    quiet.set_read_timeout(Some(Duration::from_millis(100)))?;
                    let _ = quiet.read(&mut [0; 1]);
                }
                Ok(())
            }
            Self::None => answer(&mut stream, STATUS, "\"name\":\"web\""),
        }
    }
}

/// Asks, and sees that the answer is as it should be.
fn answer(stream: &mut UnixStream, request: &[u8], wanted: &str) -> std::io::Result<()> {
    stream.write_all(request)?;
    let mut said = Vec::new();
    while !said.ends_with(b"\n") {
        let mut piece = [0; 4096];
        let len = stream.read(&mut piece)?;
        assert!(len > 0, "closed without an answer to {:?}", String::from_utf8_lossy(request));
        said.extend_from_slice(&piece[..len]);
    }
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains(wanted), "{said}");
    Ok(())
}

/// Runs `during` while a hundred clients besiege the socket at this path.
fn besieged<T>(path: &Path, during: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..100 {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // Whoever is cut has deserved it, and comes again.
                    let _ = SINS[number % SINS.len()].commit(path, stop);
                }
            });
        }
        let result = during();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}

/// The clients take processor time from the supervisor, whoever they speak to: it is compared with a siege of another
/// one.
#[test]
fn a_hundred_clients_of_every_kind_delay_no_restart_and_nothing_is_lost() {
    let ((supervised, port), (other, _)) = (web(), web());
    let restarts = || -> Vec<Duration> { (0..9).map(|_| restart(&supervised)).collect() };
    let elsewhere = median(besieged(&Wire::path(&other), restarts));

    let memory = supervised.process().heap_kib();
    let mut follower = Wire::to(&supervised);
    assert_eq!(follower.ask("\"events\",\"services\":[\"web\"]")["reply"], "following");
    let load = Load::start_as("web", port, 2, Manner { late: Duration::from_secs(20), looks: true });
    let (here, ordered, after) = besieged(&Wire::path(&supervised), || {
        let here = restarts();
        let mut client = Wire::to(&supervised);
        let ordered = (0..5).filter(|_| {
            client.send("{\"version\":1,\"request\":\"restart\",\"services\":[\"web\"],\"wait\":true}");
            std::iter::repeat_with(|| client.reply()).find(|reply| reply["reply"] != "event").unwrap()["ok"]
                == true
        });
        let ordered = ordered.count();
        (median(here), ordered, supervised.process().heap_kib())
    });
    assert!(here < elsewhere * 2 + Duration::from_millis(100), "{elsewhere:?} became {here:?} under siege");
    assert_eq!(ordered, 5, "each order was carried out");
    assert!(after < memory + 16 * 1024, "{memory} KiB became {after} KiB");
    let outcome = load.finish();
    assert!(outcome.failures.is_empty(), "{outcome}");
    let last = supervised.last_generation("web");
    let ready = std::iter::repeat_with(|| follower.reply())
        .inspect(|reply| assert_eq!(reply["reply"], "event", "a follower that reads loses nothing: {reply}"))
        .filter(|reply| reply["event"]["event"] == "ready");
    let told: Vec<_> = ready.map(|reply| reply["event"]["generation"].clone()).take(14).collect();
    assert_eq!(told.last(), Some(&last.into()), "{told:?}");
    eventually("the descriptors of clients are closed", || sockets(&supervised) < 8);
    assert_eq!(Wire::to(&supervised).ask("\"version\"")["reply"], "version");
    supervised.stop();
    other.stop();
}

#[test]
fn a_gigabyte_without_an_end_of_line_is_cut_at_the_limit_and_costs_no_memory() {
    const GIGABYTE: usize = 1 << 30;
    // What the kernel keeps for a socket comes to what was read.
    const MOST: usize = CONTROL_LINE_BYTES + 1024 * 1024;
    let (supervised, _) = web();
    let memory = supervised.process().heap_kib();
    let piece = vec![b'x'; 1024 * 1024];
    let mut sent = 0;
    while sent < GIGABYTE {
        let mut stream = UnixStream::connect(Wire::path(&supervised)).unwrap();
        let mut taken = 0;
        while let Ok(len) = stream.write(&piece) {
            taken += len;
            assert!(taken < MOST, "one connection sent {taken} bytes");
        }
        sent += taken;
    }
    let after = supervised.process().heap_kib();
    assert!(after < memory + 1024, "{memory} KiB became {after} KiB");
    restart(&supervised);
    supervised.stop();
}

#[test]
fn as_many_clients_as_there_may_be_are_served_and_the_next_one_is_told() {
    let (supervised, _) = web();
    let calm = sockets(&supervised);
    let mut followers: Vec<Wire> = (0..CONTROL_CLIENTS)
        .map(|number| {
            let mut wire = Wire::to(&supervised);
            assert_eq!(wire.ask("\"events\"")["reply"], "following", "the one with number {number}");
            wire
        })
        .collect();
    let busy = Wire::to(&supervised).reply();
    assert_eq!((&busy["code"], &busy["id"]), (&"busy".into(), &0.into()));
    let output = supervised.stage.run(&["-c", "services.toml", "status"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("256 clients are connected already; try again"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    restart(&supervised);
    for follower in &mut followers {
        let events = std::iter::repeat_with(|| follower.reply());
        assert!(events.take(20).any(|reply| reply["event"]["event"] == "ready"), "each of them is told");
    }
    followers.pop();
    eventually("there is room for the next one", || {
        let mut wire = Wire::to(&supervised);
        wire.send("{\"version\":1,\"request\":\"version\"}");
        wire.reply()["reply"] == "version"
    });
    drop(followers);
    eventually("their descriptors are closed", || sockets(&supervised) <= calm);
    supervised.stop();
}

#[test]
fn a_client_that_takes_no_answer_is_cut_and_meanwhile_the_others_are_served() {
    let (supervised, _) = web();
    let calm = sockets(&supervised);
    let deaf = Wire::to(&supervised);
    // More answers than the kernel keeps for it; only then has the supervisor something that waits.
    // In one piece: for small ones the kernel takes more room than they are long.
    deaf.stream().write_all(&STATUS.repeat(1000)).unwrap();
    eventually("it is there", || sockets(&supervised) > calm);
    let began = Instant::now();
    let mut others = 0;
    while sockets(&supervised) > calm {
        assert!(began.elapsed() < LIMIT, "it is never cut");
        let output = supervised.stage.run(&["-c", "services.toml", "status"]);
        assert_eq!(output.status.code(), Some(0));
        others += 1;
    }
    assert!(others > 5 && began.elapsed() > Duration::from_secs(5), "{others} in {:?}", began.elapsed());
    let answers = deaf.rest().lines().count();
    assert!((1..1000).contains(&answers), "{answers} answers");
    supervised.stop();
}

/// The half of a connection that is closed is the one that requests come over: what was asked for is still answered.
#[test]
fn a_half_open_client_gets_its_outcome_and_is_closed() {
    let (supervised, _) = web();
    let mut wire = Wire::to(&supervised);
    wire.send("{\"version\":1,\"id\":4,\"request\":\"restart\",\"wait\":true}");
    wire.stream().shutdown(Shutdown::Write).unwrap();
    let rest = wire.rest();
    let last: serde_json::Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["reply"], &last["ok"], &last["id"]),
        (&"done".into(), &true.into(), &4.into()),
        "{rest}"
    );

    let middle = Wire::to(&supervised);
    middle.stream().write_all(b"{\"version\":1,\"request\":").unwrap();
    middle.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(middle.rest(), "", "half a request is none");
    supervised.stop();
}
