//! A command line that was written for a shell.

use super::draft::{Draft, literal};

/// A line without the `exec` at its front, which is for a shell alone.
fn without_exec(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("exec")?;
    rest.starts_with([' ', '\t']).then(|| rest.trim_start())
}

/// Takes it for the command, without a shell where none is needed.
pub(super) fn set(draft: &mut Draft, whole: &str) {
    let line = without_exec(whole).unwrap_or(whole);
    let has_exec = line != whole;
    // An option is one of `exec`, and `NAME=value command` is the shell's, too.
    let of_shell = (has_exec && line.starts_with('-'))
        || line.split_whitespace().next().is_some_and(|word| word.contains('='));
    let needs_shell =
        line.contains(['$', '`', '|', '&', ';', '<', '>', '(', ')', '*', '?', '~', '#', '[', '{']);
    // `2>&1` is no list of commands.
    let simple = !line.replace(">&", ">").contains(['|', '&', ';', '(', '`']);
    match shlex::split(line) {
        Some(words) if !needs_shell && !of_shell => {
            draft.command(words.iter().map(|word| literal(word)).collect());
        }
        _ if simple && !of_shell => draft.shell(&format!("exec {line}")),
        _ => {
            draft.shell(whole);
            if !has_exec {
                draft.note(
                    "a shell stands between, and takes the stop signal; `exec` before the server helps",
                );
            }
        }
    }
}

/// The first command of a line, with its pipes and redirections, and what stands behind it: the end of a block, another command,
/// or `&`, which would put it into the background.
pub(super) fn first_command(line: &str) -> (&str, &str) {
    let (mut quote, mut escaped, mut before) = (None, false, ' ');
    for (at, c) in line.char_indices() {
        let after = &line[at + c.len_utf8()..];
        let ends = match c {
            ';' | ')' | '}' => true,
            // `2>&1`, `<&3`, `&>file`; but `&&` is a list.
            '&' => !matches!(before, '>' | '<') && !after.starts_with('>'),
            '|' => after.starts_with('|'),
            _ => false,
        };
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), _) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            // `${NAME}` and `$(COMMAND)` are words.
            (None, _) if ends && !is_in_word(&line[..at], c) => {
                return (line[..at].trim_end(), line[at..].trim());
            }
            (Some(_) | None, _) => {}
        }
        before = c;
    }
    (line, "")
}

/// Does this character stand in brackets that were opened on the line, or close them?
fn is_in_word(before: &str, c: char) -> bool {
    let (open, close) = if c == '}' { ('{', '}') } else { ('(', ')') };
    before.matches(open).count() > before.matches(close).count()
}
