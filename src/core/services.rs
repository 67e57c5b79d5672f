//! The services by their ids, in that order.

use super::service::Service;
use crate::plan::ServiceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All services. Each has a place of its own: ids only grow, and a tree that is added to at its end leaves half of every
/// node empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Services(BTreeMap<ServiceId, Box<Service>>);

impl Services {
    pub(super) fn get(&self, id: &ServiceId) -> Option<&Service> {
        self.0.get(id).map(|service| &**service)
    }

    pub(super) fn get_mut(&mut self, id: &ServiceId) -> Option<&mut Service> {
        self.0.get_mut(id).map(|service| &mut **service)
    }

    pub(super) fn insert(&mut self, service: Service) {
        self.0.insert(service.id, Box::new(service));
    }

    pub(super) fn remove(&mut self, id: &ServiceId) {
        self.0.remove(id);
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Service> {
        self.0.values().map(|service| &**service)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Service> {
        self.0.values_mut().map(|service| &mut **service)
    }

    pub(super) fn keys(&self) -> impl DoubleEndedIterator<Item = &ServiceId> {
        self.0.keys()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ServiceId, &Service)> {
        self.0.iter().map(|(id, service)| (id, &**service))
    }
}
