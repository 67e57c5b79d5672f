//! How it comes onto a machine: by cargo, as a package of Debian, as one file that loads nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Cargo's directory of targets.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}

/// Runs a program in the checkout; it must succeed.
#[track_caller]
fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(ROOT).stdin(Stdio::null());
    command.env("CARGO_TARGET_DIR", target()).env("CARGO_NET_OFFLINE", "true");
    let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}\n{}\n{said}",
        String::from_utf8_lossy(&output.stdout)
    );
    output
}

/// The last line that it printed.
fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).lines().last().expect("it prints something").to_owned()
}

fn version(program: &str) -> String {
    last_line(&run(program, &["--version"]))
}

/// The path of the package, made once of what was built for the tests.
fn package() -> &'static str {
    static PACKAGE: LazyLock<String> =
        LazyLock::new(|| last_line(&run("packages/debian/build", &["--profile", "dev", "--no-build"])));
    &PACKAGE
}

#[test]
fn cargo_installs_the_program_from_a_checkout_without_a_network() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().to_str().unwrap();
    // What is asked here does not depend on how well it is optimised.
    let how = ["--locked", "--offline", "--profile", "quick", "--root", path];
    run(env!("CARGO"), &[&["install", "--path", "."][..], &how].concat());
    let bin = root.path().join("bin");
    let installed: Vec<_> = bin.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(installed, ["bootstrap"], "no server of the tests comes along");
    let expected = format!("bootstrap {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(version(bin.join("bootstrap").to_str().unwrap()), expected);
}

#[test]
fn the_debian_package_installs_runs_upgrades_and_purges() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root installs packages");
        return;
    }
    let package = package();
    let life = run("tests/package/life", &[package]);
    let steps = String::from_utf8(life.stdout).unwrap();
    let expected = ["installed", "complete", "running", "upgraded", "stopped", "removed", "purged"];
    assert_eq!(steps.lines().collect::<Vec<_>>(), expected, "{}", String::from_utf8_lossy(&life.stderr));
}

/// What a checkout brings is in the list of files, or somebody misses it.
#[test]
fn the_debian_package_has_every_config_file_and_page() {
    let package = package();
    let listing = run("dpkg-deb", &["--contents", package]);
    let listing = String::from_utf8(listing.stdout).unwrap();
    let has = |path: &str| listing.lines().any(|line| line.ends_with(&format!(" ./{path}")));
    for file in Path::new(ROOT).join("config").read_dir().unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "toml") {
            assert!(has(&format!("usr/share/doc/bootstrap/examples/{name}")), "{name}\n{listing}");
        }
    }
    for path in [
        "usr/bin/bootstrap",
        "usr/lib/systemd/system/bootstrap.service",
        "usr/share/man/man8/bootstrap.8.gz",
        "usr/share/man/man5/bootstrap.toml.5.gz",
        "usr/share/man/man7/bootstrap-handshake.7.gz",
        "usr/share/bash-completion/completions/bootstrap",
        "usr/share/fish/vendor_completions.d/bootstrap.fish",
        "usr/share/zsh/vendor-completions/_bootstrap",
        "usr/share/bootstrap/services.schema.json",
        "etc/bootstrap/services.toml",
    ] {
        assert!(has(path), "{path}\n{listing}");
    }
}

#[test]
fn the_static_program_loads_nothing_and_knows_the_users() {
    let program = last_line(&run("packages/static", &["--profile", "quick"]));
    let headers = run("readelf", &["--wide", "--program-headers", &program]);
    let headers = String::from_utf8(headers.stdout).unwrap();
    assert!(headers.contains("LOAD") && !headers.contains("INTERP"), "{headers}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("services.toml");
    let check = |user: &str| {
        let service = format!("[[service]]\nname = \"a\"\ncommand = [\"/bin/true\"]\nuser = \"{user}\"\n");
        std::fs::write(&file, service).unwrap();
        Command::new(Path::new(ROOT).join(&program)).arg("-c").arg(&file).arg("check").output().unwrap()
    };
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().expect("somebody").name;
    let known = check(&me);
    assert!(known.status.success(), "{known:?}");
    let unknown = check("nobody-of-this-name");
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(78) && said.contains("nobody-of-this-name"), "{said}");
}
