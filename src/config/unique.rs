//! What only one may have: names and addresses.

use super::field::At;
use super::notes::Notes;
use super::output::Files;
use super::problem::Problem;
use crate::plan::{Address, ListenerSpec, ServiceName};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

/// What has been given to somebody so far. A question costs a search in a tree, however many services there are.
#[derive(Default)]
pub(super) struct Unique {
    names: BTreeMap<ServiceName, Range<usize>>,
    paths: BTreeMap<PathBuf, Owner>,
    ports: BTreeMap<Door, BTreeMap<Host, Owner>>,
    /// The log files, of which several may write to one.
    pub(super) log_files: Files,
}

/// Two sockets with different ones of these never meet. An IPv6 socket takes IPv6 clients only.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Door {
    udp: bool,
    v6: bool,
    port: u16,
}

/// Behind one door: the address, and for IPv6 the interface that it is meant for.
type Host = (IpAddr, u32);

#[derive(Clone)]
struct Owner {
    address: Address,
    span: Range<usize>,
}

impl Unique {
    /// Notes a service that has the name of an earlier one.
    pub(super) fn name(&mut self, name: &At<ServiceName>, notes: &mut Notes<'_>) {
        if let Some(first) = self.names.get(&name.value) {
            let line = notes.line(first.start);
            let problem = Problem::NameTwice { name: name.value.to_string(), line };
            notes.add_pair(name.span.clone(), first.clone(), problem);
        } else {
            self.names.insert(name.value.clone(), name.span.clone());
        }
    }

    /// Notes listeners of one service that have one name, or that cannot be bound beside those known so far.
    pub(super) fn listeners(&mut self, listeners: &[At<ListenerSpec>], notes: &mut Notes<'_>) {
        let mut names: BTreeMap<&str, &Range<usize>> = BTreeMap::new();
        for At { span, value } in listeners {
            if let Some(name) = value.name.as_deref() {
                if let Some(first) = names.get(name) {
                    let problem = Problem::ListenerTwice { name: name.into(), line: notes.line(first.start) };
                    notes.add_pair(span.clone(), (*first).clone(), problem);
                } else {
                    names.insert(name, span);
                }
            }
            let newcomer = Owner { address: value.address.clone(), span: span.clone() };
            if let Some(owner) = self.take(newcomer) {
                let line = notes.line(owner.span.start);
                let problem =
                    Problem::AddressTaken { address: value.address.clone(), owner: owner.address, line };
                notes.add_pair(span.clone(), owner.span, problem);
            }
        }
    }

    /// Gives an address to a newcomer, or says who has it or a part of it.
    fn take(&mut self, newcomer: Owner) -> Option<Owner> {
        let (udp, address) = match &newcomer.address {
            Address::Tcp(address) => (false, *address),
            Address::Udp(address) => (true, *address),
            Address::Unix(path) => {
                let path = plain(path);
                let owner = self.paths.get(&path).cloned();
                self.paths.entry(path).or_insert(newcomer);
                return owner;
            }
        };
        let scope = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        let door = Door { udp, v6: address.is_ipv6(), port: address.port() };
        let hosts = self.ports.entry(door).or_default();
        let own = (address.ip(), scope);
        // The wildcard is the smallest address there is.
        let wildcard =
            hosts.first_key_value().filter(|((ip, _), _)| ip.is_unspecified() || own.0.is_unspecified());
        let owner = hosts.get(&own).or(wildcard.map(|(_, owner)| owner)).cloned();
        hosts.entry(own).or_insert(newcomer);
        owner
    }
}

/// The path from the root, without detours: `./web.sock` and `web.sock` are one file, and so are `/run/x/../web.sock` and
/// `/run/web.sock`. Where `x` is a symbolic link they are not, but nobody who reads the file could know.
fn plain(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match (part, plain.components().next_back()) {
            // There is nothing above the root.
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => _ = plain.pop(),
            _ => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_same_however_it_is_written() {
        let whole = std::env::current_dir().unwrap().join("web.sock");
        for path in ["web.sock", "./web.sock", "x/../web.sock", ".//web.sock"] {
            assert_eq!(plain(Path::new(path)), whole, "{path}");
        }
        assert_eq!(plain(Path::new("/../run/./web.sock")), Path::new("/run/web.sock"));
        assert_ne!(plain(Path::new("/web.sock")), whole);
    }
}
