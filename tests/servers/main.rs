//! Servers that nobody modified, from packages, on sockets that bootstrap holds. `tests/install` installs them.
//!
//! What is tested is what is documented: the config files are those in `config/`, with another port and each of the
//! two orders, and how many requests may fail stands in a table in `docs/protocols.md`.

#[path = "../support/mod.rs"]
mod support;

mod case;
mod starters;
mod table;

use case::{Case, Order};

/// Twenty restarts under load in each order; the table says how many requests may fail.
macro_rules! servers {
    ($($name:ident)*) => {$(
        mod $name {
            use super::{Case, Order};

            #[test]
            fn restarts_stop_first() {
                Case::of(stringify!($name), Order::StopFirst).restart_under_load();
            }

            #[test]
            fn restarts_start_first() {
                Case::of(stringify!($name), Order::StartFirst).restart_under_load();
            }
        }
    )*

    /// Those of this list.
    const SERVERS: &[&str] = &[$(stringify!($name)),*];
    };
}

servers! { gunicorn gunicorn_threads uvicorn nginx lighttpd haproxy puma unicorn node starlet systemd }
