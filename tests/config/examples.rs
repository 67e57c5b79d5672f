//! The files in `config/`.

use super::{lines, plan};
use bootstrap::cli::{CheckArgs, Color, check};
use bootstrap::config::load;
use bootstrap::exit::ExitCode;
use bootstrap::plan::{Check, Policy, Ready, WhenIdle};
use std::path::Path;
use std::time::Duration;

#[test]
fn every_example_file_is_good() {
    let mut files = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config")).unwrap() {
        let path = entry.unwrap().path();
        let is_config = path.extension().is_some_and(|extension| extension == "toml");
        if !is_config || path.ends_with("privileges.toml") && !may_change_users() {
            continue;
        }
        load(&path).unwrap_or_else(|refused| panic!("{}", refused.render(false)));
        files += 1;
    }
    assert!(files >= 5, "{files} files");
}

/// Does the test hold the rights that files for root need?
fn may_change_users() -> bool {
    use caps::{CapSet, Capability, has_cap};
    let rights =
        [Capability::CAP_SETUID, Capability::CAP_SETGID, Capability::CAP_SETPCAP, Capability::CAP_CHOWN];
    let may = rights.into_iter().all(|right| has_cap(None, CapSet::Effective, right).unwrap());
    if !may {
        eprintln!("skipped: keys that only root may use");
    }
    may
}

fn example() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/services.toml")).unwrap()
}

/// The lines of the example that are commented out, as TOML.
pub(super) fn uncommented() -> String {
    let bare = |line: &str| match line.strip_prefix('#') {
        // What editors read.
        Some(code) if code.starts_with(':') => String::new(),
        Some(code)
            if !code.starts_with(' ')
                || code.starts_with("    ") && !code.contains("bootstrap -c") && !code.contains("curl") =>
        {
            code.to_string()
        }
        Some(_) => String::new(),
        None => line.to_string(),
    };
    example().lines().map(|line| bare(line) + "\n").collect()
}

/// Without the lines that only root may use, where the test is somebody else's.
fn allowed(text: &str) -> String {
    const OF_ROOT: [&str; 5] =
        ["user =", "group =", "supplementary_groups =", "capabilities =", "ambient_capabilities ="];
    let may = may_change_users();
    let is_of_root = |line: &str| {
        OF_ROOT.iter().any(|key| line.starts_with(key))
            || line.starts_with("    {") && line.contains("user =")
    };
    // Not every machine has such a tree.
    text.lines()
        .filter(|line| !line.starts_with("cgroup ="))
        .filter(|line| may || !is_of_root(line))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_example_shows_every_key_and_the_defaults_that_are_true() {
    let all = plan(&allowed(&uncommented()));
    let (web, defaults) = (&all.services[0], Policy::default());
    let ready = Ready::Delay(Duration::from_secs(2));
    let check = web.policy.check.clone();
    let of = |check: &Check| (check.period, check.probe.timeout, check.failures);
    assert_eq!(
        check.as_deref().map(of),
        all.services[1].policy.check.as_deref().map(of),
        "the defaults of a check"
    );
    assert_eq!(*web.policy, Policy { ready, check, ..defaults });
    assert_eq!(all.settings.when_idle, WhenIdle::Exit);
    let plain = plan(&example());
    assert_eq!(*plain.services[0].policy, Policy::default());
    assert_eq!(plain.services[0].program.handshake, web.program.handshake);

    let report =
        lines("[bootstrap]\nzzz = 1\n[[service]]\nzzz = 1\nlisten = { zzz = 1 }\ncheck = { zzz = 1 }")
            .join("\n");
    let keys = report.split('`').skip(1).step_by(2).filter(|key| *key != "zzz");
    for key in keys {
        let used = uncommented().lines().any(|line| {
            line.starts_with(&format!("{key} ="))
                || line.starts_with(&format!("[service.{key}]"))
                || line.contains(&format!(" {key} ="))
        });
        assert!(used, "config/services.toml does not show `{key}`");
    }
}

#[test]
fn check_ends_with_the_code_of_the_table() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/minimal.toml");
    assert_eq!(check(&config, Color::Never, &CheckArgs::default()), ExitCode::Ok);
    assert_eq!(
        check(&config.with_file_name("none.toml"), Color::Never, &CheckArgs::default()),
        ExitCode::Config
    );
}
