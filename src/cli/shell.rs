//! Commands that seem to be meant for a shell. None runs them, so `check` says so; they may be right all the same.

use std::path::Path;

/// Programs that do something with such words themselves: they are not told of them.
const SHELLS: [&str; 10] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "busybox", "fish", "env", "find"];

/// A note for a command with a word that only a shell does something with. A shell takes the numbers that are `appended`
/// to it for itself, as `$0` and `$1`: its text has to name them.
pub(super) fn note(command: &[String], appended: bool) -> Option<String> {
    let word = shell_word(command)?;
    let numbers = if appended { " {fd} {pipe}" } else { "" };
    Some(format!(
        "`command` has {word:?}, and no shell runs it; if one is meant, write [\"sh\", \"-c\", \"exec ...{numbers}\"]"
    ))
}

/// The first word that a shell would not hand over as it is.
fn shell_word(command: &[String]) -> Option<&str> {
    let (program, arguments) = command.split_first()?;
    let name = Path::new(program).file_name()?.to_str()?;
    if SHELLS.contains(&name) {
        return None;
    }
    arguments.iter().map(String::as_str).find(|word| is_of_shell(word))
}

fn is_of_shell(word: &str) -> bool {
    let variable = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{'));
    matches!(word, "|" | "||" | "&&" | "&" | ";" | "<" | ">" | ">>" | "2>" | "2>>" | "&>" | "2>&1" | ">&2")
        || word.match_indices('$').any(|(at, _)| variable(&word[at + 1..]))
        || !word.contains(' ') && word.len() > 1 && word.ends_with(';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_told_of_the_numbers_that_it_would_take_for_itself() {
        let words = ["./server", "|", "tee"].map(String::from);
        for (appended, advice) in [(true, "\"exec ... {fd} {pipe}\"]"), (false, "\"exec ...\"]")] {
            let note = note(&words, appended).unwrap();
            assert!(note.ends_with(advice), "{note}");
        }
    }

    #[test]
    fn words_of_a_shell_are_found_where_no_shell_is() {
        for (command, found) in [
            ("./server | tee log", Some("|")),
            ("./server && true", Some("&&")),
            ("cd /srv; ./server", Some("/srv;")),
            ("./server > log 2>&1", Some(">")),
            ("./server --port=$PORT", Some("--port=$PORT")),
            ("./server ${PORT}", Some("${PORT}")),
            ("./server {port} --price=5$ 'a; b;' a|b a>b", None),
            ("sh -c 'exec ./server $PORT > log'", None),
            ("/bin/bash -c $SERVER", None),
            ("./server", None),
        ] {
            let words = shlex::split(command).unwrap();
            assert_eq!(shell_word(&words), found, "{command}");
        }
    }
}
