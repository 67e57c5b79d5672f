//! A `.socket` unit: what is held for a service.

use super::access::Access;
use super::draft::Draft;
use super::systemd_unit::Unit;
use crate::limits::{LISTENERS_PER_SERVICE, UNIX_PATH_BYTES};
use crate::plan::ServiceName;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use toml::Value;

/// The service that a socket unit is for.
pub(super) fn service_of(unit: &Unit<'_>) -> String {
    let named = unit.keys.iter().find(|(_, key, _)| key == "Service").map(|(_, _, value)| value.clone());
    let name = named.unwrap_or_else(|| unit.name.replace(".socket", ".service"));
    name.strip_suffix(".service").unwrap_or(&name).to_owned()
}

/// Adds its sockets to the service, handed over as systemd does.
pub(super) fn add(unit: &Unit<'_>, draft: &mut Draft) {
    let (mut addresses, mut name, mut backlog) = (Vec::new(), None, None);
    let mut access = Access::with_mode("0666");
    let mut access_keys = Vec::new();
    for (_, key, value) in unit.keys.iter().cloned() {
        let own = match &*key {
            "ListenStream" => stream(&value),
            "ListenDatagram" => datagram(&value),
            "FileDescriptorName" if ServiceName::parse(&value).is_ok() => {
                name = Some(value);
                continue;
            }
            "Backlog" => {
                backlog = value.parse::<i64>().ok().filter(|number| (1..=65535).contains(number));
                if backlog.is_some() {
                    continue;
                }
                Vec::new()
            }
            "SocketMode" | "SocketUser" | "SocketGroup" => {
                if access.set(&key["Socket".len()..].to_lowercase(), &value) {
                    access_keys.push((key, value));
                    continue;
                }
                Vec::new()
            }
            "Service" => continue,
            "Accept" if ["no", "false"].contains(&&*value) => continue,
            _ => Vec::new(),
        };
        if own.is_empty() || addresses.len() + own.len() > LISTENERS_PER_SERVICE {
            draft.note(format!("{}: {key}={value}: has no counterpart", unit.name));
        } else {
            both_versions(unit.name, &key, &value, &own, draft);
            addresses
                .extend(own.into_iter().filter(|address| !addresses.contains(address)).collect::<Vec<_>>());
        }
    }
    let is_path = |address: &String| address.starts_with("unix:");
    if addresses.iter().any(is_path) {
        access.tell_group(draft);
    } else {
        for (key, value) in access_keys {
            draft.note(format!("{}: {key}={value}: has no counterpart", unit.name));
        }
    }
    if addresses.is_empty() {
        return;
    }
    // Names are for one socket each; systemd gives all of a unit the same.
    if let Some(name) = name.as_ref().filter(|_| addresses.len() > 1) {
        draft.note(format!(
            "{}: FileDescriptorName={name}: is the name of all its sockets there; here each has one of its own",
            unit.name
        ));
    }
    let name = name.filter(|_| addresses.len() == 1);
    let entry = |address: String| {
        let backlog = backlog.filter(|_| !address.starts_with("udp:"));
        let has_path = is_path(&address);
        if name.is_none() && backlog.is_none() && !has_path {
            return Value::from(address);
        }
        let mut table = toml::Table::new();
        table.insert("address".into(), address.into());
        table.extend(name.clone().map(|name| ("name".into(), name.into())));
        table.extend(backlog.map(|backlog| ("backlog".into(), backlog.into())));
        if has_path {
            access.write(&mut table);
        }
        Value::Table(table)
    };
    draft.extend("listen", addresses.into_iter().map(entry).collect());
    draft.set("handshake", "systemd");
}

/// One socket of systemd takes clients of both versions of IP; ours are of one. Who counts descriptors has to know.
fn both_versions(unit: &str, key: &str, value: &str, own: &[String], draft: &mut Draft) {
    if own.len() > 1 {
        draft.note(format!(
            "{unit}: {key}={value}: is one socket for both versions of IP there, and two here: the descriptors behind it move by one"
        ));
    } else if own.iter().any(|address| address.contains("://[::]:")) {
        draft.note(format!(
            "{unit}: {key}={value}: takes clients of IPv4 there, too, unless BindIPv6Only says otherwise; here only those of IPv6"
        ));
    }
}

fn stream(value: &str) -> Vec<String> {
    if value.starts_with('/') {
        let fits = value.len() <= UNIX_PATH_BYTES && !value.starts_with("//") && !value.contains(['%', '\0']);
        return fits.then(|| format!("unix:{value}")).into_iter().collect();
    }
    on_ip("tcp", value)
}

fn datagram(value: &str) -> Vec<String> {
    on_ip("udp", value)
}

/// A port alone is that of every address, of both versions of IP: two sockets, since ours are of one.
fn on_ip(scheme: &str, value: &str) -> Vec<String> {
    let addresses = match value.parse::<u16>() {
        Ok(port) => [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()]
            .map(|host| SocketAddr::new(host, port))
            .to_vec(),
        Err(_) => value.parse().into_iter().collect(),
    };
    let mapped =
        |address: &SocketAddr| matches!(address.ip(), IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    let good = addresses.into_iter().filter(|address| address.port() > 0 && !mapped(address));
    good.map(|address| format!("{scheme}://{address}")).collect()
}
