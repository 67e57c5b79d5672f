//! The definitions of a plan, found by the names of their services.

use crate::plan::{Definition, Plan, ServiceName};
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::sync::Arc;

/// The definitions of a plan. Most of the time they are asked for in the order in which they stand there; a table is not
/// made before somebody asks in another one.
pub(super) struct Definitions<'a> {
    all: &'a [Arc<Definition>],
    /// The place after that of the last one that was found.
    next: Cell<usize>,
    places: OnceCell<HashMap<&'a ServiceName, usize>>,
}

impl<'a> Definitions<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        Self { all: &plan.services, next: Cell::new(0), places: OnceCell::new() }
    }

    /// The definition of this service, if it has one.
    pub(super) fn get(&self, name: &ServiceName) -> Option<&'a Arc<Definition>> {
        let next = self.next.get();
        let place = match self.all.get(next) {
            Some(definition) if definition.name == *name => next,
            Some(_) | None => *self.places().get(name)?,
        };
        self.next.set(place + 1);
        self.all.get(place)
    }

    fn places(&self) -> &HashMap<&'a ServiceName, usize> {
        self.places.get_or_init(|| {
            self.all.iter().enumerate().map(|(place, definition)| (&definition.name, place)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_name_in_whatever_order_they_are_asked_for() {
        let text = ["a", "b", "c"].map(|name| format!("[[service]]\nname = '{name}'\ncommand = 'true'\n"));
        let plan = crate::config::parse("x.toml", &text.concat()).unwrap();
        let names = ["a", "b", "c", "d"].map(|name| ServiceName::parse(name).unwrap());
        let definitions = Definitions::of(&plan);
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 3, 2], [0, 2, 3, 1], [2, 0, 1, 3]] {
            for at in order {
                let found = definitions.get(&names[at]).map(|definition| &definition.name);
                assert_eq!(found, (at < 3).then(|| &names[at]), "{order:?}");
            }
        }
        let in_order = Definitions::of(&plan);
        assert!(names[..3].iter().all(|name| in_order.get(name).is_some()));
        assert!(in_order.places.get().is_none(), "without a table");
    }
}
