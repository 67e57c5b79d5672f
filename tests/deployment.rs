//! What config/ has for systemd and for Kubernetes: it is accepted where it goes to, and its times agree with ours.

mod support;

use bootstrap::config;
use bootstrap::exit::ExitCode;
use bootstrap::limits::KILL_PATIENCE;
use bootstrap::os::Place;
use bootstrap::plan::{Address, Policy};
use saphyr::{LoadableYamlNode as _, Yaml};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::Stage;

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// How long a service may take to stop at most: it answers late, drains as long as it may, ignores SIGTERM, and hangs
/// in the kernel.
fn longest_stop() -> Duration {
    let policy = Policy::default();
    policy.handover_timeout + policy.drain_timeout + policy.stop_timeout + KILL_PATIENCE
}

// ---- systemd ----

/// The keys of the unit, the last value of each.
fn unit() -> BTreeMap<String, String> {
    let lines = file("config/bootstrap.service");
    let keys = lines.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    keys.map(|(key, value)| (key.into(), value.into())).collect()
}

/// Debian 12 has systemd 252, which does not know `notify-reload` yet, says so, and keeps `notify`.
#[test]
fn systemd_takes_the_unit() {
    let stage = Stage::new();
    let here =
        file("config/bootstrap.service").replace("/usr/bin/bootstrap", env!("CARGO_BIN_EXE_bootstrap"));
    let path = stage.write("bootstrap.service", &here);
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output();
    let output = output.expect("systemd-analyze; run tests/install");
    let said = String::from_utf8(output.stderr).unwrap();
    let of_ours =
        |line: &&str| line.contains("bootstrap.service") && !line.contains("ignoring: notify-reload");
    let mistakes: Vec<&str> = said.lines().filter(of_ours).collect();
    assert_eq!(mistakes, [""; 0]);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_times_of_the_unit_leave_room_for_ours() {
    let unit = unit();
    let time = |key: &str| humantime::parse_duration(&unit[key]).unwrap();
    assert!(time("TimeoutStopSec") > longest_stop(), "a stop may take {:?}", longest_stop());
    assert!(time("TimeoutStartSec") > Policy::default().ready_timeout);
    // Each of these has cost somebody all services, or all requests in flight.
    assert_eq!(unit["KillMode"], "mixed", "the supervisor asks its servers itself");
    assert_eq!(unit["OOMPolicy"], "continue", "a crash touches one service");
    assert_eq!(unit["RestartPreventExitStatus"], (ExitCode::Config as u8).to_string());
    assert_eq!(unit["Type"], "notify-reload");
    assert!(unit["ExecReload"].ends_with("kill -HUP $MAINPID"), "where notify-reload is not known");
    // The check comes first, or `systemctl reload` succeeds on a file that is refused.
    let reloads = file("config/bootstrap.service");
    let reloads: Vec<&str> = reloads.lines().filter(|line| line.starts_with("ExecReload=")).collect();
    assert!(reloads[0].ends_with("check") && reloads.len() == 2, "{reloads:?}");
}

/// The unit once put the control socket where no command looked for it.
#[test]
fn commands_find_the_supervisor_of_the_unit() {
    let unit = unit();
    let (_, file) = unit["ExecStart"].split_once(" -c ").unwrap();
    let by_unit = Path::new("/run").join(&unit["RuntimeDirectory"]);
    assert_eq!(Place::of_root(Path::new(file)), by_unit);
}

// ---- Kubernetes ----

/// The documents of the manifest, by kind.
fn manifest(text: &str) -> BTreeMap<String, Yaml<'_>> {
    let documents = Yaml::load_from_str(text).expect("YAML");
    documents.into_iter().map(|document| (document["kind"].as_str().unwrap().to_owned(), document)).collect()
}

fn seconds(yaml: &Yaml<'_>) -> Duration {
    Duration::from_secs(
        yaml.as_integer().and_then(|number| number.try_into().ok()).expect("a number of seconds"),
    )
}

/// Says what the schemas of this version of Kubernetes think of a manifest, as a server would on a dry run.
fn validated(manifest: &Path, version: &str) -> Result<(), String> {
    let servers = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("servers");
    let mut validate = Command::new(servers.join("bin/kubernetes-validate"));
    validate.args(["--strict", "--quiet", "--kubernetes-version", version]).arg(manifest);
    let output = validate.output().expect("kubernetes-validate; run tests/install");
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8(said).unwrap()) }
}

/// The oldest version that the manifest is for, and the newest of which there are schemas.
#[test]
fn kubernetes_takes_the_manifest_and_refuses_one_with_a_mistake() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kubernetes.yaml");
    let stage = Stage::new();
    let text = file("config/kubernetes.yaml");
    for version in ["1.30", "1.37"] {
        assert_eq!(validated(&manifest, version), Ok(()), "{version}");
        for (right, wrong) in [("periodSeconds:", "periodSecond:"), ("replicas: 2", "replicas: two")] {
            let path = stage.write("wrong.yaml", &text.replacen(right, wrong, 1));
            assert!(validated(&path, version).is_err(), "{wrong} is taken by {version}");
        }
    }
}

#[test]
fn the_pod_is_given_the_time_that_its_services_take() {
    let text = file("config/kubernetes.yaml");
    let documents = manifest(&text);
    let pod = &documents["Deployment"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let pause = seconds(&container["lifecycle"]["preStop"]["sleep"]["seconds"]);
    let patience = seconds(&pod["terminationGracePeriodSeconds"]);
    assert!(patience > pause + longest_stop(), "{patience:?}, of {pause:?} and {:?}", longest_stop());

    let config = documents["ConfigMap"]["data"]["services.toml"].as_str().unwrap();
    let plan = config::parse("services.toml", config).unwrap_or_else(|refused| panic!("{refused}"));
    let [service] = &plan.services[..] else { panic!("{config}") };
    let startup = &container["startupProbe"];
    let tries = u32::try_from(startup["failureThreshold"].as_integer().unwrap()).unwrap();
    assert!(seconds(&startup["periodSeconds"]) * tries > service.policy.ready_timeout);
    assert_eq!(service.policy.drain_timeout, Policy::default().drain_timeout, "or the patience is another");
}

/// A name in one part that is no name in the other is accepted by the server, and nothing works.
#[test]
fn the_parts_of_the_manifest_find_each_other() {
    let text = file("config/kubernetes.yaml");
    let documents = manifest(&text);
    let deployment = &documents["Deployment"]["spec"];
    let labels = &deployment["template"]["metadata"]["labels"];
    assert_eq!(&deployment["selector"]["matchLabels"], labels);
    assert_eq!(&documents["Service"]["spec"]["selector"], labels);
    let pod = &deployment["template"]["spec"];
    let container = &pod["containers"][0];
    let port = &container["ports"][0];
    for named in [
        &documents["Service"]["spec"]["ports"][0]["targetPort"],
        &container["startupProbe"]["httpGet"]["port"],
        &container["readinessProbe"]["httpGet"]["port"],
    ] {
        assert_eq!(named, &port["name"]);
    }
    let config = documents["ConfigMap"]["data"]["services.toml"].as_str().unwrap();
    let plan = config::parse("services.toml", config).unwrap();
    let Address::Tcp(address) = plan.services[0].listeners[0].address else { panic!("no TCP address") };
    assert_eq!(port["containerPort"].as_integer(), Some(address.port().into()));
    assert!(address.port() >= 1024, "it is not root");
    assert_eq!(pod["volumes"][0]["configMap"]["name"], documents["ConfigMap"]["metadata"]["name"]);
    assert_eq!(container["volumeMounts"][0]["name"], pod["volumes"][0]["name"]);
    let directory = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let file = container["command"][2].as_str().unwrap();
    assert_eq!(file, format!("{directory}/services.toml"));
}
