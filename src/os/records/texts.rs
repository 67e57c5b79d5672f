//! Text that was written before: who starts again is written down with what stood there the last time, where that is still so.

use super::super::listener::HeldSocket;
use super::super::lookup::Inode;
use super::super::record::{Record, WrittenCommons};
use crate::limits::TEXTS_KEPT;
use crate::plan::Definition;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

/// The text of what lasts of a record, and what it is about.
struct Text {
    /// It keeps its address from others, and nothing else.
    definition: Weak<Definition>,
    sockets: Vec<HeldSocket>,
    program: PathBuf,
    inode: Option<Inode>,
    json: Vec<u8>,
}

impl Text {
    fn is_of(&self, record: &Record<'_>, definition: &Arc<Definition>) -> bool {
        std::ptr::eq(self.definition.as_ptr(), Arc::as_ptr(definition))
            && self.inode == record.inode
            && self.sockets == record.sockets
            && self.program == record.program
    }
}

/// By so many bytes a text may be longer than the last one before its room is not enough.
const ROOM_MORE: usize = 64;

/// Some texts, the latest last.
#[derive(Default)]
pub(super) struct Texts {
    latest: VecDeque<Text>,
    commons: WrittenCommons,
}

impl Texts {
    /// That of a record of this definition.
    pub(super) fn of(&mut self, record: &Record<'_>, definition: &Arc<Definition>) -> Option<&[u8]> {
        let known = self.latest.iter().position(|text| text.is_of(record, definition));
        let at = if let Some(at) = known {
            at
        } else {
            // Those of services that have much in common are about as long.
            let room = self.latest.back().map_or(0, |text| text.json.len() + ROOM_MORE);
            let json = record.lasting(&mut self.commons, room)?;
            if self.latest.len() >= TEXTS_KEPT {
                self.latest.pop_front();
            }
            let (definition, sockets) = (Arc::downgrade(definition), record.sockets.clone());
            let (program, inode) = (record.program.clone(), record.inode);
            self.latest.push_back(Text { definition, sockets, program, inode, json });
            self.latest.len() - 1
        };
        self.latest.get(at).map(|text| &*text.json)
    }
}
