//! Text to [`Plan`]: every rule of the config file, and every mistake of a file in one report.
//!
//! ```text
//! text --toml--> tables with spans --raw--> one Field per key --value--> its value, or a mistake
//!                                                    --check--> Plan, once no rule is broken
//! ```
//!
//! `raw` lists the keys, with their documentation; it is the only such list. `value`, `rights`, `cgroup`, `listen` and `address`
//! say what one key may hold; `machine` is asked whether there is what it names. `check` and `policy` know the rules between keys, `check` those between services. `problem` makes the
//! sentences and `render` the picture for people.

mod address;
mod cgroup;
mod check;
mod error;
mod field;
mod health;
mod identity;
mod listen;
mod load;
mod machine;
mod notes;
mod policy;
mod probe;
mod problem;
mod raw;
mod render;
mod rights;
mod rule;
mod sequence;
mod similar;
mod syntax;
mod unique;
mod value;

pub use address::{AddressError, AddressFault};
pub use error::{Mistake, Place, Position, Refused};
pub use load::{load, parse};
pub use problem::{Found, Problem};
pub use rule::Rule;

#[cfg(doc)]
use crate::plan::Plan;
