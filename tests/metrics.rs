//! `metrics`: what a scrape says is so, a real parser reads it, and a restart of the server costs no scrape.

mod support;

use bootstrap::limits::{
    METRICS_CLIENTS, METRICS_HEAD_BYTES, METRICS_HEADERS, METRICS_PATIENCE, METRICS_STATUS_PATIENCE,
};
use bootstrap::metrics::{Kind, METRICS};
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGQUIT, SIGSTOP, SIGUSR1, SIGUSR2};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use support::{LIMIT, Stage, Supervised, eventually, free_port, http, rude, service};

/// Reads OpenMetrics with the parser of Prometheus' own library, and prints each sample as a line.
const PARSER: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for s in family.samples:
        print(json.dumps([family.name, family.type, family.unit, s.name, s.labels, s.value]))
";

/// A sample: its name with its labels, sorted.
type Samples = BTreeMap<String, f64>;

/// Everything that the parser finds in a text, and the name and type of each family.
fn parsed(text: &str) -> (Samples, BTreeSet<(String, String)>) {
    let installed = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("servers").join("bin/python3");
    let mut parser = Command::new(installed);
    parser.args(["-c", PARSER]).stdin(Stdio::piped()).stdout(Stdio::piped());
    #[expect(clippy::disallowed_methods, reason = "a parser that is not ours")]
    let mut child = parser.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the parser refuses\n{text}");
    let (mut samples, mut families) = (Samples::new(), BTreeSet::new());
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (family, kind, _unit, name, labels, value): (
            String,
            String,
            String,
            String,
            BTreeMap<String, String>,
            f64,
        ) = serde_json::from_str(line).unwrap();
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        families.insert((family, kind));
        samples.insert(format!("{name}{{{}}}", labels.join(",")), value);
    }
    (samples, families)
}

/// The whole answer to a request.
fn answer(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap_or_else(|error| panic!("{request:?}: {error}"));
    text
}

/// The code and the body of a page.
fn page(port: u16, path: &str) -> (u16, String) {
    let text = answer(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    let length = format!("\r\nContent-Length: {}\r\n", body.len());
    assert!(head.contains(&length), "{head}\n{body}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.into())
}

fn scrape(port: u16) -> Samples {
    let (code, text) = page(port, "/metrics");
    assert_eq!(code, 200, "{text}");
    parsed(&text).0
}

/// Asserts what samples are.
#[track_caller]
fn are(samples: &Samples, wanted: &[(&str, f64)]) {
    for (name, value) in wanted {
        assert_eq!(samples.get(*name), Some(value), "{name} in {samples:#?}");
    }
}

/// The service of the metrics, as config/metrics.toml has it.
fn metrics(port: u16, more: &str) -> String {
    let command = [env!("CARGO_BIN_EXE_bootstrap"), "-c", "services.toml", "metrics"];
    service("metrics", port, &command, &format!("ready = \"pipe\"\nrestart = \"always\"\n{more}"))
}

const WAITS: &str = "[bootstrap]\nwhen_idle = \"wait\"\n";

/// Supervises these services and the metrics, which are up.
fn with_metrics(port: u16, services: &str) -> Supervised {
    let supervised = Stage::new().launch(&(WAITS.to_owned() + services + &metrics(port, "")));
    supervised.wait_for(" metrics generation=1 … ready after");
    supervised
}

#[test]
fn every_metric_is_told_and_is_in_the_table_of_the_documents() {
    let port = free_port();
    let web = free_port();
    let supervised = with_metrics(port, &http("web", web, "ready = \"pipe\"\nworkers = 2\n"));
    supervised.wait_for(" web … ready after");
    // So that each of them has a value.
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … ended with exit code 0");
    eventually("all are up", || page(port, "/readyz").0 == 200);
    let (code, text) = page(port, "/metrics");
    assert_eq!(code, 200);
    let (samples, families) = parsed(&text);
    let bare: BTreeSet<&str> = samples.keys().map(|key| key.split('{').next().unwrap()).collect();
    let known: Vec<String> = METRICS.iter().map(bootstrap::metrics::Metric::sample_name).collect();
    assert_eq!(bare, known.iter().map(|name| &**name).collect(), "{text}");
    assert_eq!(families.len(), METRICS.len());

    let document = include_str!("../docs/metrics.md");
    let rows = document.lines().filter(|line| line.starts_with("| `bootstrap_"));
    let kind = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Info => "info",
    };
    let wanted: Vec<String> = METRICS
        .iter()
        .map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, labels) = (metric.sample_name(), labels.join(", "));
            format!("| `{name}` | {} | {labels} | {} |", kind(metric.kind), metric.help.trim_end_matches('.'))
        })
        .collect();
    assert_eq!(rows.collect::<Vec<_>>(), wanted, "the table should be\n{}", wanted.join("\n"));
    for (what, limit) in [
        ("clients at a time", METRICS_CLIENTS.to_string()),
        ("bytes of the head of a request", METRICS_HEAD_BYTES.to_string()),
        ("header fields of a request", METRICS_HEADERS.to_string()),
        ("time for a request, and for taking the answer", format!("{}s", METRICS_PATIENCE.as_secs())),
        ("time of the supervisor for its answer", format!("{}s", METRICS_STATUS_PATIENCE.as_secs())),
    ] {
        assert!(document.contains(&format!("| {what} | {limit};")), "{what}: {limit}");
    }
    supervised.stop();
}

#[test]
fn numbers_are_true_after_a_restart_a_crash_and_a_repair() {
    let [port, web, crash] = [free_port(), free_port(), free_port()];
    let socket = tempfile::tempdir().unwrap();
    let path = socket.path().join("socket");
    let web_more = "ready = \"pipe\"\nrestart = \"always\"\n";
    let local = format!(
        "[[service]]\nname = \"local\"\nlisten = [\"unix:{}\"]\ncommand = [{:?}]\nready = \"pipe\"\n",
        path.display(),
        support::example("http")
    );
    let supervised = with_metrics(
        port,
        &(http("web", web, web_more) + &rude("dies", crash, &["--exit", "3"], "") + &local),
    );
    for name in ["web", "local"] {
        supervised.wait_for(&format!(" {name} generation=1 … ready after"));
    }
    supervised.wait_for(" dies … stays down");
    let before = scrape(port);
    are(
        &before,
        &[
            ("bootstrap_service_up{service=web}", 1.0),
            ("bootstrap_service_up{service=dies}", 0.0),
            ("bootstrap_service_state{service=dies,state=crashed}", 1.0),
            ("bootstrap_service_state{service=dies,state=up}", 0.0),
            ("bootstrap_service_last_exit{service=dies}", 3.0),
            ("bootstrap_service_generation{service=web}", 1.0),
            ("bootstrap_service_restarts_total{reason=asked,service=web}", 0.0),
            ("bootstrap_service_listener_repairs_total{service=local}", 0.0),
            (&format!("bootstrap_listener_queue{{address=tcp://127.0.0.1:{web},service=web}}"), 0.0),
            ("bootstrap_services{}", 4.0),
            ("bootstrap_services_up{}", 3.0),
            ("bootstrap_config_state{state=applied}", 1.0),
        ],
    );
    let limit =
        before[&format!("bootstrap_listener_queue_limit{{address=tcp://127.0.0.1:{web},service=web}}")];
    assert!(limit >= 128.0, "{limit}");
    let resident = before["bootstrap_supervisor_resident_memory_bytes{}"];
    let status = std::fs::read_to_string(format!("/proc/{}/status", supervised.process().0)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!((resident - kib * 1024.0).abs() < 1024.0 * 1024.0, "{resident} against {kib} KiB");
    let open = std::fs::read_dir(format!("/proc/{}/fd", supervised.process().0)).unwrap().count();
    let told = before["bootstrap_supervisor_descriptors{}"];
    // Our own connection comes and goes.
    let open = f64::from(u32::try_from(open).unwrap());
    assert!((told - open).abs() <= 2.0, "{told} against {open}");

    // A restart, a crash, a repair.
    let reply = supervised.stage.run(&["-c", "services.toml", "restart", "web"]);
    assert!(reply.status.success(), "{reply:?}\n{supervised}");
    supervised.pid_of("web", 2).signal(SIGKILL);
    supervised.wait_for(" web generation=3 … ready after");
    std::fs::remove_file(&path).unwrap();
    // It is seen at the next restart.
    let reply = supervised.stage.run(&["-c", "services.toml", "restart", "local"]);
    assert!(reply.status.success(), "{reply:?}\n{supervised}");
    supervised.wait_for(" local … is there again");
    let told = |port| {
        let after = scrape(port);
        are(
            &after,
            &[
                ("bootstrap_service_up{service=web}", 1.0),
                ("bootstrap_service_generation{service=web}", 3.0),
                ("bootstrap_service_restarts_total{reason=asked,service=web}", 1.0),
                ("bootstrap_service_restarts_total{reason=crash,service=web}", 1.0),
                ("bootstrap_service_restarts_total{reason=rollback,service=web}", 0.0),
                ("bootstrap_service_failed_restarts_total{service=web}", 0.0),
                ("bootstrap_service_last_exit{service=web}", 137.0),
                ("bootstrap_service_listener_repairs_total{service=local}", 1.0),
                ("bootstrap_service_restarts_total{reason=asked,service=local}", 1.0),
            ],
        );
    };
    told(port);
    // They go on counting in the program that the supervisor becomes.
    supervised.signal(SIGUSR2);
    supervised.wait_for(" is now … as before");
    told(port);
}

/// A number in a file of `/proc`: the first one of the line that begins so.
fn in_proc(supervised: &Supervised, file: &str, line: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", supervised.process().0)).unwrap();
    let found = text.lines().find_map(|all| all.strip_prefix(line)).unwrap_or_else(|| panic!("{text}"));
    found.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or_else(|| panic!("{found}"))
}

/// Services for which each number is another than none, and the metrics.
fn services_of_each_kind([port, slow, queue, late, drains]: [u16; 5]) -> String {
    let sick = |name: &str, restart: &str| {
        let check = "check = { exec = [\"sh\", \"-c\", \"test ! -e sick-$BOOTSTRAP_SERVICE-$BOOTSTRAP_GENERATION\"], period = \"50ms\", failures = 2 }";
        format!(
            "[[service]]\nname = \"{name}\"\ncommand = [\"sleep\", \"600\"]\nrestart = \"{restart}\"\n{check}\n"
        )
    };
    // A server that calls `listen` would set its own backlog.
    let held = format!(
        "[[service]]\nname = \"held\"\nlisten = {{ address = \"tcp://127.0.0.1:{queue}\", backlog = 7 }}\ncommand = [\"sleep\", \"600\"]\nready = \"started\"\nhandshake = \"none\"\n"
    );
    let stopped = "[[service]]\nname = \"stopped\"\ncommand = [\"sleep\", \"600\"]\n";
    let delayed = "[[service]]\nname = \"delayed\"\ncommand = [\"sleep\", \"600\"]\nready = \"delay\"\nready_delay = \"1300ms\"\n";
    WAITS.to_owned()
        + &service("slow", slow, &["sleep", "600"], "ready = \"pipe\"\nready_timeout = \"1h\"\nworkers = 3\n")
        + &sick("sick", "no")
        + &sick("cured", "always")
        + &held
        + stopped
        + delayed
        + &service("fails", late, &["./server"], "ready = \"pipe\"\nrestart = \"always\"\n")
        + &rude("drains", drains, &["--stay"], "drain_timeout = \"1h\"\n")
        + &metrics(port, "")
}

/// Puts this script where the command of `fails` is.
fn write_server(stage: &Stage, script: &str) {
    let path = stage.write("server", script);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Has each of them be what it is there for.
fn bring_about(supervised: &Supervised) {
    for service in ["sick", "cured"] {
        supervised.stage.write(&format!("sick-{service}-1"), "");
    }
    supervised.wait_for(" sick generation=1 … unhealthy");
    supervised.wait_for(" cured generation=2 … ready after");
    let ask = |words: &[&str], code: i32| {
        let reply = supervised.stage.run(&[&["-c", "services.toml"], words].concat());
        assert_eq!(reply.status.code(), Some(code), "{reply:?}\n{supervised}");
    };
    ask(&["hold", "held"], 0);
    ask(&["stop", "stopped"], 0);
    ask(&["restart", "drains"], 0);
    // What does not serve is gone back from, once for each of two restarts.
    write_server(&supervised.stage, "#!/bin/sh\nexit 4\n");
    for _ in 0..2 {
        ask(&["restart", "fails"], 5);
    }
}

/// Each number that a metric may have, held against the world and not against what the supervisor says of itself.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long it took")]
fn each_number_is_what_the_world_says() {
    let ports = [free_port(), free_port(), free_port(), free_port(), free_port()];
    let [port, _, queue, ..] = ports;
    let config = services_of_each_kind(ports);
    let began = std::time::Instant::now();
    let stage = Stage::new();
    write_server(&stage, &format!("#!/bin/sh\nexec {} \"$@\"\n", support::example("http")));
    let mut supervised = stage.launch(&config);
    for ready in ["metrics", "held", "delayed", "fails", "drains", "sick", "cured", "stopped"] {
        supervised.wait_for(&format!(" {ready} generation=1 … ready after"));
    }
    let ready = std::time::Instant::now();
    bring_about(&supervised);
    let _waiting: Vec<TcpStream> =
        (0..3).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, queue)).unwrap()).collect();
    let before = ready.elapsed().as_secs_f64();
    let samples = scrape(port);
    let after = began.elapsed().as_secs_f64();
    are(
        &samples,
        &[
            (&format!("bootstrap_info{{version={}}}", env!("CARGO_PKG_VERSION")), 1.0),
            ("bootstrap_config_state{state=applied}", 1.0),
            ("bootstrap_config_state{state=changed}", 0.0),
            ("bootstrap_config_state{state=broken}", 0.0),
            ("bootstrap_services{}", 9.0),
            // Sick is up; slow, held and stopped are not.
            ("bootstrap_services_up{}", 6.0),
            ("bootstrap_service_state{service=slow,state=starting}", 1.0),
            ("bootstrap_service_state{service=held,state=held}", 1.0),
            ("bootstrap_service_state{service=stopped,state=stopped}", 1.0),
            ("bootstrap_service_state{service=stopped,state=up}", 0.0),
            ("bootstrap_service_stale{service=sick}", 0.0),
            ("bootstrap_service_workers{service=slow}", 3.0),
            ("bootstrap_service_workers_serving{service=slow}", 0.0),
            ("bootstrap_service_workers_serving{service=sick}", 1.0),
            ("bootstrap_service_workers_unhealthy{service=sick}", 1.0),
            ("bootstrap_service_workers_unhealthy{service=cured}", 0.0),
            ("bootstrap_service_restarts_total{reason=unhealthy,service=sick}", 0.0),
            ("bootstrap_service_restarts_total{reason=unhealthy,service=cured}", 1.0),
            ("bootstrap_service_restarts_total{reason=asked,service=cured}", 0.0),
            ("bootstrap_service_restarts_total{reason=rollback,service=fails}", 2.0),
            ("bootstrap_service_restarts_total{reason=crash,service=fails}", 0.0),
            ("bootstrap_service_failed_restarts_total{service=fails}", 2.0),
            ("bootstrap_service_failed_restarts_total{service=cured}", 0.0),
            ("bootstrap_service_draining{service=drains}", 1.0),
            ("bootstrap_service_draining{service=held}", 0.0),
            ("bootstrap_service_generation{service=drains}", 2.0),
            (&format!("bootstrap_listener_queue{{address=tcp://127.0.0.1:{queue},service=held}}"), 3.0),
            (&format!("bootstrap_listener_queue_limit{{address=tcp://127.0.0.1:{queue},service=held}}"), 7.0),
            ("bootstrap_supervisor_descriptor_limit{}", in_proc(&supervised, "limits", "Max open files")),
        ],
    );
    for absent in
        ["bootstrap_service_uptime_seconds{service=slow}", "bootstrap_service_ready_seconds{service=slow}"]
    {
        assert!(!samples.contains_key(absent), "{absent}: {samples:#?}");
    }
    let uptime = samples["bootstrap_supervisor_uptime_seconds{}"];
    assert!((before..after).contains(&uptime), "{before} {uptime} {after}");
    let uptime = samples["bootstrap_service_uptime_seconds{service=delayed}"];
    assert!((before - 0.1..after).contains(&uptime), "{before} {uptime} {after}");
    let took = samples["bootstrap_service_ready_seconds{service=delayed}"];
    assert!((1.3..after).contains(&took), "{took}");
    let told = samples["bootstrap_supervisor_proportional_memory_bytes{}"];
    let pss = in_proc(&supervised, "smaps_rollup", "Pss:") * 1024.0;
    assert!((told - pss).abs() < 1024.0 * 1024.0, "{told} against {pss}");
    and_so_are_those_of_the_config(&supervised, port, &config);
    // Who drains for an hour is not waited for.
    supervised.signal(SIGQUIT);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
}

fn and_so_are_those_of_the_config(supervised: &Supervised, port: u16, config: &str) {
    supervised
        .stage
        .write("services.toml", &config.replace("backlog = 7", "backlog = 8").replace("1300ms", "1400ms"));
    are(
        &scrape(port),
        &[
            ("bootstrap_config_state{state=applied}", 0.0),
            ("bootstrap_config_state{state=changed}", 1.0),
            ("bootstrap_service_stale{service=delayed}", 1.0),
            ("bootstrap_service_stale{service=sick}", 0.0),
        ],
    );
    supervised.stage.write("services.toml", "[[service]]");
    are(
        &scrape(port),
        &[("bootstrap_config_state{state=changed}", 0.0), ("bootstrap_config_state{state=broken}", 1.0)],
    );
}

/// A balancer sends nobody to a service that is not up, whatever else it is.
#[test]
fn readiness_is_told_in_each_state_that_is_not_up() {
    let [port, slow, drains] = [free_port(), free_port(), free_port()];
    let stopped = "[[service]]\nname = \"stopped\"\ncommand = [\"sleep\", \"600\"]\n[[service]]\nname = \"held\"\ncommand = [\"sleep\", \"600\"]\n";
    let config = service("slow", slow, &["sleep", "600"], "ready = \"pipe\"\nready_timeout = \"1h\"\n")
        // It never says that it accepts no more, so its successor is not there yet.
        + &rude("restarts", drains, &["--mute"], "handover_timeout = \"1h\"\n")
        + stopped;
    let mut supervised = with_metrics(port, &config);
    for service in ["restarts", "stopped", "held"] {
        supervised.wait_for(&format!(" {service} generation=1 … ready after"));
    }
    for words in [&["stop", "stopped"][..], &["hold", "held"], &["restart", "--no-wait", "restarts"]] {
        let reply = supervised.stage.run(&[&["-c", "services.toml"], words].concat());
        assert_eq!(reply.status.code(), Some(0), "{reply:?}\n{supervised}");
    }
    supervised.wait_for(" restarts generation=1 … asked to stop accepting");
    let wanted = "held is held\nrestarts is restarting\nslow is starting\nstopped is stopped\n";
    assert_eq!(page(port, "/readyz"), (503, wanted.into()));
    let (_, text) = (page(port, "/metrics"), answer(port, "GET /metrics HTTP/1.1\r\n\r\n"));
    let media = "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(text.contains(media), "{text}");
    supervised.signal(SIGQUIT);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
}

#[test]
fn probes_are_told_who_is_not_up_and_that_the_supervisor_answers() {
    let [port, crash] = [free_port(), free_port()];
    let supervised = with_metrics(port, &rude("dies", crash, &["--exit", "3"], ""));
    supervised.wait_for(" dies … stays down");
    assert_eq!(page(port, "/readyz"), (503, "dies is crashed\n".into()));
    assert_eq!(page(port, "/healthz"), (200, "the supervisor answers\n".into()));
    assert_eq!(page(port, "/").0, 404);
    let head = answer(port, "HEAD /healthz HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head:?}");
    let refused = answer(port, "POST /metrics HTTP/1.1\r\n\r\n");
    assert!(
        refused.starts_with("HTTP/1.1 405 ") && refused.contains("\r\nAllow: GET, HEAD\r\n"),
        "{refused}"
    );
    supervised.signal(SIGSTOP);
    for path in ["/healthz", "/readyz", "/metrics"] {
        let silent = (503, "the supervisor did not answer within 2s\n".into());
        assert_eq!(page(port, path), silent, "{path}");
    }
    supervised.signal(SIGCONT);
    eventually("it answers again", || page(port, "/healthz").0 == 200);
}

/// A file says where the supervisor is, and may be gone or broken while that goes on.
#[test]
fn the_supervisor_is_found_where_it_was_whatever_becomes_of_the_file() {
    let port = free_port();
    let stage = Stage::new();
    let place = format!("[bootstrap]\nruntime_dir = {:?}\n", stage.dir().join("here"));
    let supervised = stage.launch(&(place + &metrics(port, "")));
    supervised.wait_for(" metrics generation=1 … ready after");
    assert_eq!(page(port, "/readyz").0, 200);
    let file = supervised.stage.dir().join("services.toml");
    for text in ["", "[bootstrap]\nruntime_dir = \"/elsewhere\"\n"] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(page(port, "/healthz"), (200, "the supervisor answers\n".into()), "{text:?}");
    }
    std::fs::remove_file(&file).unwrap();
    are(&scrape(port), &[("bootstrap_config_state{state=broken}", 1.0)]);
    supervised.stop();
}

#[test]
fn restarts_under_scrapes_fail_none() {
    let port = free_port();
    let supervised = with_metrics(port, "");
    let (over, scrapes) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let (code, text) = page(port, "/metrics");
                    assert!(code == 200 && text.ends_with("# EOF\n"), "{code}: {text}");
                    assert_eq!(page(port, "/readyz"), (200, "every service is up\n".into()));
                    scrapes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for generation in 2..12 {
            let before = scrapes.load(Ordering::Relaxed);
            eventually("scrapes are under way", || scrapes.load(Ordering::Relaxed) > before + 3);
            supervised.signal(SIGUSR1);
            supervised.wait_for(&format!(" metrics generation={generation} … ready after"));
            let old = generation - 1;
            supervised.wait_for(&format!(" metrics generation={old} … answered \"success\""));
            supervised.wait_for(&format!(" metrics generation={old} … ended with exit code 0"));
        }
        over.store(true, Ordering::Relaxed);
    });
    supervised.stop();
}

#[test]
fn an_accepted_scrape_is_answered_by_the_one_that_leaves() {
    let port = free_port();
    let supervised = with_metrics(port, "");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"GET /healthz HTT").unwrap();
    // Who comes later is accepted later.
    assert_eq!(page(port, "/healthz").0, 200);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" metrics generation=1 … answered \"success\"");
    stream.write_all(b"P/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    supervised.wait_for(" metrics generation=1 … ended with exit code 0");
    supervised.stop();
}

/// Nothing has come on it, and it is not closed.
fn is_silent(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let silent = matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    silent
}

#[test]
fn so_many_clients_are_served_at_a_time_and_who_asks_for_nothing_is_cut() {
    let port = free_port();
    let supervised = with_metrics(port, "");
    let idle = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut all: Vec<TcpStream> = (1..METRICS_CLIENTS).map(|_| idle()).collect();
    assert_eq!(page(port, "/healthz").0, 200, "at the limit");
    // The place of the one that was answered is taken by another.
    let last = idle();
    let mut one_more = idle();
    one_more.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    one_more.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
    let early = one_more.read(&mut [0; 16]);
    assert!(early.is_err() && is_silent(&all[0]), "answered past the limit, or cut: {early:?}\n{supervised}");
    drop(all.pop());
    one_more.set_read_timeout(Some(LIMIT)).unwrap();
    let mut text = String::new();
    one_more.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    for mut stream in all.into_iter().chain([last]) {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is cut");
    }
    supervised.stop();
}

#[test]
fn another_user_may_serve_who_is_in_the_group() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let port = free_port();
    let stage = Stage::public();
    let program = stage.install(env!("CARGO_BIN_EXE_bootstrap"), "bootstrap");
    let command = [&*program, "-c", "services.toml", "metrics"];
    let more = "ready = \"pipe\"\nuser = \"nobody\"\nsupplementary_groups = [\"daemon\"]";
    let group = "[bootstrap]\ncontrol_group = \"daemon\"\ncontrol_rights = \"read\"\n";
    let supervised = stage.launch(&(group.to_owned() + &service("metrics", port, &command, more)));
    supervised.wait_for(" metrics generation=1 … ready after");
    are(&scrape(port), &[("bootstrap_services_up{}", 1.0)]);
    supervised.stop();
}

#[test]
fn what_was_not_handed_over_is_told() {
    let stage = Stage::new();
    stage.write("services.toml", &metrics(free_port(), ""));
    for (words, wanted) in [
        (&["77", "78"][..], "descriptors 77, 78 were not all handed over: Bad file descriptor"),
        (&["77"], "2 values required"),
    ] {
        let output = stage.run(&[&["-c", "services.toml", "metrics"], words].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(wanted), "{said}");
    }
}
