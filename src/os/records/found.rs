//! Reading what another supervisor has written down.

use super::super::record::{Head, Record, RunMark, VERSION};
use super::{NAME, Place, Records};
use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _};

/// A record that was found.
pub(in super::super) struct Found {
    pub(in super::super) place: Place,
    pub(in super::super) mark: RunMark,
    pub(in super::super) record: Record<'static>,
}

/// It says nothing that can be read.
struct Unreadable;

impl Records {
    /// What others wrote in this boot of the machine, and what of it cannot be read. The rest is about nobody.
    pub(in super::super) fn found(&mut self) -> (Vec<Found>, Vec<String>) {
        let (mut found, mut unreadable) = (BTreeMap::new(), Vec::new());
        let (mut head, mut text) = (None, Vec::new());
        // Where it cannot be read nobody is found.
        let mut file = &*self.file;
        let _ = file.rewind().and_then(|()| file.read_to_end(&mut text));
        self.end = 0;
        for (number, line) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
            // Torn: what is written at the end is about nobody until it is whole.
            if !line.ends_with(b"\n") {
                break;
            }
            let at = self.end;
            self.end += line.len() as u64;
            if !line.starts_with(b"{") {
                head = Head::read(line).map(|head| (at, head));
                continue;
            }
            match head.take().map(|(at, head)| self.read_second(at, head, line)) {
                Some(Ok(None)) => {}
                Some(Ok(Some(one))) => {
                    let of = (one.record.definition.name.clone(), one.record.generation);
                    // Of two about one run the later counts, also once that has ended.
                    if let Some(earlier) = found.insert(of, one) {
                        self.forget(earlier.place);
                    }
                }
                Some(Err(Unreadable)) | None => unreadable.push(format!("line {number} of {NAME}")),
            }
        }
        if let Some((at, _)) = head {
            self.end = at;
        }
        self.cut();
        (found.into_values().collect(), unreadable)
    }

    /// The second line of what stands at `at`; none where it is about nobody of this boot of the machine.
    fn read_second(&self, at: u64, head: Head, line: &[u8]) -> Result<Option<Found>, Unreadable> {
        let Head { mark, signature } = head;
        if mark == RunMark::Ended || signature.is_nobodys() {
            return Ok(None);
        }
        let record = Record::read(line, signature).ok_or(Unreadable)?;
        let len = usize::try_from(self.end - at).map_err(|_| Unreadable)?;
        let place = Place::new(at, len).ok_or(Unreadable)?;
        let is_ours = record.version == VERSION && record.boot == self.boot;
        Ok(is_ours.then_some(Found { place, mark, record }))
    }
}
