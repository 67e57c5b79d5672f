//! A Procfile: `NAME: COMMAND` lines, each for a shell.

use super::Input;
use super::draft::{Draft, Drafts};
use super::shell_line;

/// What foreman gives the first process as `PORT`, and how far the next is from it.
const FIRST_PORT: u32 = 5000;
const PORT_STEP: u32 = 100;

pub(super) fn read(input: &Input, drafts: &mut Drafts) {
    let mut port = FIRST_PORT;
    for line in input.text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            drafts.note(line.trim_start_matches(['#', ' ']));
            continue;
        }
        let named = line.split_once(':').filter(|(name, command)| {
            !command.trim().is_empty()
                && !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        });
        let Some((name, command)) = named.map(|(name, command)| (name, command.trim())) else {
            drafts.note(format!("{line}: is no line of a Procfile"));
            continue;
        };
        let mut draft = Draft::new(name);
        shell_line::set(&mut draft, command);
        // Each has one, whether its command line says so or a file that it reads.
        draft.variable("PORT", &port.to_string());
        if command.contains("PORT") {
            draft.note(
                "it binds its port itself, so clients are refused while it restarts; `port` here and {fd} in",
            );
            draft.note("the command hold the socket for it");
        }
        if name == "release" {
            draft.note("some run this once, before the others; here it runs beside them");
        }
        port += PORT_STEP;
        drafts.add(draft);
    }
}
