//! `listen`: one address or several, each with its settings.

use super::address;
use super::field::{At, Field, Scalar, Value};
use super::notes::Notes;
use super::problem::Problem;
use super::raw::Listener;
use super::rights::{Mode, SocketGroup, SocketUser};
use super::rule::Rule;
use super::schema;
use super::value::{Backlog, WholeSeconds};
use crate::plan::{Access, Address, ListenerSpec, ServiceName, SocketSettings};
use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The listeners of one service, each with its place.
pub(super) struct Listen(pub(super) Vec<At<ListenerSpec>>);

impl Scalar for Address {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        if let Some(number) = found.as_integer() {
            return Err(Rule::Address(address::without_scheme(number.as_str())));
        }
        let written = found.as_str().ok_or(Rule::Listen)?;
        address::parse(written).map_err(Rule::Address)
    }

    fn schema() -> Json {
        schema::address()
    }
}

impl Value for Listen {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let before = notes.count();
        let entries = match found.get_ref().as_array() {
            Some(entries) => entries.iter().filter_map(|entry| listener(entry, key, notes)).collect(),
            None => listener(found, key, notes).into_iter().collect(),
        };
        (notes.count() == before).then_some(Self(entries))
    }

    fn schema() -> Json {
        let entry = json!({ "anyOf": [schema::address(), schema::listener()] });
        json!({ "anyOf": [schema::address(), schema::listener(), { "type": "array", "items": entry }] })
    }
}

fn listener(
    entry: &Spanned<DeValue<'_>>,
    key: &'static str,
    notes: &mut Notes<'_>,
) -> Option<At<ListenerSpec>> {
    let value = match entry.get_ref().as_table() {
        Some(table) => from_table(table, entry, notes)?,
        None => ListenerSpec::new(<Address as Value>::read(entry, key, notes)?),
    };
    Some(At { span: entry.span(), value })
}

fn from_table<'t>(
    table: &'t DeTable<'t>,
    entry: &Spanned<DeValue<'_>>,
    notes: &mut Notes<'_>,
) -> Option<ListenerSpec> {
    let raw = Listener::of(table, notes);
    let name = raw.name.read(notes).map(Some).or_default(None);
    let address = raw.address.read(notes).required(raw.address.key, &entry.span(), notes);
    let backlog = raw.backlog.read(notes).map(Some).or_default(None);
    let nonblocking = raw.nonblocking.read(notes).or_default(false);
    let defer_accept = raw.defer_accept.read(notes).map(Some).or_default(None);
    let mode = raw.mode.read(notes).map(Some).or_default(None);
    let user = raw.user.read(notes).map(Some).or_default(None);
    let group = raw.group.read(notes).map(Some).or_default(None);
    let address = address?.value;
    only_for(&raw.backlog, !matches!(address, Address::Udp(_)), Rule::StreamOnly, &address, notes);
    only_for(&raw.defer_accept, matches!(address, Address::Tcp(_)), Rule::TcpOnly, &address, notes);
    let has_path = matches!(address, Address::Unix(_));
    only_for(&raw.mode, has_path, Rule::UnixOnly, &address, notes);
    only_for(&raw.user, has_path, Rule::UnixOnly, &address, notes);
    only_for(&raw.group, has_path, Rule::UnixOnly, &address, notes);
    let settings = SocketSettings {
        backlog: backlog?.map(|Backlog(clients)| clients),
        nonblocking: nonblocking?,
        defer_accept: defer_accept?.map(|WholeSeconds(time)| time),
        access: Access {
            mode: mode?.map(|Mode(bits)| bits),
            uid: user?.map(|SocketUser(uid)| uid),
            gid: group?.map(|SocketGroup(gid)| gid),
        },
    };
    let name = name?.map(|name: ServiceName| name.as_str().into());
    Some(ListenerSpec { name, address, settings: settings.into() })
}

/// Notes a setting that a socket of this kind does not have.
fn only_for<T: Value>(
    field: &Field<'_, T>,
    has_it: bool,
    rule: Rule,
    address: &Address,
    notes: &mut Notes<'_>,
) {
    if let Some(span) = field.span().filter(|_| !has_it) {
        notes.add(span, Problem::NotForAddress { key: field.key, address: address.clone(), rule });
    }
}
