//! Servers that seem not to take the socket that is held for them. They may be right all the same, so `check` says so.

use crate::plan::{Definition, Handshake};
use crate::protocol;

/// A note for a server that seems to bind its port by itself, or to which nothing says which descriptor its socket is.
pub(super) fn note(service: &Definition) -> Option<String> {
    let program = &service.program;
    let told = protocol::places_a_socket(program.command.iter().chain(program.env.values()));
    // The others are told by variables, or as their stdin.
    let by_argument = matches!(program.handshake, Handshake::Pipe | Handshake::None);
    if service.listeners.is_empty() || told || !by_argument {
        return None;
    }
    let mut ports = service.listeners.iter().filter_map(|listener| listener.address.port());
    let named = ports.find(|port| program.command.iter().skip(1).any(|word| names(word, *port)));
    if let Some(port) = named {
        return Some(format!(
            "`command` names port {port}, at which bootstrap listens: a server that binds it by itself finds it in use; it is \
             given the socket, or has no `port` and no `listen`"
        ));
    }
    let note = "nothing tells the server which descriptor its socket is: `{fd}` in `command` or `env` does";
    (program.handshake == Handshake::None).then(|| note.into())
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
        for command in ["--port 81234", "--port 18123", "--name {fd} 8123", "8123s"] {
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
}
