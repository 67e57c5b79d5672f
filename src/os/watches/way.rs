//! The way to a program: where a name on it could be made to lead elsewhere.

use crate::limits::WATCH_LINKS;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// A name in a directory.
pub(super) type Name = (PathBuf, OsString);

/// The way that a path takes through the file system, links followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// Whoever changes one of these may change what is at the end: that itself, and symbolic links. While nothing is there it
    /// is every name on the way: whoever puts something there may begin anywhere.
    pub(super) names: BTreeSet<Name>,
    /// Whoever renames one of these does so, too.
    pub(super) directories: BTreeSet<PathBuf>,
}

impl Way {
    /// The way as it is now.
    pub(super) fn to(path: &Path) -> Self {
        let (mut found, mut all) = (Self::default(), BTreeSet::new());
        let mut is_missing = false;
        let mut links = 0;
        let mut ways = vec![std::path::absolute(path).unwrap_or_else(|_| path.into())];
        while let Some(way) = ways.pop() {
            let mut directory = PathBuf::new();
            let mut rest = way.components();
            while let Some(component) = rest.next() {
                let name = match component {
                    Component::Normal(name) => name,
                    Component::ParentDir => {
                        directory.pop();
                        continue;
                    }
                    Component::RootDir | Component::CurDir | Component::Prefix(_) => {
                        directory.push(component);
                        continue;
                    }
                };
                let at_the_end = rest.as_path() == Path::new("");
                let step = directory.join(name);
                let link = std::fs::read_link(&step);
                let is_none = link.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::ENOENT));
                is_missing |= is_none;
                all.insert((directory.clone(), OsStr::to_owned(name)));
                if at_the_end || link.is_ok() {
                    found.names.insert((directory.clone(), OsStr::to_owned(name)));
                }
                match link {
                    Ok(target) if links < WATCH_LINKS => {
                        links += 1;
                        ways.push(directory.join(target).join(rest.as_path()));
                        break;
                    }
                    Err(_) if !at_the_end && !is_none => {
                        found.directories.insert(step.clone());
                        directory = step;
                    }
                    Ok(_) | Err(_) => break,
                }
            }
        }
        if is_missing {
            found.names = all;
        }
        found
    }

    /// Each directory on it once, or twice.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        self.directories.iter().chain(self.names.iter().map(|(directory, _)| directory)).map(PathBuf::as_path)
    }
}
