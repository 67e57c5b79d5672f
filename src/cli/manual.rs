//! The manual pages, each from what it is about: the command line from clap, the file from the list of its keys, the
//! handshakes from their specification. Nothing is written twice.

use super::markdown;
use crate::config::{self, Key, Table};
use clap::ValueEnum;
use clap_mangen::Man;
use roff::{Inline, Roff, bold, roman};

/// The specification of the handshakes, as the documents have it.
const PROTOCOLS: &str = include_str!("../../docs/protocols.md");

/// The pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// bootstrap(8): the command
    #[value(name = "bootstrap")]
    Command,
    /// bootstrap.toml(5): the config file
    #[value(name = "bootstrap.toml")]
    File,
    /// bootstrap-handshake(7): what a server gets and says
    #[value(name = "bootstrap-handshake")]
    Handshake,
}

impl Page {
    /// Every page.
    pub const ALL: [Self; 3] = [Self::Command, Self::File, Self::Handshake];

    /// Name and section.
    fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Command => ("bootstrap", "8"),
            Self::File => ("bootstrap.toml", "5"),
            Self::Handshake => ("bootstrap-handshake", "7"),
        }
    }

    /// Where `man` looks for it, from a directory of pages on.
    pub fn path(self) -> String {
        let (name, section) = self.title();
        format!("man{section}/{name}.{section}")
    }
}

/// The text of a page, as roff.
pub(super) fn page(page: Page, command: &clap::Command) -> String {
    polished(&match page {
        Page::Command => of_command(command),
        Page::File => of_file(),
        Page::Handshake => of_handshake(),
    })
}

/// A page without what its readers warn of: a heading that a paragraph is begun after, a break beside a blank line, and
/// in the first line no place for the date, so that the version stands in it.
fn polished(text: &str) -> String {
    let text = text.replace("\n.br\n\n.br\n", "\n.sp\n");
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let after_heading =
            lines.last().is_some_and(|last| last.starts_with(".SH ") || last.starts_with(".SS "));
        if !(after_heading && line == ".PP") {
            lines.push(line.replace("  \"bootstrap ", " \"\" \"bootstrap ").trim_end().into());
        }
    }
    lines.join("\n") + "\n"
}

fn version() -> String {
    format!("bootstrap {}", env!("CARGO_PKG_VERSION"))
}

/// The head of a page that is not made by clap.
fn begin(page: Page, what: &str) -> Roff {
    let (name, section) = page.title();
    let mut roff = Roff::new();
    roff.control("TH", [&*name.to_uppercase(), section, "", &*version(), ""]);
    roff.control("SH", ["NAME"]).text([roman(format!("{name} - {what}"))]);
    roff
}

fn of_command(command: &clap::Command) -> String {
    let mut whole = command.clone();
    whole.build();
    let lists = whole.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let about = whole.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = begin(Page::Command, &about).to_roff().into_bytes();
    let man = Man::new(whole.clone());
    for part in [Man::render_synopsis_section, Man::render_options_section] {
        into_memory(part(&man, &mut text));
    }
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for subcommand in whole.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        of_subcommand(&mut roff, subcommand, &whole);
    }
    markdown::lists(&mut roff, &lists);
    see_also(&mut roff, Page::Command);
    String::from_utf8(text).expect("clap writes text") + &roff.to_roff()
}

fn into_memory(result: std::io::Result<()>) {
    result.expect("memory takes every byte");
}

/// A command, and the options that it alone has.
fn of_subcommand(roff: &mut Roff, subcommand: &clap::Command, whole: &clap::Command) {
    let everywhere =
        |argument: &clap::Arg| whole.get_arguments().any(|other| other.get_id() == argument.get_id());
    let own = subcommand.get_arguments().filter(|argument| !everywhere(argument)).collect::<Vec<_>>();
    let usage = own.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let about = subcommand.get_long_about().or(subcommand.get_about()).map(ToString::to_string);
    roff.control("TP", []).text([bold(subcommand.get_name()), roman(format!(" {usage}").trim_end())]);
    roff.text([roman(about.unwrap_or_default())]);
    for argument in own {
        let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string);
        roff.control("RS", []).control("TP", []).text([bold(argument.to_string())]);
        roff.text(markdown::inline(&help.unwrap_or_default())).control("RE", []);
    }
}

fn of_file() -> String {
    let mut roff = begin(Page::File, "the services that bootstrap runs");
    roff.control("SH", ["DESCRIPTION"]);
    roff.text(markdown::inline(
        "The file that `bootstrap -c FILE` reads is TOML. An unknown key is a mistake, and so is a duration without \
         a unit (`\"30s\"`, `\"1m 30s\"`). All mistakes are told at once by `bootstrap -c FILE check`. Relative paths \
         begin where bootstrap was started, but for the program of `command` and of an `exec` check: a path such as \
         `./server` begins in `directory`, and a name without a slash is looked for in PATH.",
    ));
    let shared = config::tables();
    for table in &shared {
        roff.control("SH", [&*heading(table)]);
        roff.text(markdown::inline(&table.about));
        if table.header == "[defaults]" {
            let names: Vec<String> = table.keys.iter().map(|key| format!("`{}`", key.name)).collect();
            roff.text(markdown::inline(&format!("Its keys, described below: {}.", names.join(", "))));
        } else {
            table.keys.iter().for_each(|key| of_key(&mut roff, key));
        }
    }
    see_also(&mut roff, Page::File);
    roff.to_roff()
}

fn heading(table: &Table) -> String {
    match table.header {
        "listen" => "A TABLE IN LISTEN".into(),
        header => header.into(),
    }
}

fn of_key(roff: &mut Roff, key: &Key) {
    roff.control("TP", []).text([bold(key.name)]);
    roff.text(markdown::inline(&key.about()));
}

fn of_handshake() -> String {
    let mut roff = begin(Page::Handshake, "how servers get their sockets from bootstrap, and leave");
    markdown::document(&mut roff, PROTOCOLS);
    see_also(&mut roff, Page::Handshake);
    roff.to_roff()
}

fn see_also(roff: &mut Roff, page: Page) {
    roff.control("SH", ["SEE ALSO"]);
    let others = Page::ALL.into_iter().filter(|other| *other != page).map(Page::title);
    let mut words: Vec<Inline> = Vec::new();
    for (name, section) in others {
        words.push(roman(if words.is_empty() { "" } else { ", " }));
        words.extend([bold(name), roman(format!("({section})"))]);
    }
    roff.text(words);
}
