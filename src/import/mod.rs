//! Files of other supervisors as ours: text to text. What has no counterpart here stands in a comment beside what has;
//! nothing is left out in silence.
//!
//! The files are read as their own programs read them as far as that matters here, by code of our own: parsers of INI
//! files keep the last of two equal keys, and systemd means both.

mod access;
mod draft;
mod ini;
mod output;
mod procfile;
mod rights;
mod shell_line;
mod start_server;
mod supervisord;
mod supervisord_text;
mod systemd;
mod systemd_command;
mod systemd_environment;
mod systemd_order;
mod systemd_socket;
mod systemd_unit;
mod systemd_words;

use draft::Drafts;
use std::fmt;

/// Whose files they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `supervisord.conf`.
    Supervisord,
    /// A Procfile, as foreman and its kind read it.
    Procfile,
    /// Units of systemd: services and their sockets.
    Systemd,
    /// Command lines of `start_server` (`Server::Starter`), as in a script.
    StartServer,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name without directories: units are named by it.
    pub name: String,
    /// The directory that it is in, or nothing where that is not known.
    pub directory: String,
    /// What stands in it.
    pub text: String,
}

/// No service stands in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoService(Origin);

impl fmt::Display for NoService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = match self.0 {
            Origin::Supervisord => "a section [program:NAME] with a `command`",
            Origin::Procfile => "a line `NAME: COMMAND`",
            Origin::Systemd => "a section [Service] with an `ExecStart`",
            Origin::StartServer => "a command line with `start_server ... -- COMMAND`",
        };
        write!(f, "no service is in it: there is not {wanted}")
    }
}

/// The files as one of ours. `keys` are those that a service has here.
///
/// # Errors
///
/// [`NoService`].
pub fn import(from: Origin, inputs: &[Input], keys: &[&str]) -> Result<String, NoService> {
    let mut drafts = Drafts::new(keys);
    match from {
        Origin::Supervisord => inputs.iter().for_each(|input| supervisord::read(input, &mut drafts)),
        Origin::Procfile => inputs.iter().for_each(|input| procfile::read(input, &mut drafts)),
        Origin::Systemd => systemd::read(inputs, &mut drafts),
        Origin::StartServer => inputs.iter().for_each(|input| start_server::read(input, &mut drafts)),
    }
    drafts.into_toml().ok_or(NoService(from))
}
