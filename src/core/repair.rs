//! What becomes of a socket that somebody has harmed.

use serde::{Deserialize, Serialize};

/// What was done to a socket that a server had harmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Repair {
    /// A server shut a TCP socket down; it listens again. Clients that waited were lost.
    ListensAgain,
    /// A server removed the path of a unix socket; it is there again. Clients that waited still do.
    PathPutBack,
    /// A server shut a unix socket down, or removed all its names; there is a new one at the path, which servers
    /// that were started before do not have. Clients that waited were lost.
    PathBoundAnew,
    /// Something else is at the path of a unix socket, and is not ours to remove. Servers have the socket; clients do not
    /// reach it by the path before that is free again.
    PathTaken,
    /// Nothing can be put at the path of a unix socket, such as where its directory is gone; the system's error number.
    /// Servers have a socket; clients do not reach it by the path before that is mended.
    PathLost(i32),
}
