//! What a generation is given when it starts.

use crate::plan::{Generation, ListenerSpec};

/// What a generation is given, as numbers to write into its command and environment.
#[derive(Clone, Debug)]
pub struct Granted<'a> {
    /// The name of the service.
    pub service: &'a str,
    /// The service's listeners, in their order.
    pub listeners: &'a [ListenerSpec],
    /// The number of each of them in the server.
    pub fds: &'a [i32],
    /// The write end of the handshake's pipe.
    pub pipe: Option<i32>,
    /// The address of the socket for `sd_notify`.
    pub notify: Option<&'a str>,
    /// The server's end of einhorn's command socket.
    pub ack: Option<i32>,
    /// The number of the file that leads to it.
    pub ack_path: Option<i32>,
    /// Which generation it is.
    pub generation: Generation,
    /// Which worker it is, from 0.
    pub worker: u32,
    /// Our own pid.
    pub supervisor: u32,
}
