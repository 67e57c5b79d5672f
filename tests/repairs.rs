//! A server shares its sockets with us and with its successors; it cannot take them away.

mod support;

use nix::sys::signal::Signal::SIGUSR1;
use std::fs;
use support::{Stage, Supervised, eventually, free_port, get, get_unix};

/// Serves one client at a time, and harms its socket when it is asked to.
const SERVER: &str = r#"
import os, socket, sys, time

listener = socket.socket(fileno=int(sys.argv[1]))
while True:
    try:
        client, _ = listener.accept()
    except OSError:
        time.sleep(0.01)
        continue
    with client:
        path = client.recv(4096).split()[1]
        body = b"generation=%s pid=%d\n" % (os.environb[b"BOOTSTRAP_GENERATION"], os.getpid())
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
    if path == b"/shutdown":
        listener.shutdown(socket.SHUT_RDWR)
    elif path == b"/unlink":
        os.unlink(listener.getsockname())
"#;

/// Runs that server on an address.
fn start(stage: Stage, address: &str, more: &str) -> Supervised {
    stage.write("server.py", SERVER);
    let config = format!(
        "[[service]]\nname = \"web\"\nlisten = \"{address}\"\nhandshake = \"none\"\n\
         command = [\"python3\", \"server.py\", \"{{fd}}\"]\n{more}\n"
    );
    stage.start(&config, &["web"])
}

#[test]
fn a_tcp_socket_that_a_server_shut_down_listens_again() {
    let port = free_port();
    let supervised = start(Stage::new(), &format!("tcp://127.0.0.1:{port}"), "");
    let pid = supervised.get(port).pid();
    for round in 1..=5 {
        assert_eq!(get(port, "/shutdown").unwrap().pid(), pid);
        eventually(&format!("it listens again\n{supervised}"), || {
            supervised.count(" web … had shut tcp://127.0.0.1: … down; it listens again") == round
        });
        assert_eq!(supervised.get(port).pid(), pid, "{supervised}");
    }
    assert_eq!(supervised.last_generation("web"), 1, "{supervised}");
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 2);
    supervised.stop();
}

#[test]
fn workers_do_not_suffer_when_one_shuts_their_socket_down() {
    let port = free_port();
    let supervised = start(Stage::new(), &format!("tcp://127.0.0.1:{port}"), "workers = 3");
    supervised.wait_for(" web generation=3 … ready after");
    get(port, "/shutdown").unwrap();
    supervised.wait_for("it listens again");
    for _ in 0..20 {
        supervised.get(port);
    }
    assert_eq!(supervised.last_generation("web"), 3, "{supervised}");
    supervised.stop();
}

/// As servers do that clean up when they leave, although the path is not theirs.
#[test]
fn the_path_of_a_unix_socket_that_a_leaving_server_removed_is_put_back() {
    let stage = Stage::new();
    let path = stage.dir().join("web.sock");
    let supervised = start(stage, &format!("unix:{}", path.display()), "");
    supervised.wait_for(" web generation=1 … ready after");
    for round in 1..=3 {
        get_unix(&path, "/unlink").unwrap();
        eventually("it is gone", || !path.exists());
        supervised.signal(SIGUSR1);
        eventually(&format!("it is there again\n{supervised}"), || {
            supervised.count(" web … had removed the path of unix: … it is there again") == round
        });
        supervised.wait_for(&format!(" web generation={} … ready after", round + 1));
        assert_eq!(get_unix(&path, "/").unwrap().generation(), u32::try_from(round).unwrap() + 1);
    }
    supervised.stop();
}

/// It once failed each start of the service, its port with it.
#[test]
fn a_directory_that_is_gone_takes_its_socket_with_it_and_nothing_else() {
    let (stage, port) = (Stage::new(), free_port());
    let directory = stage.dir().join("gone");
    let path = directory.join("web.sock");
    fs::create_dir(&directory).unwrap();
    stage.write("server.py", SERVER);
    let config = format!(
        "[bootstrap]\nwhen_idle = \"wait\"\n[[service]]\nname = \"web\"\nhandshake = \"none\"\n\
         listen = [{{ name = \"port\", address = \"tcp://127.0.0.1:{port}\" }}, \"unix:{}\"]\n\
         command = [\"python3\", \"server.py\", \"{{fd:port}}\"]\n",
        path.display()
    );
    let supervised = stage.start(&config, &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    fs::remove_dir_all(&directory).unwrap();
    let said = "nothing can be put at the path of unix: … No such file or directory; it starts all the same";
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 2);
    supervised.wait_for(&format!(" web {said}"));
    // Stopped, the socket is shut down: there is another one for the next server.
    for verb in ["stop", "start"] {
        let done = supervised.stage.run(&["-c", "services.toml", verb, "web"]);
        assert!(done.status.success(), "{done:?}");
    }
    supervised.wait_answer(port, 3);
    assert_eq!(supervised.count(&format!(" web {said}")), 2, "{supervised}");
    fs::create_dir(&directory).unwrap();
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 4);
    supervised.wait_for(" web somebody had destroyed unix: … it is bound anew");
    assert!(path.exists());
    supervised.stop();
}
