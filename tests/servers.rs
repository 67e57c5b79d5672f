//! Unmodified servers from packages, on sockets that bootstrap holds. `tests/install` installs them.

mod support;

use nix::sys::signal::Signal::SIGUSR1;
use std::path::{Path, PathBuf};
use support::{Failure, Stage, Supervised, eventually, free_port, get};

/// Restarts `server` six times while a client asks one request after the other, each on a new connection.
/// Gives what failed. The socket is held, so nobody may ever be refused.
fn six_restarts(supervised: &Supervised, port: u16) -> Vec<Failure> {
    eventually("it serves", || get(port, "/").is_ok());
    let mut failures = Vec::new();
    for generation in 2..=7 {
        supervised.signal(SIGUSR1);
        let mut settled = 0;
        while settled < 20 {
            match get(port, "/") {
                Ok(answer) => assert!(answer.body.contains("hello"), "{answer:?}"),
                Err(failure) => failures.push(failure),
            }
            settled += u32::from(supervised.said(&format!(" server generation={generation} … started")));
        }
    }
    failures
}

#[test]
fn gunicorn_takes_its_socket_by_number_and_restarts_without_a_failed_request() {
    let gunicorn = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("servers").join("bin/gunicorn");
    assert!(gunicorn.exists(), "{} is missing: run tests/install", gunicorn.display());
    let (stage, port) = (Stage::new(), free_port());
    stage.write(
        "app.py",
        "import os\n\
         def application(environ, start_response):\n    \
             body = b'hello generation=' + os.environ['BOOTSTRAP_GENERATION'].encode()\n    \
             start_response('200 OK', [('Content-Length', str(len(body)))])\n    \
             return [body]\n",
    );
    let config = format!(
        "[[service]]\nname = \"server\"\nlisten = \"tcp://127.0.0.1:{port}\"\nhandshake = \"none\"\n\
         command = [{gunicorn:?}, \"-b\", \"fd://{{fd}}\", \"--workers\", \"2\", \"app:application\"]\n",
    );
    let supervised = stage.start(&config, &["server"]);
    let failures = six_restarts(&supervised, port);
    assert!(failures.is_empty(), "{failures:?}\n{supervised}");
    eventually("the last generation answers", || get(port, "/").is_ok_and(|answer| answer.generation() == 7));
    supervised.stop();
}

#[test]
fn nginx_takes_its_socket_by_variable_and_restarts_without_a_refused_client() {
    let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
    let nginx =
        nginx.into_iter().find(|path| Path::new(path).exists()).expect("nginx is missing: run tests/install");
    let (stage, port) = (Stage::new(), free_port());
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {kind};\n"))
        .concat();
    let conf = format!(
        "{user} worker_processes 2; pid nginx.pid; error_log error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off;\n{temp}server {{ listen 127.0.0.1:{port}; location / {{ return 200 hello; }} }} }}\n"
    );
    let conf = stage.write("nginx.conf", &conf);
    let directory = stage.dir().to_str().unwrap().to_owned();
    let config = format!(
        "[[service]]\nname = \"server\"\nhandshake = \"none\"\nstop_signal = \"QUIT\"\n\
         listen = {{ address = \"tcp://127.0.0.1:{port}\", nonblocking = true }}\n\
         command = [{nginx:?}, \"-e\", \"error.log\", \"-p\", {directory:?}, \"-c\", {conf:?}, \"-g\", \
         \"daemon off; master_process on;\"]\nenv = {{ NGINX = \"{{fd}};\" }}\n"
    );
    let supervised = stage.start(&config, &["server"]);
    let failures = six_restarts(&supervised, port);
    // A connection that nginx has accepted, and whose request is still on the way when it is told to quit, is
    // closed by nginx itself. Never is one refused, and never is an answer cut.
    let lost = failures.iter().filter(|failure| matches!(failure, Failure::Reset | Failure::Empty)).count();
    assert!(lost == failures.len() && lost <= 6, "{failures:?}\n{supervised}");
    supervised.stop();
}
