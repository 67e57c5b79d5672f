//! Keys that hold one of a few words.

use super::field::Scalar;
use super::rule::Rule;
use super::similar;
use super::value::{Asks, Gate};
use crate::plan::{Handshake, Orphans, Restart, RestartOrder, Rights, WhenIdle};
use serde_json::{Value as Json, json};
use toml::de::DeValue;

/// One of a few words, or what somebody meant who wrote something like one of them.
fn word<T: Clone>(found: &DeValue<'_>, words: &'static [&'static str], values: &[T]) -> Result<T, Rule> {
    if let Some(written) = found.as_str() {
        if let Some(at) = words.iter().position(|word| *word == written) {
            return Ok(values[at].clone());
        }
        let plain = written.to_lowercase().replace('_', "-");
        return Err(Rule::Word { words, meant: similar::nearest(&plain, words) });
    }
    let meant = found.as_bool().and_then(|yes| {
        let synonyms = if yes { ["always", "yes"] } else { ["no", "none"] };
        words.iter().find(|word| synonyms.contains(word)).copied()
    });
    Err(Rule::Word { words, meant })
}

/// Makes a key of a few words: each with the value that it stands for.
macro_rules! words {
    ($($Kind:ident { $($word:literal => $value:expr,)* })*) => {$(
        impl Scalar for $Kind {
            fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
                word(found, &[$($word),*], &[$($value),*])
            }

            fn schema() -> Json {
                json!({ "enum": [$($word),*] })
            }
        }
    )*};
}

words! {
    Restart { "no" => Self::No, "on-failure" => Self::OnFailure, "always" => Self::Always, }
    RestartOrder { "stop-first" => Self::StopFirst, "start-first" => Self::StartFirst, }
    Handshake {
        "pipe" => Self::Pipe,
        "systemd" => Self::Systemd,
        "server-starter" => Self::ServerStarter,
        "einhorn" => Self::Einhorn,
        "inetd" => Self::Inetd,
        "none" => Self::None,
    }
    Gate {
        "pipe" => Self::Pipe,
        "notify" => Self::Notify,
        "ack" => Self::Ack,
        "accepting" => Self::Accepting,
        "tcp" => Self::Asks(Asks::Tcp),
        "http" => Self::Asks(Asks::Http),
        "exec" => Self::Asks(Asks::Exec),
        "started" => Self::Started,
        "delay" => Self::Delay,
    }
    WhenIdle { "exit" => Self::Exit, "wait" => Self::Wait, }
    Orphans { "adopt" => Self::Adopt, "stop" => Self::Stop, "ignore" => Self::Ignore, }
    Rights { "read" => Self::Read, "full" => Self::Full, }
}
