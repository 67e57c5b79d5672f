//! Who has an address that we want: `/proc/net` names the socket, `/proc/PID/fd` whose it is.
//!
//! Asked only when a bind was refused. Without the right to look into a process nothing is known of it.

use crate::core::Owner;
use crate::plan::{Address, Pid};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The owners that can be found. Each table and each process is read once, however many addresses are asked.
pub(super) fn owners(addresses: &[Address]) -> BTreeMap<Address, Owner> {
    let mut wanted: HashMap<u64, &Address> = HashMap::new();
    for (tables, matches) in [
        (["tcp", "tcp6"].as_slice(), has_tcp as fn(&str, &Address) -> Option<u64>),
        (["udp", "udp6"].as_slice(), has_udp),
        (["unix"].as_slice(), has_unix),
    ] {
        for table in tables {
            let rows = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
            for row in rows.lines().skip(1) {
                for address in addresses {
                    if let Some(inode) = matches(row, address) {
                        wanted.insert(inode, address);
                    }
                }
            }
        }
    }
    if wanted.is_empty() { BTreeMap::new() } else { holders(&wanted) }
}

/// Does anybody hold a socket that was made to listen at this path, but for our `own`? Shut down or not, the kernel lists it.
pub(super) fn is_held(path: &Path, own: Option<u64>) -> bool {
    let address = Address::Unix(path.into());
    let rows = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    rows.lines().skip(1).filter_map(|row| has_unix(row, &address)).any(|inode| Some(inode) != own)
}

/// The inode of a TCP row that listens where the address wants to be.
fn has_tcp(row: &str, address: &Address) -> Option<u64> {
    const LISTENS: &str = "0A";
    let Address::Tcp(address) = address else { return None };
    let (local, state, inode) = ip_row(row)?;
    (state == LISTENS && collide(local, *address)).then_some(inode)
}

fn has_udp(row: &str, address: &Address) -> Option<u64> {
    let Address::Udp(address) = address else { return None };
    let (local, _, inode) = ip_row(row)?;
    collide(local, *address).then_some(inode)
}

/// The inode of a unix row that listens at the path.
fn has_unix(row: &str, address: &Address) -> Option<u64> {
    const LISTENS: u32 = 0x10000;
    let Address::Unix(path) = address else { return None };
    let mut words = row.split_ascii_whitespace();
    let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
    let inode = words.nth(2)?.parse().ok()?;
    (flags & LISTENS != 0 && Path::new(words.next()?) == path).then_some(inode)
}

/// Local address, state and inode of a row of the four IP tables.
fn ip_row(row: &str) -> Option<(SocketAddr, &str, u64)> {
    let mut words = row.split_ascii_whitespace();
    let (ip, port) = words.nth(1)?.split_once(':')?;
    let state = words.nth(1)?;
    let inode = words.nth(5)?.parse().ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(ip_of(ip)?, port), state, inode))
}

/// The kernel prints an address as the words of 32 bits that it is in memory.
fn ip_of(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::new();
    for at in (0..hex.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes.as_slice()).ok().map(|v6| Ipv6Addr::from(v6).into())
}

/// Can the two not be bound together? A `::` of somebody else may take v4 clients too.
fn collide(theirs: SocketAddr, ours: SocketAddr) -> bool {
    let same_family = theirs.is_ipv4() == ours.is_ipv4();
    theirs.port() == ours.port()
        && (theirs.ip() == ours.ip()
            || (same_family && (theirs.ip().is_unspecified() || ours.ip().is_unspecified()))
            || (theirs.is_ipv6() && theirs.ip().is_unspecified()))
}

/// Goes through the processes, lowest pid first: of several that share a socket the oldest is its owner.
fn holders(wanted: &HashMap<u64, &Address>) -> BTreeMap<Address, Owner> {
    let mut found = BTreeMap::new();
    let mut pids: Vec<i32> = fs::read_dir("/proc")
        .map(|entries| entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    pids.sort_unstable();
    for pid in pids {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for entry in entries.flatten() {
            let inode = fs::read_link(entry.path()).ok().and_then(|target| socket_inode(&target));
            if let Some(address) = inode.and_then(|inode| wanted.get(&inode)) {
                found
                    .entry((*address).clone())
                    .or_insert_with(|| Owner { pid: Pid(pid), command: command(pid) });
            }
        }
    }
    found
}

/// `socket:[12345]`
fn socket_inode(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn command(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::UnixListener;

    #[test]
    fn this_very_process_is_found_as_the_owner_of_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
        let v6 = TcpListener::bind("[::1]:0").unwrap();
        let _unix = UnixListener::bind(&path).unwrap();
        let addresses = [
            Address::Tcp(tcp.local_addr().unwrap()),
            Address::Tcp(([0, 0, 0, 0], v6.local_addr().unwrap().port()).into()),
            Address::Tcp(v6.local_addr().unwrap()),
            Address::Udp(udp.local_addr().unwrap()),
            Address::Unix(path),
            Address::Unix("/nowhere/at/all".into()),
        ];
        let found = owners(&addresses);
        let own = Pid(i32::try_from(std::process::id()).unwrap());
        for (address, expected) in addresses.iter().zip([true, false, true, true, true, false]) {
            assert_eq!(found.get(address).map(|owner| owner.pid), expected.then_some(own), "{address}");
        }
    }

    #[test]
    fn a_wildcard_collides_with_every_address_of_its_family() {
        for (theirs, ours, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.2:80", "127.0.0.1:80", false),
            ("[::]:80", "0.0.0.0:80", true),
            ("[::1]:80", "0.0.0.0:80", false),
            ("0.0.0.0:80", "[::]:80", false),
        ] {
            assert_eq!(collide(theirs.parse().unwrap(), ours.parse().unwrap()), expected, "{theirs} {ours}");
        }
    }
}
