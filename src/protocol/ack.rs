//! The one message of einhorn's command socket that a worker must send: that it is ready.

use crate::limits::ACK_LINE_BYTES;
use serde::{Deserialize, Serialize};

/// Puts lines together from what arrives, in whatever pieces, and finds the message in them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AckReader {
    line: Vec<u8>,
    /// The line is longer than [`ACK_LINE_BYTES`]: what is left of it is passed over.
    too_long: bool,
}

#[derive(Deserialize)]
struct Message {
    command: String,
    pid: i64,
}

impl AckReader {
    /// Takes what arrived; gives how many messages it completes. All other lines are ignored.
    pub fn push(&mut self, input: &[u8]) -> usize {
        let mut found = 0;
        for &byte in input {
            if byte == b'\n' {
                found += usize::from(!self.too_long && is_ack(&self.line));
                self.line.clear();
                self.too_long = false;
            } else if self.line.len() == ACK_LINE_BYTES {
                self.too_long = true;
            } else {
                self.line.push(byte);
            }
        }
        found
    }
}

/// `{"command":"worker:ack","pid":N}`, or what einhorn's own library makes of it: YAML, its newlines escaped.
/// Of YAML nothing but that text is understood.
fn is_ack(line: &[u8]) -> bool {
    const ACK: &str = "worker:ack";
    let Ok(text) = std::str::from_utf8(line) else { return false };
    if let Ok(message) = serde_json::from_str::<Message>(text) {
        return message.command == ACK && message.pid > 0;
    }
    let lines: Vec<&str> = text.trim_end().split("%0A").collect();
    let pid = |line: &str| line.strip_prefix("pid: ").is_some_and(|pid| pid.parse::<u32>().is_ok());
    matches!(lines[..], ["---", "command: worker:ack", last] | ["---", "command: worker:ack", last, ""] if pid(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(text: &[u8]) -> usize {
        AckReader::default().push(text)
    }

    #[test]
    fn the_message_is_found_in_json_and_as_einhorns_own_library_writes_it() {
        for (text, expected) in [
            (r#"{"command":"worker:ack","pid":12}"#, 1),
            (r#"{ "pid": 12, "command": "worker:ack", "more": [1] }"#, 1),
            ("---%0Acommand: worker:ack%0Apid: 12%0A", 1),
            ("--- %0Acommand: worker:ack%0Apid: 12%0A", 0),
            (r#"{"command":"worker:ack","pid":-1}"#, 0),
            (r#"{"command":"worker:ack"}"#, 0),
            (r#"{"command":"state","pid":12}"#, 0),
            ("---%0Acommand: state%0Apid: 12%0A", 0),
            ("", 0),
        ] {
            assert_eq!(count(format!("{text}\n").as_bytes()), expected, "{text}");
            assert_eq!(count(text.as_bytes()), 0, "no line yet: {text}");
        }
        assert_eq!(
            count(b"{\"command\":\"worker:ack\",\"pid\":1}\nx\n{\"command\":\"worker:ack\",\"pid\":1}\n"),
            2
        );
    }

    #[test]
    fn a_line_at_the_limit_is_read_and_a_longer_one_is_passed_over() {
        for (blanks, expected) in [(0, 2), (1, 1)] {
            let mut text = br#"{"command":"worker:ack","pid":12}"#.to_vec();
            text.resize(ACK_LINE_BYTES + blanks, b' ');
            text.extend_from_slice(b"\n{\"command\":\"worker:ack\",\"pid\":12}\n");
            assert_eq!(count(&text), expected, "{blanks} too long");
        }
    }

    proptest! {
        #[test]
        fn every_split_reads_the_same_and_nothing_is_too_strange(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            cut in 0..300_usize,
        ) {
            let mut text = bytes;
            text.extend_from_slice(b"\n{\"command\":\"worker:ack\",\"pid\":12}\n");
            let (head, tail) = text.split_at(cut.min(text.len()));
            let mut reader = AckReader::default();
            prop_assert_eq!(reader.push(head) + reader.push(tail), 1);
        }
    }
}
