//! Codecs between bytes and meaning: no I/O, no clock, no decision.

mod ack;
mod argv;
pub mod control;
mod dialect;
pub mod fdstore;
mod granted;
mod http;
pub mod logs;
mod notify;
mod sock_diag;
pub mod status;
mod status_line;
mod verdict;
mod version;

pub use ack::AckReader;
pub use argv::{
    PlaceholderError, Placeholders, are_appended, arguments, check, check_of_probe, expand, not_placed,
    places_a_socket, places_the_pipe,
};
pub use dialect::{Dialect, Numbers, Value, Voice};
pub use granted::Granted;
pub use http::{NotHttp, StatusReader, request};
pub use notify::Notice;
pub use sock_diag::{
    Kind as SocketKind, SocketQueue, ask_connections, ask_queues, read_connections, read_queues,
};
pub use status_line::{StatusAsItCame, StatusAsItComes, status_line};
pub use verdict::{Word, WordReader};
