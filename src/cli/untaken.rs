//! Servers that seem not to take the socket that is held for them. They may be right all the same, so `check` says so.

use crate::plan::{Definition, Handshake};
use crate::protocol;

/// A note for a server that seems to bind its port by itself, to which nothing says which descriptor a socket is, or that has
/// no pipe to answer on.
pub(super) fn note(service: &Definition) -> Option<String> {
    let program = &service.program;
    // The others are told by variables, or as their stdin.
    if service.listeners.is_empty() || !matches!(program.handshake, Handshake::Pipe | Handshake::None) {
        return None;
    }
    let texts = || program.command.iter().chain(program.env.values());
    if !protocol::places_a_socket(texts()) {
        return names_its_port(service).or_else(|| {
            let note =
                "nothing tells the server which descriptor its socket is: `{fd}` in `command` or `env` does";
            (program.handshake == Handshake::None).then(|| note.into())
        });
    }
    if protocol::are_appended(program) {
        return None;
    }
    let left = protocol::not_placed(texts(), &service.listeners);
    let left = left.first().map(|spec| {
        format!(
            "nothing tells the server which descriptor {} is: a `name` for it in `listen`, and `{{fd:NAME}}` in `command` or \
             `env`, do",
            spec.address
        )
    });
    let has_no_pipe = program.handshake == Handshake::Pipe && !protocol::places_the_pipe(texts());
    left.or_else(|| {
        let note = "`command` has `{fd}` and no `{pipe}`, so the server cannot say that it accepts no more: write \
                    `handshake = \"none\"` for one that knows no pipe";
        has_no_pipe.then(|| note.into())
    })
}

/// A note for a server whose command names the port that is held for it.
fn names_its_port(service: &Definition) -> Option<String> {
    let mut ports = service.listeners.iter().filter_map(|listener| listener.address.port());
    let named = ports.find(|port| service.program.command.iter().skip(1).any(|word| names(word, *port)));
    named.map(|port| {
        format!(
            "`command` names port {port}, at which bootstrap listens: a server that binds it by itself finds it in use; it is \
             given the socket, or has no `port` and no `listen`"
        )
    })
}

/// Is this the port, or does it end with it, as `:80` or `=80`?
fn names(word: &str, port: u16) -> bool {
    let before = word.strip_suffix(&port.to_string());
    before.is_some_and(|before| before.is_empty() || before.ends_with([':', '=']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note_of(keys: &str) -> Option<String> {
        let text = format!("[[service]]\nname = 'a'\n{keys}");
        note(&crate::config::parse("a.toml", &text).unwrap().services[0])
    }

    #[test]
    fn who_names_the_port_of_his_service_may_want_to_bind_it() {
        for command in ["-m http.server 8123", "--port=8123", "-b 0.0.0.0:8123"] {
            let keys = format!("listen = 'tcp://127.0.0.1:8123'\ncommand = '/bin/true {command}'\n");
            assert!(note_of(&keys).unwrap().starts_with("`command` names port 8123, "), "{command}");
        }
        for command in ["--port 81234", "--port 18123", "--name {fd} {pipe} 8123", "8123s"] {
            let keys = format!("listen = 'tcp://127.0.0.1:8123'\ncommand = '/bin/true {command}'\n");
            assert_eq!(note_of(&keys), None, "{command}");
        }
        assert_eq!(note_of("command = '/bin/true 8123'"), None, "it has no socket");
    }

    #[test]
    fn who_is_not_told_his_descriptor_cannot_take_it() {
        let keys = "listen = 'tcp://127.0.0.1:8123'\nhandshake = 'none'\ncommand = ";
        assert!(note_of(&format!("{keys}'/bin/true'")).unwrap().starts_with("nothing tells the server"));
        assert_eq!(note_of(&format!("{keys}'/bin/true {{fd}}'")), None);
        assert!(note_of(&format!("{keys}'/bin/true {{{{fd}}}}'")).is_some(), "that is text");
        assert_eq!(note_of(&format!("{keys}'/bin/true'\nenv = {{ FD = '{{fd}}' }}")), None);
        assert_eq!(
            note_of(&keys.replace("none", "systemd").replace("command = ", "command = '/bin/true'")),
            None
        );
    }
    #[test]
    fn each_socket_and_the_pipe_are_told() {
        let keys = "listen = ['tcp://127.0.0.1:8123', { name = 'b', address = 'unix:/run/b' }]\ncommand = '/bin/true ";
        let first = note_of(&format!("{keys}{{fd:b}}'\nhandshake = 'none'")).unwrap();
        assert!(
            first.starts_with("nothing tells the server which descriptor tcp://127.0.0.1:8123 is: "),
            "{first}"
        );
        let second = note_of(&format!("{keys}{{fd}} {{pipe}}'")).unwrap();
        assert!(second.starts_with("nothing tells the server which descriptor unix:/run/b is: "), "{second}");
        assert_eq!(note_of(&format!("{keys}{{fd}} {{fd:b}}'\nhandshake = 'none'")), None);
        let deaf = note_of(&format!("{keys}{{fd}} {{fd:b}}'")).unwrap();
        assert!(deaf.starts_with("`command` has `{fd}` and no `{pipe}`, "), "{deaf}");
        assert_eq!(note_of(&format!("{keys}{{fd}} {{fd:b}}'\nenv = {{ PIPE = '{{pipe}}' }}")), None);
        assert_eq!(note_of(&format!("{keys}'")), None, "all are appended");
    }
}
