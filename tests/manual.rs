//! What the command prints about itself: manual pages, completions, the schema. Each is read by the program that it is
//! for. Those are installed by `tests/install`.

#![expect(clippy::disallowed_methods, reason = "programs that read what is printed")]

mod support;

use bootstrap::config::tables;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Stage, Supervised, free_port, http};

const PAGES: [&str; 3] = ["man8/bootstrap.8", "man5/bootstrap.toml.5", "man7/bootstrap-handshake.7"];

/// What `bootstrap` prints.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = Stage::new().run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &*said), (Some(0), ""), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a program says, on stdout and stderr, of a text that it reads.
#[track_caller]
fn read_by(program: &[&str], text: &str) -> (Option<i32>, String) {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}; run tests/install", program[0]));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

/// A page as a terminal shows it: as wide as its longest paragraph, without emphasis.
#[track_caller]
fn shown(page: &str) -> String {
    let (code, text) = read_by(&["mandoc", "-T", "utf8", "-O", "width=1000"], page);
    assert_eq!(code, Some(0), "{text}");
    // Emphasis is a character written over itself.
    let mut plain = String::new();
    for c in text.chars() {
        if c == '\u{8}' { _ = plain.pop() } else { plain.push(c) }
    }
    plain
}

#[test]
fn the_pages_are_written_where_they_are_wanted_and_have_no_mistake() {
    let stage = Stage::new();
    let output = stage.run(&["man", "--output", &stage.path("share/man")]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for name in PAGES {
        let page = std::fs::read_to_string(stage.path(&format!("share/man/{name}"))).unwrap();
        let (_, short) = name.split_once('/').unwrap();
        let (short, _) = short.rsplit_once('.').unwrap();
        assert_eq!(page, printed(&["man", short]), "{name}");
        assert_eq!(
            read_by(&["groff", "-ww", "-man", "-Tutf8", "-z"], &page),
            (Some(0), String::new()),
            "{name}"
        );
        let (_, said) = read_by(&["mandoc", "-T", "lint", "-W", "warning"], &page);
        // A page that is made by the program has the version of that instead.
        let warnings: Vec<&str> = said.lines().filter(|line| !line.contains("missing date")).collect();
        assert_eq!(warnings, [""; 0], "{name}");
        for heading in ["NAME", "SEE ALSO"] {
            assert!(shown(&page).lines().any(|line| line == heading), "{name} has no {heading}");
        }
    }
    assert_eq!(printed(&["man"]), printed(&["man", "bootstrap"]), "which is the one that most want");
    stage.write("file", "");
    let output = stage.run(&["man", "--output", &stage.path("file")]);
    assert_eq!(output.status.code(), Some(1), "what is no directory");
}

#[test]
fn the_page_of_the_command_has_what_its_help_has() {
    let page = shown(&printed(&["man"]));
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    let (page, help) = (words(&page), words(&printed(&["--help"])));
    let missing: Vec<_> =
        help.iter().filter(|word| word.starts_with("--") || word.starts_with("SIG")).collect();
    assert!(missing.len() > 5, "{missing:?}");
    let bare = |word: &str| word.trim_end_matches([',', '.', ':']).to_owned();
    let known: BTreeSet<String> =
        page.iter().flat_map(|word| word.split(['=', '[', ']'])).map(bare).collect();
    for word in missing {
        assert!(known.contains(&bare(word)), "no {word} in bootstrap(8)");
    }
    for code in ["0", "1", "2", "78"] {
        assert!(page.contains(code), "no exit code {code}");
    }
}

/// A text without its lines and blanks.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_of_the_file_has_every_key_with_its_text() {
    let page = shown(&printed(&["man", "bootstrap.toml"]));
    for table in tables() {
        for key in &table.keys {
            let named = page.lines().any(|line| line.split_whitespace().next() == Some(key.name))
                || table.header == "[defaults]";
            assert!(named, "{} is not in the page", key.name);
            let about = words(&key.about().replace('`', ""));
            assert!(words(&page).contains(&about), "of {} it does not say: {about}\n{page}", key.name);
        }
    }
}

/// It is docs/protocols.md, and nothing of it is lost on the way.
#[test]
fn the_page_of_the_handshakes_has_every_word_of_the_specification() {
    let page = shown(&printed(&["man", "bootstrap-handshake"])).to_lowercase();
    let source =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocols.md")).unwrap();
    let lines: Vec<&str> = source.lines().collect();
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let heads_a_table = lines.get(at + 1).is_some_and(|next| next.starts_with("|---"));
        // Not in the page: the title, languages of code, what the first column of a table is called.
        text += match line.split_once("# ") {
            Some(("", _)) => "",
            _ if line.starts_with("```") => "",
            _ if heads_a_table => line[1..].split_once('|').unwrap().1,
            _ => line,
        };
        text.push('\n');
    }
    // Links lead nowhere in a page.
    let text: String = text
        .split("](")
        .enumerate()
        .map(|(at, part)| if at == 0 { part } else { part.split_once(')').unwrap().1 })
        .collect();
    let words = |text: &str| -> BTreeSet<String> {
        let parts = text.split(|c: char| !c.is_alphanumeric() && !"_-{}".contains(c));
        parts.map(|word| word.trim_matches('-').to_lowercase()).collect()
    };
    let lost = &words(&text) - &words(&page);
    assert_eq!(lost, BTreeSet::new());
}

/// Each shell reads its script and completes a command from it.
#[test]
fn shells_complete_the_command_line() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish"] {
        stage.write(shell, &printed(&["completions", shell]));
    }
    let bash = "source \"$1\"; COMP_WORDS=(bootstrap comp); COMP_CWORD=1; _bootstrap bootstrap comp bootstrap; \
                printf '%s\n' \"${COMPREPLY[@]}\"";
    let asked = |program: &[&str]| read_by(program, "");
    assert_eq!(asked(&["bash", "-c", bash, "bash", &stage.path("bash")]), (Some(0), "completions\n".into()));
    let fish = format!("source {}; complete -C 'bootstrap comp'", stage.path("fish"));
    let (code, said) = asked(&["fish", "--no-config", "-c", &fish]);
    assert!(code == Some(0) && said.starts_with("completions\t"), "{said}");
    // What zsh completes it shows on a terminal only; that it takes the script can be seen.
    let zsh =
        format!("autoload -U compinit; compinit -D -u; source {}; whence -w _bootstrap", stage.path("zsh"));
    assert_eq!(asked(&["zsh", "-f", "-c", &zsh]), (Some(0), "_bootstrap: function\n".into()));
    // What only a supervisor writes on a command line is no help to people.
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for hidden in ["check-state", "write-logs"] {
            assert!(!script.contains(hidden), "{shell} completes --{hidden}");
        }
    }
    let output = stage.run(&["completions", "tcsh"]);
    assert_eq!(output.status.code(), Some(2), "a shell that is not known");
}

/// Names come from the supervisor that runs. What zsh completes it shows on a terminal only.
#[test]
fn shells_complete_names_of_services() {
    let (web, api) = (http("web", free_port(), ""), http("web-admin", free_port(), ""));
    let supervised = Supervised::start(&(web + &api), &["web", "web-admin"]);
    let stage = &supervised.stage;
    let program = Path::new(env!("CARGO_BIN_EXE_bootstrap")).parent().unwrap();
    let (path, run) = (std::env::var("PATH").unwrap(), stage.path("run"));
    let file = stage.path("services.toml");
    let asked = |program_of_shell: &[&str]| {
        let mut command = Command::new(program_of_shell[0]);
        command.args(&program_of_shell[1..]).env("PATH", format!("{}:{path}", program.display()));
        command.env("BOOTSTRAP_RUNTIME_DIR", &run).env_remove("BOOTSTRAP_SELECT").stdin(Stdio::null());
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "fish"] {
        stage.write(shell, &printed(&["completions", shell]));
    }
    let bash = |words: &str| {
        let line = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _bootstrap_and_services bootstrap \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            stage.path("bash")
        );
        asked(&["bash", "-c", &line])
    };
    assert_eq!(bash(&format!("bootstrap -c {file} restart w")), "web\nweb-admin\n");
    assert_eq!(bash(&format!("bootstrap -c {file} stop web-")), "web-admin\n");
    assert_eq!(bash(&format!("bootstrap --config = {file} stop web-")), "web-admin\n");
    assert_eq!(bash("bootstrap rest"), "restart\n", "commands as before");
    assert_eq!(
        bash(&format!("bootstrap -c {file} restart --no-wait web-")),
        "web-admin\n",
        "after an option"
    );
    assert_eq!(bash(&format!("bootstrap -c {file} restart --timeout web-")), "\n", "but for its value");
    assert!(bash(&format!("bootstrap -c {file} restart --no")).contains("--no-wait"), "and options");
    assert_eq!(
        bash("bootstrap -c /nonexistent/a.toml restart w").trim(),
        "web\nweb-admin",
        "where it was named"
    );
    let fish = |words: &str| {
        let line = format!("source {}; complete -C '{words}'", stage.path("fish"));
        asked(&["fish", "--no-config", "-c", &line])
    };
    assert_eq!(fish(&format!("bootstrap -c {file} restart web-")), "web-admin\n");
    assert_eq!(fish(&format!("bootstrap --config={file} events w")), "web\nweb-admin\n");
    // What `signal` takes first is a signal.
    for options in [String::new(), format!("-c {file} "), format!("--timeout 1s -c {file} ")] {
        assert_eq!(bash(&format!("bootstrap {options}signal TER")), "TERM\n", "{options:?}");
        assert_eq!(fish(&format!("bootstrap {options}signal TER")), "TERM\n", "{options:?}");
    }
    assert_eq!(bash("bootstrap signal SIGUSR"), "SIGUSR1\nSIGUSR2\n");
    for all in
        [bash(&format!("bootstrap -c {file} signal ''")), fish(&format!("bootstrap -c {file} signal "))]
    {
        assert!(all.contains("HUP\n") && !all.contains("web"), "{all}");
    }
    assert_eq!(bash(&format!("bootstrap -c {file} signal HUP web-")), "web-admin\n");
    assert_eq!(fish(&format!("bootstrap -c {file} signal HUP web-")), "web-admin\n");
    supervised.stop();
}

#[test]
fn what_is_the_same_for_everybody_needs_no_file() {
    let schema: serde_json::Value = serde_json::from_str(&printed(&["schema"])).unwrap();
    assert_eq!(schema, bootstrap::config::json_schema());
}
