//! The table of servers in `docs/protocols.md`, held against the config files.

use crate::SERVERS;
use crate::case::Order;
use bootstrap::config::load;
use bootstrap::plan::{Handshake, Plan, Ready};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};

/// A row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// The program, its handshake, its readiness and its stop signal, as they stand there.
    cells: [String; 4],
    /// What may fail in twenty restarts: on new connections, on kept ones.
    stop_first: (usize, usize),
    start_first: (usize, usize),
}

impl Row {
    pub(crate) fn of(name: &str) -> Self {
        rows().into_iter().find(|row| row.name == name).unwrap_or_else(|| panic!("the table has no {name}"))
    }

    /// How many requests may fail: on new connections, on kept ones.
    pub(crate) fn bound(&self, order: Order) -> (usize, usize) {
        match order {
            Order::StopFirst => self.stop_first,
            Order::StartFirst => self.start_first,
        }
    }
}

pub(crate) fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/{name}.toml"))
}

fn rows() -> Vec<Row> {
    let text = include_str!("../../docs/protocols.md");
    let lines = text.lines().skip_while(|line| !line.starts_with("| server | ")).skip(2);
    lines.take_while(|line| line.starts_with('|')).map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let [_, file, program, handshake, ready, signal, stop_first, start_first] = cells[..] else {
        panic!("{line} has {} cells", cells.len());
    };
    let bare = |cell: &str| cell.trim_matches('`').to_owned();
    let (_, name) = file.rsplit_once("config/").expect("a link to a config file");
    Row {
        name: name.trim_end_matches(".toml)").into(),
        cells: [program, handshake, ready, signal].map(bare),
        stop_first: bound(stop_first),
        start_first: bound(start_first),
    }
}

/// `0`, or what was measured and what is allowed of each kind: `2, at most 20; 1 kept, at most 12`.
fn bound(cell: &str) -> (usize, usize) {
    let (mut new, mut kept) = (0, 0);
    for part in cell.split(';') {
        let most = part.trim().rsplit(' ').next().expect("a word").parse().expect("a number");
        *(if part.contains("kept") { &mut kept } else { &mut new }) = most;
    }
    (new, kept)
}

#[test]
fn a_bound_is_read_as_it_is_written() {
    assert_eq!(bound("0"), (0, 0));
    assert_eq!(bound("2, at most 20"), (20, 0));
    assert_eq!(bound("0; 1 kept, at most 12"), (0, 12));
    assert_eq!(bound("2, at most 20; 1 kept, at most 12"), (20, 12));
}

#[test]
fn the_table_says_what_the_config_files_say() {
    let mut named = Vec::new();
    for row in rows() {
        let plan: Plan =
            load(&config(&row.name)).unwrap_or_else(|refused| panic!("{}", refused.render(false)));
        let [service] = &plan.services[..] else { panic!("{} has one service", row.name) };
        let policy = &service.policy;
        let handshake = match service.program.handshake {
            Handshake::Pipe => "pipe",
            Handshake::Systemd => "systemd",
            Handshake::ServerStarter => "server-starter",
            Handshake::Einhorn => "einhorn",
            Handshake::Inetd => "inetd",
            Handshake::None => "none",
        };
        let ready = match policy.ready {
            Ready::Accepting => "accepting",
            Ready::Word => "notify",
            Ready::Assumed | Ready::Started | Ready::Delay(_) | Ready::Probe(_) => "another",
        };
        let signal = Signal::try_from(policy.stop_signal).unwrap();
        let program = Path::new(&service.program.command[0]).file_name().unwrap().to_str().unwrap();
        assert_eq!(row.cells, [program, handshake, ready, signal.as_str()], "{}", row.name);
        named.push(row.name);
    }
    let mut servers = SERVERS.to_vec();
    servers.sort_unstable();
    named.sort();
    assert_eq!(named, servers, "the table names what is tested");
}
