//! How a manager is asked to keep descriptors (`FDSTORE=1` of `sd_notify(3)`), and how it gives them back
//! (`LISTEN_FDS` of `sd_listen_fds(3)`).

use crate::limits::FDNAME_BYTES;
use crate::plan::Address;
use std::ffi::OsString;

/// What is said along with the descriptor that is to be kept. A manager lets those go by itself that hang up, as a
/// socket does that refuses clients for a while: ours it is to keep.
pub fn keep(name: &str) -> String {
    format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0")
}

/// What is said of one that is not needed any more.
pub fn let_go(name: &str) -> String {
    format!("FDSTOREREMOVE=1\nFDNAME={name}")
}

/// The name of a socket: its address, as far as a name may hold it.
pub fn name(address: &Address, inode: u64) -> String {
    let text = address.to_string();
    let good = |byte: u8| (b' '..127).contains(&byte) && !matches!(byte, b':' | b'%');
    let name: String = text
        .bytes()
        .map(|byte| if good(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    if name.len() <= FDNAME_BYTES { name } else { format!("socket-{inode}") }
}

/// The names of the descriptors that were given back, of which the first is number 3. None if they are for another
/// process.
pub fn given(variable: impl Fn(&str) -> Option<OsString>, own_pid: u32) -> Vec<String> {
    let text = |name| variable(name)?.into_string().ok();
    let number = |name| text(name)?.parse::<u32>().ok();
    let (Some(count), Some(pid)) = (number("LISTEN_FDS"), number("LISTEN_PID")) else { return Vec::new() };
    if pid != own_pid {
        return Vec::new();
    }
    let names = text("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').chain(std::iter::repeat(""));
    names.take(count as usize).map(Into::into).collect()
}

/// How many descriptors the manager keeps, if it says so.
pub fn room(variable: impl Fn(&str) -> Option<OsString>) -> usize {
    variable("FDSTORE").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_address_and_has_nothing_that_a_name_may_not_have() {
        let tcp = Address::Tcp("0.0.0.0:80".parse().unwrap());
        assert_eq!(name(&tcp, 7), "tcp%3A//0.0.0.0%3A80");
        let path = |text: &str| Address::Unix(text.into());
        assert_eq!(name(&path("/run/a b%\u{e9}.sock"), 7), "unix%3A/run/a b%25%C3%A9.sock");
        assert_eq!(name(&path(&"\u{e9}".repeat(53)), 7), "socket-7");
        assert_ne!(name(&path("a%3A"), 7), name(&path("a:"), 7), "two addresses, two names");
    }

    #[test]
    fn what_was_given_to_another_process_is_not_ours() {
        let of = |fds: &'static str, pid: &'static str, names: &'static str| {
            let all = [("LISTEN_FDS", fds), ("LISTEN_PID", pid), ("LISTEN_FDNAMES", names)];
            let value = move |name: &str| all.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            given(move |name| value(name).filter(|value| !value.is_empty()).map(Into::into), 7)
        };
        assert_eq!(of("2", "7", "a:b"), ["a", "b"]);
        assert_eq!(of("3", "7", "a"), ["a", "", ""]);
        assert_eq!(of("1", "7", ""), [""]);
        for (fds, pid) in [("2", "8"), ("2", ""), ("", "7"), ("-1", "7"), ("two", "7"), ("0", "7")] {
            assert!(of(fds, pid, "a:b").is_empty(), "{fds:?} {pid:?}");
        }
    }

    #[test]
    fn a_manager_that_says_nothing_keeps_nothing() {
        for (text, expected) in [(None, 0), (Some("0"), 0), (Some("many"), 0), (Some("16"), 16)] {
            assert_eq!(room(|_| text.map(Into::into)), expected, "{text:?}");
        }
    }
}
