//! The words that a server writes to its pipe: 7 bytes each (PIPE handshake, docs/protocols.md).

use serde::{Deserialize, Serialize};

/// A word of the pipe handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// `ready  `: it accepts. Our addition; a server that never writes it is still a good server.
    Ready,
    /// `success`: it accepts no more and finishes what is in flight.
    Success,
    /// `failed `: serving could not begin, or went wrong; it accepts no more either.
    Failed,
}

impl Word {
    /// The seven bytes on the wire.
    pub const fn bytes(self) -> &'static [u8; 7] {
        match self {
            Self::Ready => b"ready  ",
            Self::Success => b"success",
            Self::Failed => b"failed ",
        }
    }
}

/// Puts words together from what arrives, in whatever pieces.
///
/// A word that ends the talk (`success`, `failed `) or bytes that are no word make it deaf: servers may
/// keep the pipe open and log to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WordReader {
    held: [u8; 7],
    len: u8,
    deaf: bool,
}

impl WordReader {
    /// Takes what arrived and gives the words that it completes, in order.
    ///
    /// At most two words follow each other (`ready  `, then a verdict); repetitions of `ready  ` are given each.
    /// `Err` holds seven bytes that are no word; nothing comes after it.
    pub fn push(&mut self, input: &[u8]) -> Vec<Result<Word, [u8; 7]>> {
        let mut said = Vec::new();
        for &byte in input {
            if self.deaf {
                break;
            }
            self.held[usize::from(self.len)] = byte;
            self.len += 1;
            if self.len == 7 {
                self.len = 0;
                let word = Self::word(self.held);
                self.deaf = word != Ok(Word::Ready);
                said.push(word);
            }
        }
        said
    }

    fn word(bytes: [u8; 7]) -> Result<Word, [u8; 7]> {
        [Word::Ready, Word::Success, Word::Failed]
            .into_iter()
            .find(|word| *word.bytes() == bytes)
            .ok_or(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_of_the_answer_reads_the_same() {
        for word in [Word::Ready, Word::Success, Word::Failed] {
            for cut in 0..=7 {
                let mut reader = WordReader::default();
                let (head, tail) = word.bytes().split_at(cut);
                let mut said = reader.push(head);
                said.extend(reader.push(tail));
                assert_eq!(said, [Ok(word)], "cut after {cut} bytes");
            }
        }
    }

    #[test]
    fn seven_pieces_are_one_word() {
        let mut reader = WordReader::default();
        let said: Vec<_> = b"success".iter().flat_map(|byte| reader.push(&[*byte])).collect();
        assert_eq!(said, [Ok(Word::Success)]);
    }

    #[test]
    fn what_follows_the_verdict_is_ignored() {
        let mut reader = WordReader::default();
        assert_eq!(reader.push(b"ready  success and a log line"), [Ok(Word::Ready), Ok(Word::Success)]);
        assert_eq!(reader.push(b"success"), []);
    }

    #[test]
    fn seven_wrong_bytes_are_given_back_and_end_the_talk() {
        let mut reader = WordReader::default();
        assert_eq!(reader.push(b"success"[..6].as_ref()), []);
        assert_eq!(reader.push(b"!success"), [Err(*b"succes!")]);
        assert_eq!(reader.push(b"success"), []);
    }
}
