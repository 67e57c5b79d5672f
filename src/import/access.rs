//! Whom the path of a unix socket belongs to and who may reach it, as a table in `listen` has it.

use super::draft::Draft;
use super::rights;
use toml::{Table, Value};

/// What is said of it, until all of it is known.
#[derive(Default)]
pub(super) struct Access {
    mode: Option<Value>,
    user: Option<Value>,
    group: Option<Value>,
}

impl Access {
    /// What the other supervisor does where nothing is said: the mode is written down, since ours follows the umask.
    pub(super) fn with_mode(mode: &str) -> Self {
        Self { mode: Some(mode.into()), ..Self::default() }
    }

    /// `mode`, `user` or `group`; tells whether the value could be read.
    pub(super) fn set(&mut self, ours: &str, value: &str) -> bool {
        let (field, read) = match ours {
            "mode" => (&mut self.mode, rights::mode(value)),
            "user" => (&mut self.user, rights::account(value)),
            "group" => (&mut self.group, rights::account(value)),
            _ => return false,
        };
        let done = read.is_some();
        if done {
            *field = read;
        }
        done
    }

    /// Adds its keys to the table of a socket.
    pub(super) fn write(&self, table: &mut Table) {
        for (key, value) in [("mode", &self.mode), ("user", &self.user), ("group", &self.group)] {
            table.extend(value.clone().map(|value| (key.to_owned(), value)));
        }
    }

    /// A group that goes without saying is that of the user there, and bootstrap's here.
    pub(super) fn tell_group(&self, draft: &mut Draft) {
        if self.user.is_some() && self.group.is_none() {
            draft.note("the path of its socket had the group of its user; here it is bootstrap's: see `group` in `listen`");
        }
    }
}
