//! The arguments with which this program starts itself again.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

/// The hidden option by which a program goes on: the number of the snapshot.
pub(super) const GO_ON: &str = "--state=";

/// The arguments that this program was started with, but for what an upgrade has added: that is not for the next.
pub(super) fn own_arguments() -> Vec<Vec<u8>> {
    let ours = std::env::args_os().map(OsString::into_vec);
    ours.filter(|argument| !argument.starts_with(GO_ON.as_bytes())).collect()
}

/// The same, and one more.
pub(super) fn arguments(option: &str) -> Vec<Vec<u8>> {
    own_arguments().into_iter().chain([option.as_bytes().to_vec()]).collect()
}
