//! Text to [`Plan`]: every rule of the config file, and every mistake of a file in one report.
//!
//! ```text
//! text --toml--> tables with spans --raw--> one Field per key --value--> its value, or a mistake
//!                                                    --check--> Plan, once no rule is broken
//! ```
//!
//! `raw` lists the keys, with their documentation; it is the only such list. `value`, `words`, `rights`, `cgroup`,
//! `probe`, `listen` and `address` say what one key may hold, and `schema` says it to editors; `machine` is asked whether
//! there is what it names. `check`, `health` and `policy` know the rules between keys, `check` those between services;
//! `look` reads what `logs` needs, and nothing else. `problem` makes the sentences and `render` the picture for people;
//! `document` describes the whole file, from the list of keys.

mod address;
mod cgroup;
mod check;
mod described;
mod disk;
mod document;
mod error;
mod field;
mod found;
mod health;
mod identity;
mod listen;
mod load;
mod look;
mod machine;
mod notes;
mod outlet;
mod output;
mod policy;
mod probe;
mod problem;
mod raw;
mod render;
mod rights;
mod rule;
mod schema;
mod sequence;
mod similar;
mod syntax;
mod unique;
mod value;
mod words;

pub use address::{AddressError, AddressFault};
pub use described::Key;
pub use disk::{Disk, Loaded, Stamp, load_to_run};
pub use document::{Table, is_key_of_service, json_schema, tables};
pub use error::{Mistake, Place, Position, Refused};
pub use found::Found;
pub use load::{load, outputs, parse, runtime_dir};
pub use problem::Problem;
pub use rule::Rule;
pub use similar::nearest;

#[cfg(doc)]
use crate::plan::Plan;
