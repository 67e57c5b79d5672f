//! What many services have in common, once: with ten thousand of them most policies are equal, and most commands are.

use super::{Definition, Identity, Policy, Program};
use crate::limits::COMMON_VALUES;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A value that others may share. It is used, compared and written as the value itself.
pub struct Common<T>(Arc<T>);

impl<T> From<T> for Common<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Clone for Common<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Common<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: PartialEq> PartialEq for Common<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl<T: Eq> Eq for Common<T> {}

impl<T: fmt::Debug> fmt::Debug for Common<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize> Serialize for Common<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Common<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

/// Whoever changes it has one of its own from then on; the others keep it as it is.
impl<T: Clone> DerefMut for Common<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

/// Values that were met, the last one first.
#[derive(Debug)]
struct Known<T>(VecDeque<Common<T>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: PartialEq> Known<T> {
    /// Has `value` be the one that was met before, if one is equal. Tells whether it was.
    fn share(&mut self, value: &mut Common<T>) -> bool {
        let found = self.0.iter().position(|known| known == value);
        if let Some(known) = found.and_then(|at| self.0.remove(at)) {
            *value = known;
        } else {
            self.0.truncate(COMMON_VALUES - 1);
        }
        self.0.push_front(value.clone());
        found.is_some()
    }
}

/// What definitions that were met have in common.
#[derive(Debug, Default)]
pub struct Commons {
    programs: Known<Program>,
    policies: Known<Policy>,
    identities: Known<Identity>,
}

impl Commons {
    /// Has a definition share what it has in common with those before, and keep no room for more.
    pub fn share(&mut self, definition: &mut Definition) {
        definition.listeners.shrink_to_fit();
        definition.after.shrink_to_fit();
        definition.requires.shrink_to_fit();
        self.policies.share(&mut definition.policy);
        // Whoever has the same program has the same identity already.
        if !self.programs.share(&mut definition.program) {
            let mut identity = definition.program.identity.clone();
            if self.identities.share(&mut identity) {
                definition.program.identity = identity;
            }
        }
    }
}
