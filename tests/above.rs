//! What the manager above is told: a datagram socket of the test stands in for systemd.

mod support;

use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use support::{LIMIT, Stage, Supervised};

/// A service that is up once its program was started.
const SLEEP: &str = "command = ['sleep', '1000']\nstop_signal = 'TERM'\n";

struct Listening(UnixDatagram);

impl Listening {
    fn at(path: &str) -> Self {
        Self::on(UnixDatagram::bind(path).unwrap())
    }

    fn on(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self(socket)
    }

    /// The next datagram, but for those that only tell of the watchdog.
    #[track_caller]
    fn next(&self) -> String {
        loop {
            let mut buffer = [0; 4096];
            let len = self.0.recv(&mut buffer).expect("a datagram");
            let said = String::from_utf8(buffer[..len].to_vec()).unwrap();
            let rest: Vec<&str> = said.lines().filter(|line| *line != "WATCHDOG=1").collect();
            if !rest.is_empty() {
                return rest.join("\n");
            }
        }
    }

    /// Datagrams up to the one with this line.
    #[track_caller]
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        while !heard.last().is_some_and(|said: &String| said.lines().any(|line| line == wanted)) {
            heard.push(self.next());
        }
        heard
    }
}

/// Started with a socket above it.
fn start(config: &str) -> (Supervised, Listening) {
    let stage = Stage::new();
    let path = stage.path("notify");
    let listening = Listening::at(&path);
    (stage.env("NOTIFY_SOCKET", &path).launch(config), listening)
}

#[test]
fn ready_is_said_once_when_every_service_is_up_and_stopping_at_the_end() {
    let slow = "ready = 'delay'\nready_delay = '300ms'\n";
    let (supervised, listening) =
        start(&format!("[[service]]\nname = 'a'\n{SLEEP}\n[[service]]\nname = 'b'\n{SLEEP}{slow}"));
    let heard = listening.until("READY=1");
    assert_eq!(heard.last().unwrap(), "READY=1\nSTATUS=2/2 up");
    assert!(heard.iter().any(|said| said == "STATUS=1/2 up"), "{heard:?}");
    // The lines of a turn leave at its end.
    supervised.wait_for(" b generation=1 … ready after");
    supervised.stop();
    let heard = listening.until("STOPPING=1");
    assert!(heard.iter().all(|said| !said.contains("READY")), "{heard:?}");
}

#[test]
fn a_reload_is_told_with_its_time_and_its_end_even_if_the_file_is_refused() {
    let one = format!("[[service]]\nname = 'a'\n{SLEEP}");
    let (supervised, listening) = start(&one);
    listening.until("READY=1");
    for text in [one.clone(), "prot = 1".into(), format!("{one}\n[[service]]\nname = 'b'\n{SLEEP}")] {
        supervised.stage.write("services.toml", &text);
        let asked = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
        supervised.signal(Signal::SIGHUP);
        let said = listening.next();
        let [reloading, since] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
        assert_eq!(reloading, "RELOADING=1");
        let since = since.strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        // systemd drops what began before it asked.
        assert!(Duration::from_micros(since) >= asked, "{since} is before {asked:?}");
        let heard = listening.until("READY=1");
        assert!(heard.len() <= 2, "{heard:?}");
    }
    supervised.wait_for(" b generation=1 …started");
    supervised.stop();
}

/// Else systemd would end all of it when its patience is over.
#[test]
fn a_service_that_crashes_does_not_keep_the_others_from_being_ready() {
    let config = format!(
        "[[service]]\nname = 'good'\n{SLEEP}\n\
         [[service]]\nname = 'flaps'\ncommand = 'false'\nrestart = 'always'\nready = 'delay'\nready_delay = '1s'\n\
         [[service]]\nname = 'down'\ncommand = 'false'\nready = 'delay'\nready_delay = '1s'\n\
         [[service]]\nname = 'waits'\n{SLEEP}requires = 'down'\n"
    );
    let (supervised, listening) = start(&config);
    assert_eq!(listening.until("READY=1").last().unwrap().lines().next(), Some("READY=1"));
    // Told before, but by another way.
    supervised.wait_for("flaps generation=1 …ended");
    supervised.wait_for("down generation=1 …ended");
    supervised.stop();
}

#[test]
fn services_that_start_after_others_are_waited_for() {
    let after = "ready = 'delay'\nready_delay = '100ms'\n";
    let config = format!(
        "[[service]]\nname = 'c'\n{SLEEP}requires = 'b'\n{after}\
         [[service]]\nname = 'b'\n{SLEEP}after = 'a'\n{after}\
         [[service]]\nname = 'a'\n{SLEEP}{after}"
    );
    let (supervised, listening) = start(&config);
    assert_eq!(listening.until("READY=1").last().unwrap(), "READY=1\nSTATUS=3/3 up");
    supervised.stop();
}

#[test]
fn the_end_of_all_services_is_told() {
    let (mut supervised, listening) = start("[[service]]\nname = 'a'\ncommand = 'false'\n");
    listening.until("STOPPING=1");
    assert_eq!(supervised.wait_exit(), 1);
}

/// In the loop, so that a loop that hangs says nothing. Only for the pid that is named.
#[test]
fn the_watchdog_is_fed_at_half_its_time_by_the_loop_itself() {
    let stage = Stage::new();
    let path = stage.path("notify");
    let listening = Listening::at(&path);
    let stage = stage.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
    let own_pid = ["sh", "-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\""];
    let supervised = stage.through(&own_pid).launch(&format!("[[service]]\nname = 'a'\n{SLEEP}"));
    let feeding = || {
        let mut buffer = [0; 4096];
        let len = listening.0.recv(&mut buffer)?;
        Ok::<_, io::Error>(buffer[..len].ends_with(b"WATCHDOG=1"))
    };
    let mut times = 0;
    while times < 5 {
        times += u32::from(feeding().expect("a datagram"));
    }
    // What hangs is not fed: after those that are on the way there is none.
    supervised.signal(Signal::SIGSTOP);
    listening.0.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    while feeding().is_ok() {}
    supervised.signal(Signal::SIGCONT);
    listening.0.set_read_timeout(Some(LIMIT)).unwrap();
    assert!(feeding().is_ok());
    supervised.stop();
}

#[test]
fn servers_hear_nothing_of_it() {
    let stage = Stage::new();
    let path = stage.path("notify");
    let listening = Listening::at(&path);
    let stage = stage.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000");
    let supervised = stage.launch(&format!("[[service]]\nname = 'a'\n{SLEEP}"));
    listening.until("READY=1");
    let environment = supervised.pid_of("a", 1).environment();
    let heard =
        environment.iter().filter(|line| line.starts_with("NOTIFY_") || line.starts_with("WATCHDOG_"));
    assert_eq!(heard.collect::<Vec<_>>(), [""; 0]);
    supervised.stop();
}

#[test]
fn an_abstract_address_is_reached_and_one_that_is_not_there_stops_nothing() {
    let name = format!("bootstrap-test-above-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let listening = Listening::on(socket);
    let config = format!("[[service]]\nname = 'a'\n{SLEEP}");
    let supervised = Stage::new().env("NOTIFY_SOCKET", &format!("@{name}")).launch(&config);
    listening.until("READY=1");
    supervised.stop();
    for nowhere in ["/nowhere/notify", "@nobody-is-here", "vsock:2:1", ""] {
        let supervised = Stage::new().env("NOTIFY_SOCKET", nowhere).launch(&config);
        supervised.wait_for(" a generation=1 …started");
        supervised.stop();
    }
}

/// What it had no room for is said when there is room, and nothing waits for that.
#[test]
fn a_full_socket_delays_what_is_said_and_nothing_else() {
    let stage = Stage::new();
    let path = stage.path("notify");
    let listening = Listening::at(&path);
    let flood = UnixDatagram::unbound().unwrap();
    flood.set_nonblocking(true).unwrap();
    while flood.send_to(b"X=1", &path).is_ok() {}
    let supervised = stage.env("NOTIFY_SOCKET", &path).launch(&format!("[[service]]\nname = 'a'\n{SLEEP}"));
    supervised.wait_for(" a generation=1 …ready after");
    supervised.signal(Signal::SIGUSR1);
    supervised.wait_for(" a generation=2 …ready after");
    assert_eq!(listening.until("READY=1").last().unwrap(), "READY=1\nSTATUS=1/1 up");
    supervised.stop();
}
