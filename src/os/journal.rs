//! Whether stderr leads to the journal of systemd.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

/// Is stderr the journal's? Then `JOURNAL_STREAM` names its device and inode; the variable alone proves
/// nothing, since stderr may have been redirected after it was set.
pub fn stderr_is_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    is_stream(io::stderr().as_fd(), &named)
}

fn is_stream(fd: BorrowedFd<'_>, named: &str) -> bool {
    let metadata = fd.try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    metadata.is_ok_and(|metadata| named == format!("{}:{}", metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_stream_that_the_variable_names_is_the_journal() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        let named = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(is_stream(file.as_fd(), &named));
        assert!(!is_stream(file.as_fd(), &format!("{named}0")));
        assert!(!is_stream(file.as_fd(), ""));
    }
}
