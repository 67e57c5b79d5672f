//! What stood in the `env_file` of each run when it was started: a rollback gives the program of then the environment of then,
//! whatever has become of the file.

use crate::plan::RunId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The contents, by run; of those only that have such a file and may be gone back to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<(RunId, Vec<u8>)>", into = "Vec<(RunId, Vec<u8>)>")]
pub(super) struct EnvFiles(BTreeMap<RunId, Vec<u8>>);

impl From<Vec<(RunId, Vec<u8>)>> for EnvFiles {
    fn from(all: Vec<(RunId, Vec<u8>)>) -> Self {
        Self(all.into_iter().collect())
    }
}

impl From<EnvFiles> for Vec<(RunId, Vec<u8>)> {
    fn from(files: EnvFiles) -> Self {
        files.0.into_iter().collect()
    }
}

impl EnvFiles {
    /// A run was started with this.
    pub(super) fn started(&mut self, run: RunId, contents: Vec<u8>) {
        self.0.insert(run, contents);
    }

    /// This run has ended, or its program is not to be kept any more: what it was started with is forgotten, unless it is
    /// `wanted` all the same.
    pub(super) fn forget_unless(&mut self, run: RunId, wanted: bool) {
        if !wanted {
            self.0.remove(&run);
        }
    }

    /// That of this run.
    pub(super) fn of(&self, run: RunId) -> Option<&[u8]> {
        self.0.get(&run).map(Vec::as_slice)
    }

    /// Is there none?
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Generation, ServiceId};

    #[test]
    fn of_each_service_only_what_may_be_gone_back_to_is_kept() {
        let run =
            |service, generation| RunId { service: ServiceId(service), generation: Generation(generation) };
        let mut files = EnvFiles::default();
        files.started(run(1, 9), b"other".to_vec());
        for generation in 1..100 {
            files.started(run(2, generation), vec![1]);
            files.forget_unless(run(2, generation - 1), generation - 1 == 3);
        }
        let kept: Vec<RunId> = files.0.keys().copied().collect();
        assert_eq!(kept, [run(1, 9), run(2, 3), run(2, 99)]);
        assert_eq!(files.of(run(1, 9)), Some(&b"other"[..]));
    }
}
