//! One key of a table: what stands there, and how it becomes a value.

use super::found::Found;
use super::notes::Notes;
use super::problem::Problem;
use super::rule::Rule;
use serde_json::Value as Json;
use std::marker::PhantomData;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What stands in the file for one key; `T` is what it has to be.
pub(super) struct Field<'t, T> {
    pub(super) key: &'static str,
    found: Option<&'t Spanned<DeValue<'t>>>,
    /// It stands in `[defaults]`, where its mistakes have been noted already.
    inherited: bool,
    kind: PhantomData<T>,
}

/// What came of reading a field.
#[derive(Clone)]
pub(super) enum Reading<T> {
    /// The key is not there.
    Absent,
    /// It is there, and wrong; that has been noted. What depends on it cannot be judged.
    Wrong,
    /// It is there, and right.
    Good(At<T>),
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) span: Range<usize>,
    pub(super) value: T,
}

/// What a key may hold.
pub(super) trait Value: Sized {
    /// Reads it, or notes all that is wrong with it.
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self>;

    /// What it may be, as JSON Schema: it takes all that `read` does, and as little else as can be said there.
    fn schema() -> Json;
}

/// A value with at most one mistake, the whole of which is to be underlined.
pub(super) trait Scalar: Sized {
    /// Reads it, or says what it has to be.
    fn read(found: &DeValue<'_>) -> Result<Self, Rule>;

    /// The same as [`Value::schema`].
    fn schema() -> Json;
}

impl<T: Scalar> Value for T {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        match <T as Scalar>::read(found.get_ref()) {
            Ok(value) => Some(value),
            Err(rule) => {
                notes.add(found.span(), Problem::value(key, found.get_ref(), rule));
                None
            }
        }
    }

    fn schema() -> Json {
        <T as Scalar>::schema()
    }
}

impl<'t, T: Value> Field<'t, T> {
    /// The field of a table that does not have it.
    pub(super) fn absent(key: &'static str) -> Self {
        Self { key, found: None, inherited: false, kind: PhantomData }
    }

    pub(super) fn given(key: &'static str, found: &'t Spanned<DeValue<'t>>) -> Self {
        Self { found: Some(found), ..Self::absent(key) }
    }

    /// This field, or where it is absent the one of `[defaults]`.
    pub(super) fn or(self, defaults: &Self) -> Self {
        match self.found {
            Some(_) => self,
            None => Self { found: defaults.found, inherited: true, ..self },
        }
    }

    pub(super) fn is_inherited(&self) -> bool {
        self.inherited
    }

    pub(super) fn span(&self) -> Option<Range<usize>> {
        self.found.map(Spanned::span)
    }

    pub(super) fn read(&self, notes: &mut Notes<'_>) -> Reading<T> {
        let Some(found) = self.found else { return Reading::Absent };
        let before = notes.count();
        let value = T::read(found, self.key, notes);
        if self.inherited {
            notes.truncate(before);
        }
        value.map_or(Reading::Wrong, |value| Reading::Good(At { span: found.span(), value }))
    }
}

impl<T: Value> Field<'_, T> {
    /// Reads it without noting what is wrong, because that was done.
    pub(super) fn read_again(&self, notes: &mut Notes<'_>) -> Reading<T> {
        let before = notes.count();
        let reading = self.read(notes);
        notes.truncate(before);
        reading
    }
}

impl<T> Reading<T> {
    /// The value, `default` where there is none, nothing where it is wrong.
    pub(super) fn or_default(self, default: T) -> Option<T> {
        match self {
            Self::Absent => Some(default),
            Self::Wrong => None,
            Self::Good(at) => Some(at.value),
        }
    }

    /// The value with its place; a missing one is a mistake at `header`.
    pub(super) fn required(
        self,
        key: &'static str,
        header: &Range<usize>,
        notes: &mut Notes<'_>,
    ) -> Option<At<T>> {
        match self {
            Self::Absent => {
                notes.add(header.clone(), Problem::Missing { key });
                None
            }
            Self::Wrong => None,
            Self::Good(at) => Some(at),
        }
    }

    pub(super) fn map<U>(self, turn: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Absent => Reading::Absent,
            Self::Wrong => Reading::Wrong,
            Self::Good(At { span, value }) => Reading::Good(At { span, value: turn(value) }),
        }
    }
}

/// The table that `found` is; a mistake where it is something else.
pub(super) fn table<'t>(
    found: &'t Spanned<DeValue<'t>>,
    key: &str,
    rule: Rule,
    notes: &mut Notes<'_>,
) -> Option<&'t DeTable<'t>> {
    let table = found.get_ref().as_table();
    if table.is_none() {
        notes.add(found.span(), Problem::Value { key: key.into(), found: Found::of(found.get_ref()), rule });
    }
    table
}
