//! Rules for the source that no compiler knows.
//!
//! Each is a list of what must not stand where, with the reason. What stands in comments does not count, nor what
//! is below `#[cfg(test)]` in a source file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What the core must not know of, and why.
const FOREIGN_TO_CORE: [(&str, &str); 15] = [
    ("std::time::Instant", "time is handed in as `Time`"),
    ("SystemTime", "the core reads no clock"),
    ("std::thread", "the core has no concurrency"),
    ("std::sync::Mutex", "the core has no concurrency"),
    ("std::fs", "files are read by the config and the system layer"),
    ("std::io", "the core reads and writes nothing"),
    ("std::env", "the environment is read by the loop"),
    ("std::process", "processes are the system layer's"),
    ("std::net", "an address comes checked, in `plan`"),
    ("nix::", "system calls are the system layer's"),
    ("HashMap", "its order differs between runs; use BTreeMap or a Vec"),
    ("HashSet", "its order differs between runs; use BTreeSet or a Vec"),
    ("println!", "what is told to people is a `Report`"),
    ("unsafe", "nothing in here needs it"),
    ("rand", "a story is told by its seed alone"),
];

/// What `plan` and `protocol` must not import besides: they are values and codecs.
const FOREIGN_TO_VALUES: [&str; 8] =
    ["std::fs", "std::io", "std::env", "std::process", "std::thread", "SystemTime", "Instant", "nix::"];

/// The files that may have `unsafe`, and what for.
const UNSAFE: [(&str, &str); 14] = [
    ("src/os/child.rs", "clone, and what stands between it and execve"),
    ("src/os/children.rs", "waitid, waitpid and kill with numbers that have no name"),
    ("src/os/dispositions.rs", "the dispositions of all signals, before execve too"),
    ("src/os/guise.rs", "whose rights a look at a file has"),
    ("src/os/identity.rs", "what a child becomes between clone and execve"),
    ("src/os/inherited.rs", "descriptors that nobody here owns"),
    ("src/os/memory.rs", "memory that goes back to the kernel"),
    ("src/os/names.rs", "where a static program looks up users"),
    ("src/os/notify.rs", "a datagram with the credentials of its sender"),
    ("src/os/passing.rs", "descriptors that came in a packet"),
    ("src/os/pidfd.rs", "processes by descriptor"),
    ("src/os/precedence.rs", "the policy of this thread, and its slices of time"),
    ("src/os/slots.rs", "numbers instead of descriptors with an owner"),
    ("src/os/sockopt.rs", "options that no crate has"),
];

/// Test files that may sleep, and what for.
const MAY_SLEEP: [(&str, &str); 3] = [
    ("tests/endurance.rs", "that nothing happens for a time is what it tests"),
    ("tests/support/load.rs", "the pace of a client"),
    ("tests/support/process.rs", "a pause between two looks at what nobody tells of"),
];

/// The modules from the bottom up. An arrow points from a later step to an earlier one.
const STEPS: [&[&str]; 8] = [
    &["limits", "exit"],
    &["plan"],
    &["protocol"],
    &["core"],
    &["os", "config", "import", "report"],
    &["control", "metrics", "writer"],
    &["run"],
    &["cli"],
];

/// Files that are one thing in two halves, and so know each other.
const HALVES: [(&str, &str); 5] = [
    // One type: its events, and its reload.
    ("src/core/reconcile.rs", "src/core/supervisor.rs"),
    // A mistake, and its picture.
    ("src/config/error.rs", "src/config/render.rs"),
    // The list of all keys, and what one of them may hold: a table whose keys are in the list.
    ("src/config/listen.rs", "src/config/raw.rs"),
    // The same.
    ("src/config/cgroup.rs", "src/config/raw.rs"),
    ("src/config/probe.rs", "src/config/raw.rs"),
];

/// No file is longer than one can keep in mind.
const LINES_MAX: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a directory, by its path from the root, and its text.
fn files(directory: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root().join(directory)];
    while let Some(directory) = directories.pop() {
        let entries =
            fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(!found.is_empty(), "no file in {directory}");
    found
}

/// The code of a file: without comments, and without its tests.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
    lines.map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Does `word` stand in `text` as a word, not as a part of one?
fn mentions(text: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let begins = !part(word.chars().next()) || !part(before.chars().next_back());
        begins && (!part(word.chars().next_back()) || !part(after.chars().next()))
    })
}

/// Asserts that nothing was found, and shows all of it.
#[track_caller]
fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn words_are_found_where_they_stand_alone() {
    assert!(mentions("use std::fs;", "std::fs") && mentions("a(unsafe {", "unsafe"));
    assert!(!mentions("unsafe_code", "unsafe") && !mentions("operand", "rand"));
    assert_eq!(code("a // b\n#[cfg(test)]\nc"), "a ");
}

#[test]
fn the_core_is_pure() {
    let mut found = Vec::new();
    for (name, text) in files("src/core") {
        let code = code(&text);
        let foreign = FOREIGN_TO_CORE.iter().filter(|(word, _)| mentions(&code, word));
        found.extend(foreign.map(|(word, why)| format!("{name} mentions {word}: {why}")));
    }
    none(&found);
}

#[test]
fn values_and_codecs_do_nothing() {
    let mut found = Vec::new();
    for (name, text) in files("src/plan").into_iter().chain(files("src/protocol")) {
        let code = code(&text);
        let foreign = FOREIGN_TO_VALUES.iter().filter(|word| mentions(&code, word));
        found.extend(foreign.map(|word| format!("{name} mentions {word}")));
        let net = code.match_indices("std::net::").map(|(at, _)| &code[at..]);
        found.extend(
            net.filter(|rest| !rest.starts_with("std::net::SocketAddr") && !rest.starts_with("std::net::Ip"))
                .map(|_| format!("{name} uses more of std::net than addresses")),
        );
    }
    none(&found);
}

#[test]
fn arrows_between_modules_point_down() {
    let step = |module: &str| STEPS.iter().position(|modules| modules.contains(&module));
    let mut found = Vec::new();
    for (name, text) in files("src") {
        let module = name.trim_start_matches("src/").split(['/', '.']).next().unwrap();
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let from = step(module).unwrap_or_else(|| panic!("{module} has no place among the steps"));
        let imported = imports(&code(&text), "crate::");
        for to in imported.iter().filter(|to| *to != module) {
            let below = step(to).is_some_and(|to| to < from);
            if !below {
                found.push(format!("{name} imports {to}, which is not below {module}"));
            }
        }
    }
    none(&found);
}

/// The first names after `prefix`, where it stands alone or in braces: `super::{a::B, c}` has `a` and `c`.
fn imports(code: &str, prefix: &str) -> BTreeSet<String> {
    let ident = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(prefix).filter(|(at, _)| !code[..*at].ends_with("super::")) {
        let rest = &code[at + prefix.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut first = true;
            for (at, c) in list.char_indices() {
                if first && depth == 0 {
                    found.insert(ident(&list[at..]));
                    first = false;
                }
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => first = true,
                    _ => {}
                }
            }
        } else {
            found.insert(ident(rest));
        }
    }
    found.remove("");
    found
}

#[test]
fn imports_are_read_with_and_without_braces() {
    let names = |code| imports(code, "super::").into_iter().collect::<Vec<_>>();
    assert_eq!(
        names("use super::{a::{B, C}, d};\nsuper::e::f(); use super::super::g;"),
        ["a", "d", "e", "super"]
    );
}

#[test]
fn no_two_files_import_each_other_in_a_circle() {
    let files = files("src");
    // What a `mod.rs` hands on comes from the file that it names.
    let mut handed_on: BTreeMap<(PathBuf, String), String> = BTreeMap::new();
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with("/mod.rs")) {
        let directory = Path::new(name).parent().unwrap();
        for statement in code(text).split(';').filter_map(|part| part.trim().strip_prefix("pub use ")) {
            let (module, names) = statement.split_once("::").expect("a path");
            for name in names.split(|c: char| !c.is_alphanumeric() && c != '_') {
                handed_on.insert((directory.into(), name.into()), module.into());
            }
        }
    }
    let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, text) in files.iter().filter(|(name, _)| !name.ends_with("/mod.rs")) {
        let directory = Path::new(name).parent().unwrap();
        for import in imports(&code(text), "super::") {
            let module = handed_on.get(&(directory.into(), import.clone())).unwrap_or(&import);
            let target = directory.join(format!("{module}.rs"));
            if let Some((target, _)) = files.get_key_value(target.to_str().unwrap())
                && target != name
                && !halves(name, target)
            {
                arrows.entry(name).or_default().insert(target);
            }
        }
    }
    assert!(arrows.len() > 20, "only {} files import another", arrows.len());
    let mut circles = Vec::new();
    for from in arrows.keys() {
        let mut seen = BTreeSet::new();
        let mut ahead = vec![*from];
        while let Some(file) = ahead.pop() {
            let targets = arrows.get(file).into_iter().flatten();
            ahead.extend(targets.filter(|target| seen.insert(**target)));
        }
        if seen.contains(from) {
            circles.push(format!("{from} imports {:?} and so itself", arrows[from]));
        }
    }
    none(&circles);
}

fn halves(a: &str, b: &str) -> bool {
    HALVES.contains(&(a, b)) || HALVES.contains(&(b, a))
}

#[test]
fn unsafe_stands_in_named_files_only() {
    let found: Vec<String> = files("src")
        .into_iter()
        .filter(|(_, text)| mentions(&code(text), "unsafe"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(found, UNSAFE.map(|(name, _)| name));
    // Whoever reviews it goes by the document.
    let document = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let (_, table) = document.split_once("\n## `unsafe`\n").unwrap();
    let rows = table.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `src/"));
    let wanted = UNSAFE.map(|(name, why)| format!("| `{name}` | {why} |"));
    assert_eq!(rows.collect::<Vec<_>>(), wanted);
}

#[test]
fn every_file_says_what_it_is_and_is_not_too_long() {
    let mut found = Vec::new();
    for (name, text) in files("src") {
        if !text.starts_with("//! ") {
            found.push(format!("{name} does not open with what it is"));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            found.push(format!("{name} has {lines} lines"));
        }
    }
    none(&found);
}

#[test]
fn nothing_sleeps_is_skipped_or_is_put_off() {
    let mut found = Vec::new();
    let mut places: Vec<&str> = vec!["src", "tests", "examples"];
    places.extend(root().join("benches").exists().then_some("benches"));
    let all = places.into_iter().flat_map(files).filter(|(name, _)| name != "tests/tidy.rs");
    for (name, text) in all {
        let sleeps = text.contains("thread::sleep")
            || text.lines().any(|line| line.starts_with("use std::thread") && mentions(line, "sleep"));
        if sleeps
            && (name.starts_with("src/") || name.starts_with("tests/"))
            && MAY_SLEEP.iter().all(|(may, _)| *may != name)
        {
            found.push(format!("{name} sleeps; wait for a fact"));
        }
        for (word, why) in [
            ("#[ignore", "a test that is not run proves nothing"),
            ("TODO", "do it, or file it"),
            ("FIXME", "mend it, or file it"),
            ("XXX", "say what it is"),
            ("todo!", "do it, or file it"),
            ("dbg!", "not for users"),
        ] {
            if text.contains(word) {
                found.push(format!("{name} has {word}: {why}"));
            }
        }
    }
    none(&found);
}

#[test]
fn every_limit_is_used() {
    let limits = fs::read_to_string(root().join("src/limits.rs")).unwrap();
    let all: String = files("src")
        .into_iter()
        .filter(|(name, _)| name != "src/limits.rs")
        .map(|(_, text)| code(&text))
        .collect();
    let names = limits.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let idle = names.filter(|name| !mentions(&all, name));
    none(&idle.map(|name| format!("{name} limits nothing")).collect::<Vec<_>>());
}
