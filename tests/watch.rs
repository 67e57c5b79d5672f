//! `watch = true`: a new program in the place of the old one serves without anybody asking.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use support::{Load, Stage, Supervised, example, free_port, service};

/// Puts a program in its place.
fn deploy(directory: &Path, program: &[u8]) {
    support::deploy(&directory.join("server"), program);
}

fn binary() -> Vec<u8> {
    fs::read(example("http")).unwrap()
}

fn watched(port: u16, command: &str, more: &str) -> String {
    let more = format!("watch = true\nready = \"pipe\"\nready_timeout = \"2s\"\n{more}");
    service("web", port, &[command], &more)
}

/// Deploys it again and again under load: no request fails.
#[track_caller]
fn follows(more: &str) {
    let (stage, port) = (Stage::new(), free_port());
    deploy(stage.dir(), &binary());
    let supervised = stage.start(&watched(port, "./server", more), &["web"]);
    supervised.wait_answer(port, 1);
    let load = Load::start("web", port, 2);
    for generation in 2..=4 {
        // Several in a row are one change.
        for _ in 0..3 {
            deploy(supervised.stage.dir(), &binary());
        }
        supervised.wait_for(&format!(" web generation={generation} … ready after"));
        supervised.wait_for(&format!(" web generation={} … exit code 0", generation - 1));
        assert_eq!(supervised.count("the file of its program has changed; restarting"), generation - 1);
    }
    let outcome = load.finish();
    assert!(outcome.failures.is_empty(), "{outcome}\n{supervised}");
    supervised.stop();
}

#[test]
fn a_program_that_is_renamed_over_serves_start_first_and_no_request_fails() {
    follows("restart_order = \"start-first\"");
}

#[test]
fn a_program_that_is_renamed_over_serves_stop_first_and_no_request_fails() {
    follows("");
}

#[test]
fn a_symbolic_link_on_the_way_to_the_program_is_watched() {
    let (stage, port) = (Stage::new(), free_port());
    for release in ["one", "two"] {
        let directory = stage.dir().join(release).join("bin");
        fs::create_dir_all(&directory).unwrap();
        deploy(&directory, &binary());
    }
    symlink("one", stage.dir().join("current")).unwrap();
    let supervised = stage.start(&watched(port, "current/bin/server", ""), &["web"]);
    supervised.wait_answer(port, 1);
    for (generation, release) in [(2, "two"), (3, "one")] {
        let new = supervised.stage.dir().join("current.new");
        symlink(release, &new).unwrap();
        fs::rename(&new, supervised.stage.dir().join("current")).unwrap();
        supervised.wait_for(&format!(" web generation={generation} … ready after"));
    }
    // And what it leads to by now.
    deploy(&supervised.stage.dir().join("one/bin"), &binary());
    supervised.wait_for(" web generation=4 … ready after");
    supervised.stop();
}

/// `mv app app.old; mv app.new app`, and the same by `rm -r` and a copy, were once no change.
#[test]
fn a_tree_that_is_put_in_the_place_of_another_is_watched() {
    let (stage, port) = (Stage::new(), free_port());
    let put = |stage: &Stage, tree: &str| {
        let directory = stage.dir().join(tree).join("bin");
        fs::create_dir_all(&directory).unwrap();
        deploy(&directory, &binary());
    };
    put(&stage, "app");
    let directory = format!("directory = {:?}\n", stage.dir().join("app"));
    let command = stage.path("app/bin/server");
    let supervised = stage.start(&watched(port, &command, &directory), &["web"]);
    supervised.wait_answer(port, 1);
    let load = Load::start("web", port, 2);
    let at = |name: &str| supervised.stage.dir().join(name);
    put(&supervised.stage, "app.new");
    fs::rename(at("app"), at("app.old")).unwrap();
    fs::rename(at("app.new"), at("app")).unwrap();
    supervised.wait_for(" web generation=2 … ready after");
    // It works in this directory, which stays as long as it does.
    fs::remove_dir_all(at("app")).unwrap();
    put(&supervised.stage, "app");
    supervised.wait_for(" web generation=3 … ready after");
    deploy(&at("app/bin"), &binary());
    supervised.wait_for(" web generation=4 … ready after");
    let outcome = load.finish();
    assert!(outcome.failures.is_empty(), "{outcome}\n{supervised}");
    supervised.stop();
}

/// A program that crashes was to be started again in an hour; somebody mends it.
#[test]
fn a_mended_program_is_tried_at_once_however_long_the_pause() {
    let (stage, port) = (Stage::new(), free_port());
    deploy(stage.dir(), &binary());
    let pause = "rollback = false\nrestart = \"always\"\nrestart_delay = \"1h\"\nrestart_delay_max = \"1h\"";
    let supervised = stage.start(&watched(port, "./server", pause), &["web"]);
    supervised.wait_answer(port, 1);
    deploy(supervised.stage.dir(), b"#!/bin/sh\nexit 3\n");
    supervised.wait_for(" web generation=3 … exit code 3 … starting generation 4 in 1h");
    // Not even a program can be in its place meanwhile.
    std::fs::remove_file(supervised.stage.dir().join("server")).unwrap();
    deploy(supervised.stage.dir(), &binary());
    supervised.wait_for(" web generation=4 … ready after");
    supervised.wait_answer(port, 4);
    assert_eq!(supervised.count("has changed"), 2, "{supervised}");
    supervised.stop();
}

/// Nothing of it has ever run.
#[test]
fn a_program_that_is_put_there_at_last_is_tried_at_once_however_long_the_pause() {
    for (command, mode) in [("bin/server", None), ("bin/server", Some(0o755)), ("server", Some(0o644))] {
        let (stage, port) = (Stage::new(), free_port());
        let place = stage.dir().join("bin");
        fs::create_dir(&place).unwrap();
        if let Some(mode) = mode {
            let broken = stage.write("bin/server", "");
            fs::set_permissions(&broken, fs::Permissions::from_mode(mode)).unwrap();
        }
        let pause = "restart = \"always\"\nrestart_delay = \"1h\"\nrestart_delay_max = \"1h\"";
        let path = format!("env = {{ PATH = \"{}:/usr/bin:/bin\" }}", place.display());
        let supervised = stage.launch(&watched(port, command, &format!("{pause}\n{path}")));
        supervised.wait_for(" web generation=2 could not be started … starting generation 3 in 1h");
        deploy(&place, &binary());
        supervised.wait_for(" web generation=3 … ready after");
        deploy(&place, &binary());
        supervised.wait_answer(port, 4);
        supervised.stop();
    }
}

/// Wherever its path comes from, and whatever keeps it from being executed.
#[test]
fn a_program_that_cannot_be_executed_is_tried_once() {
    let tried = " web generation=2 could not be started … the restart failed";
    let seen = " web not restarted: server: found in PATH, and may not be executed … generation 1 serves on";
    for (command, mode, said, serves) in
        [("bin/server", 0o755, tried, 3), ("server", 0o755, tried, 3), ("server", 0o644, seen, 1)]
    {
        let (stage, port) = (Stage::new(), free_port());
        let place = stage.dir().join("bin");
        fs::create_dir(&place).unwrap();
        deploy(&place, &binary());
        let more = format!("env = {{ PATH = \"{}:/usr/bin:/bin\" }}", place.display());
        let supervised: Supervised = stage.start(&watched(port, command, &more), &["web"]);
        supervised.wait_answer(port, 1);
        let broken = supervised.stage.write("broken", "");
        fs::set_permissions(&broken, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(&broken, place.join("server")).unwrap();
        supervised.wait_for(said);
        supervised.wait_answer(port, serves);
        for generation in serves + 1..=serves + 2 {
            deploy(&place, &binary());
            supervised.wait_answer(port, generation);
        }
        supervised.stop();
    }
}

#[test]
fn a_broken_program_is_tried_once() {
    for more in ["restart_order = \"start-first\"", ""] {
        let (stage, port) = (Stage::new(), free_port());
        deploy(stage.dir(), &binary());
        let supervised: Supervised = stage.start(&watched(port, "./server", more), &["web"]);
        supervised.wait_answer(port, 1);
        deploy(supervised.stage.dir(), b"#!/bin/sh\nexit 3\n");
        supervised.wait_for(" web generation=2 … exit code 3 … the restart failed");
        deploy(supervised.stage.dir(), &binary());
        let next = if more.is_empty() { 4 } else { 3 };
        supervised.wait_for(&format!(" web generation={next} … ready after"));
        supervised.wait_answer(port, next);
        assert_eq!(supervised.count("has changed"), 2, "{supervised}");
        supervised.stop();
    }
}
