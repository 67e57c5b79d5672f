//! What others wrote, for whoever reads our stdout: a terminal takes no orders from it; all else gets the bytes as they are.

use std::io::{self, IsTerminal as _, Stdout, Write};

/// Our stdout, for text that is not ours.
pub(super) struct Screen<W> {
    out: W,
    is_terminal: bool,
}

impl Screen<Stdout> {
    pub(super) fn stdout() -> Self {
        let out = io::stdout();
        Self { is_terminal: out.is_terminal(), out }
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.is_terminal {
            self.out.write_all(&harmless(text))?;
            return Ok(text.len());
        }
        self.out.write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The same with every control character written out, but for those that only move on. The second half of them, from
/// U+0080 on, is two bytes in UTF-8.
fn harmless(text: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, behind @ ..] = rest {
        rest = match (byte, behind) {
            (b'\n' | b'\t', _) => {
                shown.push(*byte);
                behind
            }
            (0xc2, [second @ 0x80..=0x9f, behind @ ..]) => {
                shown.extend(format!("\\u{{{second:x}}}").into_bytes());
                behind
            }
            _ if byte.is_ascii_control() => {
                shown.extend(byte.escape_ascii());
                behind
            }
            _ => {
                shown.push(*byte);
                behind
            }
        };
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &[u8], is_terminal: bool) -> Vec<u8> {
        let mut screen = Screen { out: Vec::new(), is_terminal };
        screen.write_all(text).unwrap();
        screen.out
    }

    #[test]
    fn a_terminal_takes_no_orders_and_a_file_gets_the_bytes() {
        for (text, shown) in [
            (&b"plain\tand \xc3\xa4\n"[..], &b"plain\tand \xc3\xa4\n"[..]),
            (b"\x1b[31mred\x07\r\n", b"\\x1b[31mred\\x07\\r\n"),
            (b"\xc2\x9b2J \xc2\xa0 \xc2", b"\\u{9b}2J \xc2\xa0 \xc2"),
            (b"\0\x7f\xff", b"\\x00\\x7f\xff"),
        ] {
            assert_eq!(printed(text, true), shown, "{}", text.escape_ascii());
            assert_eq!(printed(text, false), text, "{}", text.escape_ascii());
        }
    }
}
