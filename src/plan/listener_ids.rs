//! The sockets of a service, or of a run.

use super::ListenerId;
use serde::{Deserialize, Serialize};
use std::ops::Deref;
use std::slice;

/// Sockets, in the order of the definition. Most services have one, and there are ten thousand of them: that one
/// takes no memory of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<ListenerId>", into = "Vec<ListenerId>")]
pub struct ListenerIds(Kept);

#[derive(Clone, Debug, PartialEq)]
enum Kept {
    One(ListenerId),
    /// None of them, or several.
    Others(Box<[ListenerId]>),
}

impl Deref for ListenerIds {
    type Target = [ListenerId];

    fn deref(&self) -> &[ListenerId] {
        match &self.0 {
            Kept::One(id) => slice::from_ref(id),
            Kept::Others(ids) => ids,
        }
    }
}

impl From<&[ListenerId]> for ListenerIds {
    fn from(ids: &[ListenerId]) -> Self {
        Self(if let [id] = ids { Kept::One(*id) } else { Kept::Others(ids.into()) })
    }
}

impl From<Vec<ListenerId>> for ListenerIds {
    fn from(ids: Vec<ListenerId>) -> Self {
        ids.as_slice().into()
    }
}

impl From<ListenerIds> for Vec<ListenerId> {
    fn from(ids: ListenerIds) -> Self {
        ids.to_vec()
    }
}

impl FromIterator<ListenerId> for ListenerIds {
    fn from_iter<T: IntoIterator<Item = ListenerId>>(ids: T) -> Self {
        Vec::from_iter(ids).into()
    }
}

impl<'a> IntoIterator for &'a ListenerIds {
    type Item = &'a ListenerId;
    type IntoIter = slice::Iter<'a, ListenerId>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_there_are_they_are_the_same_and_read_back_and_one_is_no_larger_than_none() {
        for count in 0..4 {
            let ids: Vec<ListenerId> = (0..count).map(ListenerId).collect();
            let kept = ListenerIds::from(ids.clone());
            assert_eq!(&*kept, ids);
            let text = serde_json::to_string(&kept).unwrap();
            assert_eq!(text, serde_json::to_string(&ids).unwrap());
            assert_eq!(serde_json::from_str::<ListenerIds>(&text).unwrap(), kept);
        }
        assert_eq!(size_of::<ListenerIds>(), size_of::<Box<[ListenerId]>>());
    }
}
