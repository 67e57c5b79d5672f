//! Placeholders in a command and in values of its environment.
//!
//! `{fd}` `{fd:NAME}` `{pipe}` `{port}` `{worker}` `{generation}` are replaced when a generation starts.
//! Any other text in braces means itself (JSON, awk), and doubled braces keep a placeholder as text:
//! `{{fd}}` is `{fd}`.

use super::Dialect;
use super::granted::Granted;
use crate::plan::{Address, Definition, Handshake, ListenerSpec, Program};
use std::fmt;

/// A placeholder that nothing can replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceholderError {
    /// `{fd}` in a service without a socket.
    NoListener,
    /// `{fd:NAME}` where no listener has the name.
    NoSuchListener(String),
    /// `{pipe}` without the pipe handshake.
    NoPipe,
    /// `{port}` where no listener has one.
    NoPort,
    /// `{fd}`, `{fd:NAME}` or `{pipe}` in a check.
    NotForChecks,
}

impl fmt::Display for PlaceholderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoListener => write!(f, "`{{fd}}` needs a socket; give the service a `port` or `listen`"),
            Self::NoSuchListener(name) => {
                write!(f, "`{{fd:{name}}}` names no listener; give one of `listen` the name {name:?}")
            }
            Self::NoPipe => write!(f, "`{{pipe}}` needs `handshake = \"pipe\"`"),
            Self::NoPort => write!(f, "`{{port}}` needs a TCP or UDP listener"),
            Self::NotForChecks => {
                write!(
                    f,
                    "a check gets no descriptor; `{{port}}`, `{{worker}}` and `{{generation}}` are replaced"
                )
            }
        }
    }
}

/// A piece of a template.
enum Piece<'t> {
    Text(&'t str),
    Fd,
    FdNamed(&'t str),
    Pipe,
    Port,
    Worker,
    Generation,
}

/// Cuts a template into text and placeholders.
fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        let open = rest.find('{').unwrap_or(rest.len());
        let (piece, len) = if open > 0 {
            (Piece::Text(&rest[..open]), open)
        } else if let Some((literal, len)) = escaped(rest) {
            (Piece::Text(literal), len)
        } else if let Some(found) = placeholder(rest) {
            found
        } else {
            (Piece::Text(rest.get(..1)?), 1)
        };
        rest = &rest[len..];
        Some(piece)
    })
}

/// `{{fd}}` at the start of `text`: what it stands for and its length.
fn escaped(text: &str) -> Option<(&str, usize)> {
    let inner = text.strip_prefix('{')?;
    let (_, len) = placeholder(inner)?;
    inner[len..].starts_with('}').then(|| (&inner[..len], len + 2))
}

/// A placeholder at the start of `text` and its length.
fn placeholder(text: &str) -> Option<(Piece<'_>, usize)> {
    let inner = text.strip_prefix('{')?;
    let end = inner.find('}')?;
    let piece = match &inner[..end] {
        "fd" => Piece::Fd,
        "pipe" => Piece::Pipe,
        "port" => Piece::Port,
        "worker" => Piece::Worker,
        "generation" => Piece::Generation,
        other => Piece::FdNamed(other.strip_prefix("fd:")?),
    };
    Some((piece, end + 2))
}

/// Checks that every placeholder of `template` can be replaced for a service with these listeners.
///
/// # Errors
///
/// The first placeholder that nothing can replace.
pub fn check(
    template: &str,
    listeners: &[ListenerSpec],
    handshake: Handshake,
) -> Result<(), PlaceholderError> {
    for piece in pieces(template) {
        match piece {
            Piece::Fd if listeners.is_empty() => return Err(PlaceholderError::NoListener),
            Piece::FdNamed(name) if !listeners.iter().any(|l| l.name.as_deref() == Some(name)) => {
                return Err(PlaceholderError::NoSuchListener(name.into()));
            }
            Piece::Pipe if handshake != Handshake::Pipe => return Err(PlaceholderError::NoPipe),
            Piece::Port if port(listeners).is_none() => return Err(PlaceholderError::NoPort),
            Piece::Text(_)
            | Piece::Fd
            | Piece::FdNamed(_)
            | Piece::Pipe
            | Piece::Port
            | Piece::Worker
            | Piece::Generation => {}
        }
    }
    Ok(())
}

/// The placeholders of a check that tell one process from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placeholders {
    /// It has `{worker}`.
    pub worker: bool,
    /// It has `{generation}`.
    pub generation: bool,
}

/// Checks that every placeholder of a check's `template` can be replaced, and says which it has.
///
/// # Errors
///
/// The first placeholder that nothing can replace.
pub fn check_of_probe(template: &str, listeners: &[ListenerSpec]) -> Result<Placeholders, PlaceholderError> {
    let mut found = Placeholders::default();
    for piece in pieces(template) {
        match piece {
            Piece::Fd | Piece::FdNamed(_) | Piece::Pipe => return Err(PlaceholderError::NotForChecks),
            Piece::Port if port(listeners).is_none() => return Err(PlaceholderError::NoPort),
            Piece::Worker => found.worker = true,
            Piece::Generation => found.generation = true,
            Piece::Text(_) | Piece::Port => {}
        }
    }
    Ok(found)
}

fn port(listeners: &[ListenerSpec]) -> Option<u16> {
    listeners.iter().map(|l| &l.address).find_map(Address::port)
}

/// Replaces the placeholders of one text. One that nothing can replace ([`check`] would have refused it) stays.
pub fn expand(template: &str, granted: &Granted<'_>) -> String {
    let mut text = String::with_capacity(template.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(plain) => text.push_str(plain),
            Piece::Fd => push(&mut text, granted.fds.first().copied(), "{fd}"),
            Piece::FdNamed(name) => {
                let at = granted.listeners.iter().position(|l| l.name.as_deref() == Some(name));
                push(&mut text, at.and_then(|at| granted.fds.get(at).copied()), &format!("{{fd:{name}}}"));
            }
            Piece::Pipe => push(&mut text, granted.pipe, "{pipe}"),
            Piece::Port => push(&mut text, port(granted.listeners), "{port}"),
            Piece::Worker => push(&mut text, Some(granted.worker), "{worker}"),
            Piece::Generation => push(&mut text, Some(granted.generation.0), "{generation}"),
        }
    }
    text
}

fn push(text: &mut String, value: Option<impl fmt::Display>, otherwise: &str) {
    match value {
        Some(value) => text.push_str(&value.to_string()),
        None => text.push_str(otherwise),
    }
}

/// Is there a placeholder for a socket in one of these texts?
pub fn places_a_socket<'t>(templates: impl IntoIterator<Item = &'t String>) -> bool {
    let mut all = templates.into_iter().flat_map(|template| pieces(template));
    all.any(|piece| matches!(piece, Piece::Fd | Piece::FdNamed(_)))
}

/// Is there a placeholder for the pipe in one of these texts?
pub fn places_the_pipe<'t>(templates: impl IntoIterator<Item = &'t String>) -> bool {
    let mut all = templates.into_iter().flat_map(|template| pieces(template));
    all.any(|piece| matches!(piece, Piece::Pipe))
}

/// The sockets that have no placeholder in any of these texts.
pub fn not_placed<'t, 'l>(
    templates: impl IntoIterator<Item = &'t String>,
    listeners: &'l [ListenerSpec],
) -> Vec<&'l ListenerSpec> {
    let mut left: Vec<_> = listeners.iter().collect();
    for piece in templates.into_iter().flat_map(|template| pieces(template)) {
        match piece {
            Piece::Fd => left.retain(|spec| listeners.first() != Some(*spec)),
            Piece::FdNamed(name) => left.retain(|spec| spec.name.as_deref() != Some(name)),
            Piece::Text(_) | Piece::Pipe | Piece::Port | Piece::Worker | Piece::Generation => {}
        }
    }
    left
}

/// Are the descriptors of the listeners appended to its command?
pub fn are_appended(program: &Program) -> bool {
    Dialect::of(program.handshake).appended && !places_a_socket(&program.command)
}

/// The arguments of a generation: placeholders replaced, and for the pipe handshake, where the command has
/// no `{fd}`, the descriptors of the listeners and of the pipe appended, in decimal.
pub fn arguments(definition: &Definition, granted: &Granted<'_>) -> Vec<String> {
    let program = &definition.program;
    let mut argv: Vec<String> = program.command.iter().map(|item| expand(item, granted)).collect();
    if are_appended(program) {
        argv.extend(granted.fds.iter().map(ToString::to_string));
        if !places_the_pipe(&program.command) {
            argv.extend(granted.pipe.map(|fd| fd.to_string()));
        }
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Generation, Identity, Policy, Program, ServiceName};

    fn tcp(port: u16) -> ListenerSpec {
        ListenerSpec::new(Address::Tcp(([127, 0, 0, 1], port).into()))
    }

    fn argv_of(
        command: &[&str],
        listeners: Vec<ListenerSpec>,
        fds: &[i32],
        handshake: Handshake,
    ) -> Vec<String> {
        let definition = Definition {
            name: ServiceName::parse("web").unwrap(),
            listeners: listeners.into(),
            after: [].into(),
            requires: [].into(),
            program: Program {
                command: command.iter().map(ToString::to_string).collect(),
                directory: None,
                env: std::collections::BTreeMap::new(),
                env_file: None,
                handshake,
                identity: Identity::default().into(),
                watchdog: None,
                output: None,
            }
            .into(),
            policy: Policy::default().into(),
        };
        let pipe = (handshake == Handshake::Pipe).then_some(9);
        let granted = Granted {
            service: "web",
            listeners: &definition.listeners,
            fds,
            pipe,
            notify: None,
            ack: None,
            ack_path: None,
            generation: Generation(4),
            worker: 0,
            supervisor: 1,
        };
        arguments(&definition, &granted)
    }

    #[test]
    fn the_pipe_handshake_appends_listener_then_pipe_after_the_commands_own_arguments() {
        assert_eq!(
            argv_of(&["./server", "-v"], vec![tcp(80)], &[5], Handshake::Pipe),
            ["./server", "-v", "5", "9"]
        );
        assert_eq!(argv_of(&["s"], vec![tcp(80), tcp(81)], &[5, 6], Handshake::Pipe), ["s", "5", "6", "9"]);
    }

    #[test]
    fn a_command_that_places_the_descriptor_gets_nothing_appended() {
        assert_eq!(argv_of(&["s", "--fd={fd}"], vec![tcp(80)], &[5], Handshake::Pipe), ["s", "--fd=5"]);
        assert_eq!(argv_of(&["s", "fd://{fd}"], vec![tcp(80)], &[5], Handshake::None), ["s", "fd://5"]);
        assert_eq!(argv_of(&["s", "{pipe}"], vec![tcp(80)], &[5], Handshake::Pipe), ["s", "9", "5"]);
    }

    #[test]
    fn every_placeholder_is_replaced_and_other_braces_are_text() {
        let mut named = tcp(8443);
        named.name = Some("tls".into());
        let argv = argv_of(
            &[
                "{fd}",
                "{fd:tls}",
                "{port}",
                "g{generation}w{worker}",
                r#"{"a":1}"#,
                "{print $1}",
                "{{fd}}",
                "{",
            ],
            vec![tcp(80), named],
            &[5, 6],
            Handshake::None,
        );
        assert_eq!(argv, ["5", "6", "80", "g4w0", r#"{"a":1}"#, "{print $1}", "{fd}", "{"]);
    }

    #[test]
    fn a_placeholder_without_its_thing_is_refused() {
        let listeners = [ListenerSpec::new(Address::Unix("/run/a.sock".into()))];
        for (template, expected) in [
            ("{fd:x}", PlaceholderError::NoSuchListener("x".into())),
            ("a{pipe}", PlaceholderError::NoPipe),
            ("{port}", PlaceholderError::NoPort),
        ] {
            assert_eq!(check(template, &listeners, Handshake::None), Err(expected), "{template}");
        }
        assert_eq!(check("{fd}", &[], Handshake::None), Err(PlaceholderError::NoListener));
        assert_eq!(check("{fd} {generation} {worker} {x}", &listeners, Handshake::None), Ok(()));
    }
}
