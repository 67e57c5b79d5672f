//! What it takes to get from one plan to another.

use super::{Definition, Plan, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a new plan does to one service. A service that is the same in both plans has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// It is new.
    Added(#[serde(with = "super::shared")] Arc<Definition>),
    /// It is in the new plan no more.
    Removed(ServiceName),
    /// Its policy or the settings of its sockets differ: applies in place, its process is not touched.
    InPlace(#[serde(with = "super::shared")] Arc<Definition>),
    /// Its program or its addresses differ: a new generation, by its restart order.
    Restarted(#[serde(with = "super::shared")] Arc<Definition>),
}

impl Change {
    /// The service it is about.
    pub fn name(&self) -> &ServiceName {
        match self {
            Self::Added(definition) | Self::InPlace(definition) | Self::Restarted(definition) => {
                &definition.name
            }
            Self::Removed(name) => name,
        }
    }

    /// What it is from now on, unless it is removed.
    pub fn definition(&self) -> Option<&Definition> {
        match self {
            Self::Added(definition) | Self::InPlace(definition) | Self::Restarted(definition) => {
                Some(definition)
            }
            Self::Removed(_) => None,
        }
    }
}

/// Compares two plans, service by service: the new one's order, then what is removed.
pub fn diff(old: &Plan, new: &Plan) -> Vec<Change> {
    let mut before: BTreeMap<&ServiceName, &Arc<Definition>> =
        old.services.iter().map(|definition| (&definition.name, definition)).collect();
    let mut changes = Vec::new();
    for definition in &new.services {
        match before.remove(&definition.name) {
            None => changes.push(Change::Added(definition.clone())),
            Some(old) if Arc::ptr_eq(old, definition) || old == definition => {}
            Some(old) if !old.runs_the_same(definition) => {
                changes.push(Change::Restarted(definition.clone()));
            }
            Some(_) => changes.push(Change::InPlace(definition.clone())),
        }
    }
    changes.extend(before.into_keys().cloned().map(Change::Removed));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Address, ListenerSpec, Restart, Settings};

    fn service(name: &str) -> Definition {
        let listeners = [ListenerSpec::new(Address::Unix(format!("/run/{name}").into()))].into();
        Definition { listeners, ..Definition::least(name) }
    }

    fn plan(services: Vec<Definition>) -> Plan {
        Plan { settings: Settings::default(), services: services.into_iter().map(Arc::new).collect() }
    }

    #[test]
    fn each_kind_of_change_is_told_apart() {
        let old = plan(vec![
            service("same"),
            service("gone"),
            service("policy"),
            service("command"),
            service("moved"),
            service("identity"),
        ]);
        let mut policy = service("policy");
        policy.policy.restart = Restart::Always;
        policy.listeners[0].settings.backlog = Some(7);
        let mut command = service("command");
        command.program.command.push("-v".into());
        let mut moved = service("moved");
        moved.listeners[0].address = Address::Unix("/run/elsewhere".into());
        let mut identity = service("identity");
        identity.program.identity.umask = Some(0o027);
        let new = plan(vec![
            service("new"),
            service("same"),
            policy.clone(),
            command.clone(),
            moved.clone(),
            identity.clone(),
        ]);

        assert_eq!(
            diff(&old, &new),
            [
                Change::Added(Arc::new(service("new"))),
                Change::InPlace(Arc::new(policy)),
                Change::Restarted(Arc::new(command)),
                Change::Restarted(Arc::new(moved)),
                Change::Restarted(Arc::new(identity)),
                Change::Removed(ServiceName::parse("gone").unwrap()),
            ]
        );
    }

    #[test]
    fn the_order_of_the_file_is_no_change() {
        let old = plan(vec![service("a"), service("b")]);
        assert_eq!(diff(&old, &plan(vec![service("b"), service("a")])), []);
    }
}
