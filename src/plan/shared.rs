//! Definitions in a snapshot: many places share one, and share it again when the snapshot is read.
//!
//! At its first place a definition is written in full; at each later one stands its number. A field says so with
//! `#[serde(with = "crate::plan::shared")]`. Without a snapshot around it every definition is written in full.

use super::{Commons, Definition};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeSeq};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The definitions that stand in the snapshot that is being written or read, by their numbers.
#[derive(Default)]
struct Table {
    /// Kept alive, so that no other definition can come to lie where one of them lay.
    all: Vec<Arc<Definition>>,
    numbers: BTreeMap<*const Definition, usize>,
    /// What those that were read have in common.
    commons: Commons,
}

thread_local! {
    // serde hands no context down, and a snapshot is written and read by one thread at one go.
    static TABLE: RefCell<Option<Table>> = const { RefCell::new(None) };
}

/// Writes or reads one snapshot: within `work`, what was shared is shared.
pub fn sharing<T>(work: impl FnOnce() -> T) -> T {
    struct Scope;
    impl Drop for Scope {
        fn drop(&mut self) {
            TABLE.take();
        }
    }
    TABLE.replace(Some(Table::default()));
    let _scope = Scope;
    work()
}

/// A definition as it is written.
#[derive(Serialize)]
#[serde(rename = "Written")]
enum Borrowed<'a> {
    Full(&'a Definition),
    Number(usize),
}

/// A definition as it is read.
#[derive(Deserialize)]
enum Written {
    Full(Box<Definition>),
    Number(usize),
}

/// Writes a definition, or its number.
///
/// # Errors
///
/// The serializer's.
pub fn serialize<S: Serializer>(definition: &Arc<Definition>, serializer: S) -> Result<S::Ok, S::Error> {
    let number = TABLE.with_borrow_mut(|table| {
        let table = table.as_mut()?;
        let known = table.numbers.get(&Arc::as_ptr(definition)).copied();
        if known.is_none() {
            table.numbers.insert(Arc::as_ptr(definition), table.all.len());
            table.all.push(definition.clone());
        }
        known
    });
    number.map_or(Borrowed::Full(definition), Borrowed::Number).serialize(serializer)
}

/// Reads a definition, or takes the one that has the number.
///
/// # Errors
///
/// The deserializer's; or the number is nobody's.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Definition>, D::Error> {
    match Written::deserialize(deserializer)? {
        Written::Full(mut definition) => Ok(TABLE.with_borrow_mut(|table| {
            let Some(table) = table else { return definition.into() };
            table.commons.share(&mut definition);
            let definition: Arc<Definition> = definition.into();
            table.all.push(definition.clone());
            definition
        })),
        Written::Number(number) => TABLE
            .with_borrow(|table| table.as_ref()?.all.get(number).cloned())
            .ok_or_else(|| de::Error::custom(format_args!("no definition has the number {number}"))),
    }
}

/// A list of definitions.
pub mod list {
    use super::{Arc, Definition, Deserialize, Deserializer, Serialize, SerializeSeq, Serializer};

    struct Shared<'a>(&'a Arc<Definition>);

    impl Serialize for Shared<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            super::serialize(self.0, serializer)
        }
    }

    #[derive(Deserialize)]
    struct Read(#[serde(deserialize_with = "super::deserialize")] Arc<Definition>);

    /// Writes them in their order.
    ///
    /// # Errors
    ///
    /// The serializer's.
    pub fn serialize<S: Serializer>(list: &[Arc<Definition>], serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(list.len()))?;
        for definition in list {
            sequence.serialize_element(&Shared(definition))?;
        }
        sequence.end()
    }

    /// Reads them in their order.
    ///
    /// # Errors
    ///
    /// As for one.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Arc<Definition>>, D::Error> {
        Ok(Vec::<Read>::deserialize(d)?.into_iter().map(|Read(definition)| definition).collect())
    }
}

/// A map whose keys are no text, as a list of pairs: JSON has no other place for them.
pub mod pairs {
    use super::{BTreeMap, Deserialize, Deserializer, Serialize, Serializer};

    /// Writes the pairs in their order.
    ///
    /// # Errors
    ///
    /// The serializer's.
    pub fn serialize<K, V, S>(map: &BTreeMap<K, V>, serializer: S) -> Result<S::Ok, S::Error>
    where
        K: Serialize,
        V: Serialize,
        S: Serializer,
    {
        serializer.collect_seq(map)
    }

    /// Reads the pairs.
    ///
    /// # Errors
    ///
    /// The deserializer's.
    pub fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}
