//! Who starts after whom: names that are there, and no circle.

use super::error::Place;
use super::field::{At, Value};
use super::notes::Notes;
use super::problem::Problem;
use super::rule::Rule;
use super::schema;
use super::similar;
use crate::plan::ServiceName;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use toml::Spanned;
use toml::de::DeValue;

/// The value of `after` and of `requires`: one name, or an array of names.
#[derive(Clone, Default)]
pub(super) struct Names(pub(super) Vec<At<ServiceName>>);

impl Value for Names {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let items = match found.get_ref().as_array() {
            Some(items) => items.iter().collect(),
            None => vec![found],
        };
        let before = notes.count();
        let mut names = Vec::with_capacity(items.len());
        for item in items {
            let Some(text) = item.get_ref().as_str() else {
                notes.add(item.span(), Problem::value(key, item.get_ref(), Rule::Names));
                continue;
            };
            match ServiceName::parse(text) {
                Ok(value) => names.push(At { span: item.span(), value }),
                Err(error) => notes.add(item.span(), Problem::value(key, item.get_ref(), Rule::Name(error))),
            }
        }
        (notes.count() == before).then_some(Self(names))
    }

    fn schema() -> Json {
        let name = schema::service_name();
        json!({ "anyOf": [name, { "type": "array", "items": name }] })
    }
}

/// The services read so far and the names that each comes after.
#[derive(Default)]
pub(super) struct Sequence(BTreeMap<ServiceName, Vec<At<ServiceName>>>);

impl Sequence {
    /// Takes note of a service.
    pub(super) fn add(&mut self, name: &ServiceName, predecessors: Vec<At<ServiceName>>) {
        self.0.insert(name.clone(), predecessors);
    }

    /// Notes names that no service has, and circles, each once.
    pub(super) fn check(&self, notes: &mut Notes<'_>) {
        for (name, predecessors) in &self.0 {
            notes.enter(Place::Service(name.as_str().into()));
            for At { span, value } in predecessors.iter().filter(|at| !self.0.contains_key(&at.value)) {
                let names: Vec<&str> = self.0.keys().map(ServiceName::as_str).collect();
                let meant = similar::nearest(value.as_str(), &names).map(Into::into);
                notes.add(span.clone(), Problem::NoSuchService { name: value.to_string(), meant });
            }
        }
        for (circle, span) in self.circles() {
            notes.enter(Place::Service(circle[0].as_str().into()));
            let circle = circle.iter().map(ToString::to_string).collect();
            notes.add(span, Problem::Circle { circle });
        }
    }

    /// Walks along the predecessors from every service; one that stands on the way already closes a circle.
    fn circles(&self) -> Vec<(Vec<ServiceName>, Range<usize>)> {
        let mut found = Vec::new();
        let mut done: BTreeSet<&ServiceName> = BTreeSet::new();
        for start in self.0.keys() {
            let mut way: Vec<(&ServiceName, usize)> = vec![(start, 0)];
            while let Some((name, next)) = way.last_mut() {
                let (name, at) = (*name, *next);
                *next += 1;
                let Some(step) = self.0.get(name).and_then(|all| all.get(at)) else {
                    done.insert(name);
                    way.pop();
                    continue;
                };
                if let Some(from) = way.iter().position(|(on_the_way, _)| **on_the_way == step.value) {
                    let mut circle: Vec<ServiceName> =
                        way[from..].iter().map(|(name, _)| (*name).clone()).collect();
                    circle.push(step.value.clone());
                    found.push((circle, step.span.clone()));
                } else if let Some((known, _)) = self.0.get_key_value(&step.value)
                    && !done.contains(known)
                {
                    way.push((known, 0));
                }
            }
        }
        found
    }
}
