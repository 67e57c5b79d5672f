//! How the supervisors of others are set up.

use super::running::{Begun, Restart, Stop};
use super::ways::Service;
use crate::support::Stage;
use nix::sys::signal::Signal::{SIGHUP, SIGTERM};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// It knows one service: one of it for each.
pub(super) fn start_server(_: &Stage, program: &Path, services: &[Service]) -> Begun {
    let one = |service: &Service| {
        let mut starter = Command::new(program);
        starter.arg(format!("--port={}", service.address)).args(["--interval=1", "--"]);
        starter.args(&service.command);
        starter
    };
    Begun::Other(services.iter().map(one).collect(), Restart::Signal(SIGHUP), Stop::Signal(SIGTERM))
}

pub(super) fn kill_and_start(_: &Stage, _: &Path, services: &[Service]) -> Begun {
    let mut server = Command::new(&services[0].command[0]);
    server.args(&services[0].command[1..]);
    Begun::Other(vec![server], Restart::Loop, Stop::Signal(SIGTERM))
}

/// A directory with one for each service, which has a `run`; their paths.
fn scanned(stage: &Stage, services: &[Service]) -> (String, Vec<String>) {
    let all = stage.path("services");
    let one = |service: &Service| {
        let directory = format!("{all}/{}", service.name);
        fs::create_dir_all(&directory).unwrap();
        let run = format!("{directory}/run");
        fs::write(&run, format!("#!/bin/sh\nexec {}\n", service.command.join(" "))).unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        directory
    };
    let directories = services.iter().map(one).collect();
    (all, directories)
}

pub(super) fn s6(stage: &Stage, program: &Path, services: &[Service]) -> Begun {
    let (all, directories) = scanned(stage, services);
    let mut scan = Command::new(program);
    scan.args(["-c", &(services.len() + 10).to_string(), &all]);
    let mut restart = Command::new(program.with_file_name("s6-svc"));
    restart.args(["-r", &directories[0]]);
    Begun::Other(vec![scan], Restart::Command(restart), Stop::Signal(SIGTERM))
}

pub(super) fn runit(stage: &Stage, program: &Path, services: &[Service]) -> Begun {
    let (all, directories) = scanned(stage, services);
    let mut scan = Command::new(program);
    scan.arg(all);
    let mut restart = Command::new(program.with_file_name("sv"));
    restart.args(["restart", &directories[0]]);
    Begun::Other(vec![scan], Restart::Command(restart), Stop::Signal(SIGHUP))
}

pub(super) fn daemontools(stage: &Stage, program: &Path, services: &[Service]) -> Begun {
    let (all, directories) = scanned(stage, services);
    let mut scan = Command::new(program);
    scan.arg(all);
    let control = |option: &str, directories: &[String]| {
        let mut command = Command::new(program.with_file_name("svc"));
        command.arg(option).args(directories);
        command
    };
    let restart = Restart::Command(control("-t", &directories[..1]));
    Begun::Other(vec![scan], restart, Stop::Then(control("-dx", &directories)))
}

pub(super) fn supervisord(stage: &Stage, program: &Path, services: &[Service]) -> Begun {
    let socket = stage.path("supervisor.sock");
    let head = format!(
        "[unix_http_server]\nfile={socket}\n\
         [supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\nminfds=8192\npidfile={}\n\
         [rpcinterface:supervisor]\n\
         supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
         [supervisorctl]\nserverurl=unix://{socket}\n",
        stage.path("pid"),
    );
    let one = |service: &Service| {
        let (name, command) = (&service.name, service.command.join(" "));
        format!(
            "[program:{name}]\ncommand={command}\nstartsecs=0\nautorestart=true\n\
             stdout_logfile=NONE\nstderr_logfile=NONE\n"
        )
    };
    let config = head + &services.iter().map(one).collect::<String>();
    let config = stage.write("supervisord.conf", &config);
    let mut restart = Command::new(program.with_file_name("supervisorctl"));
    restart.arg("-c").arg(&config).args(["restart", &services[0].name]);
    let mut daemon = Command::new(program);
    daemon.arg("-c").arg(&config);
    Begun::Other(vec![daemon], Restart::Command(restart), Stop::Signal(SIGTERM))
}

pub(super) fn circus(stage: &Stage, program: &Path, services: &[Service]) -> Begun {
    let endpoint = format!("ipc://{}", stage.path("control"));
    let head = format!("[circus]\nendpoint = {endpoint}\npubsub_endpoint = ipc://{}\n", stage.path("events"));
    let one = |service: &Service| {
        let (host, port) = service.address.split_once(':').expect("an address has a port");
        let (name, command) = (&service.name, service.command.join(" "));
        format!(
            "[watcher:{name}]\ncmd = {command} $(circus.sockets.{name})\nuse_sockets = True\ncopy_env = True\n\
             [socket:{name}]\nhost = {host}\nport = {port}\n"
        )
    };
    let config = head + &services.iter().map(one).collect::<String>();
    let config = stage.write("circus.ini", &config);
    let mut restart = Command::new(program.with_file_name("circusctl"));
    restart.args(["--endpoint", &endpoint, "reload", &services[0].name]);
    let mut daemon = Command::new(program);
    daemon.arg(config);
    Begun::Other(vec![daemon], Restart::Command(restart), Stop::Signal(SIGTERM))
}
