//! What many services have in common, once: with ten thousand of them most policies are equal, and most commands are.

use super::common::Common;
use super::{Definition, Identity, ListenerSpec, Policy, Program, SocketSettings};
use crate::limits::COMMON_VALUES;
use std::collections::VecDeque;

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
    sockets: Known<SocketSettings>,
}

impl Commons {
    /// Has a definition share what it has in common with those before, and keep no room for more.
    pub fn share(&mut self, definition: &mut Definition) {
        definition.listeners.shrink_to_fit();
        definition.after.shrink_to_fit();
        definition.requires.shrink_to_fit();
        definition.listeners.iter_mut().for_each(|listener| self.share_settings(listener));
        self.policies.share(&mut definition.policy);
        // Whoever has the same program has the same identity already.
        if !self.programs.share(&mut definition.program) {
            let mut identity = definition.program.identity.clone();
            if self.identities.share(&mut identity) {
                definition.program.identity = identity;
            }
        }
    }

    /// Has a listener share its settings with those before.
    pub fn share_settings(&mut self, listener: &mut ListenerSpec) {
        self.sockets.share(&mut listener.settings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_become_one_until_too_many_others_came_between() {
        let mut known = Known::default();
        let mut share = |number: usize| {
            let mut value = Common::from(number);
            known.share(&mut value)
        };
        assert!(!share(0) && share(0));
        for number in 1..COMMON_VALUES {
            assert!(!share(number));
        }
        assert!(share(0), "it is the last of those that are kept");
        for number in COMMON_VALUES..2 * COMMON_VALUES {
            assert!(!share(number));
        }
        assert!(!share(0), "it was forgotten");
    }

    #[test]
    fn whoever_changes_a_value_changes_it_for_nobody_else() {
        let first = Common::from(vec![1]);
        let mut second = first.clone();
        second.push(2);
        assert_eq!((&*first, &*second), (&vec![1], &vec![1, 2]));
    }
}
