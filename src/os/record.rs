//! What is written down of one run: two lines.
//!
//! The first is short, and written over in place: how far the run has come, its pid, and when it was born at the latest. The
//! second is JSON, and says all that a later supervisor needs to take the run over.

use super::birth::{Signature, start_ticks};
use super::listener::HeldSocket;
use super::lookup::Inode;
use super::output::PipeMark;
use super::remains::Whose;
use super::voice::Mark;
use crate::core::Time;
use crate::plan::{Common, Definition, Generation, ListenerSpec, Policy, Program, Ready, ServiceName};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Weak;

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u32 = 1;

/// Where the child signs: after the mark.
pub(super) const SIGNED_AT: u64 = 2;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunMark {
    /// It was started, or is about to be.
    Started,
    /// It has said that it is ready. Its definition says whether that is waited for.
    Ready,
    /// It serves. It may be a wrapper still where its start alone was waited for, and another program than it was started
    /// from in any case.
    Serving,
    /// It serves, and then ran the very binary that it was started from, and no other that this has become.
    ServingItself,
    /// It was asked to leave.
    Leaving,
    /// It has said that it accepts no more.
    Quiet,
    /// It has ended, or was not born.
    Ended,
}

impl RunMark {
    const ALL: [Self; 7] = [
        Self::Started,
        Self::Ready,
        Self::Serving,
        Self::ServingItself,
        Self::Leaving,
        Self::Quiet,
        Self::Ended,
    ];

    /// One that has just been started.
    pub(super) fn at_first(definition: &Definition) -> Self {
        if definition.is_up_by_its_start() { Self::Serving } else { Self::Started }
    }

    /// As it stands in a file: one byte, which is written as a whole.
    pub(super) fn letter(self) -> u8 {
        match self {
            Self::Started => b'n',
            Self::Ready => b'r',
            Self::Serving => b's',
            Self::ServingItself => b'i',
            Self::Leaving => b'l',
            Self::Quiet => b'q',
            Self::Ended => b'e',
        }
    }

    pub(super) fn of(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mark| mark.letter() == letter)
    }

    /// Does it serve, or did it when it was asked?
    pub(super) fn serves(self, definition: &Definition) -> bool {
        let is_waited_for = || matches!(definition.policy.ready, Ready::Word | Ready::Assumed);
        matches!(self, Self::Serving | Self::ServingItself) || self == Self::Ready && is_waited_for()
    }
}

/// The first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) mark: RunMark,
    /// Nobody's pid is 0: nobody has signed it.
    pub(super) signature: Signature,
}

impl Head {
    /// None where it is not whole.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let (letter, rest) = line.split_first()?;
        Some(Self { mark: RunMark::of(*letter)?, signature: Signature::of(rest)? })
    }

    pub(super) fn put(self, text: &mut Vec<u8>) {
        text.extend([self.mark.letter(), b' ']);
        text.extend(self.signature.text());
    }
}

/// The second line, and which process it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record<'a> {
    pub(super) version: u32,
    /// Which boot of the machine: pids and times mean nothing in another.
    pub(super) boot: Cow<'a, str>,
    pub(super) generation: Generation,
    pub(super) worker: u32,
    /// Its main process.
    #[serde(skip)]
    pub(super) pid: i32,
    /// The number of its process group, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<i32>,
    /// When the kernel started it, in ticks: with the pid, and within one boot, that is one process and no other. As it is
    /// written down, and of one that has ended, the earliest that it can have been.
    pub(super) ticks: u64,
    /// When its start was ordered.
    pub(super) started: Time,
    pub(super) voice: Option<Mark>,
    #[serde(skip_serializing)]
    pub(super) definition: Cow<'a, Definition>,
    #[serde(skip_serializing)]
    pub(super) sockets: Vec<HeldSocket>,
    /// The path that its program was found under.
    #[serde(skip_serializing)]
    pub(super) program: PathBuf,
    /// Device and inode of it, where it is a binary.
    #[serde(skip_serializing)]
    pub(super) inode: Option<Inode>,
    /// The pipes that it writes to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) output: Vec<PipeMark>,
    /// Its cgroup, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cgroup: Option<PathBuf>,
}

/// What of a record is mostly the same in that of the next run. It is the most of it, and comes last in the text.
#[derive(Serialize)]
struct Lasting<'a> {
    definition: DefinitionText<'a>,
    sockets: &'a [HeldSocket],
    program: &'a Path,
    inode: Option<Inode>,
}

/// A definition, with the text of what it has in common with others.
#[derive(Serialize)]
struct DefinitionText<'a> {
    name: &'a ServiceName,
    listeners: &'a [ListenerSpec],
    after: &'a [ServiceName],
    requires: &'a [ServiceName],
    program: &'a RawValue,
    policy: &'a RawValue,
}

impl<'a> DefinitionText<'a> {
    fn of(definition: &'a Definition, written: &'a mut WrittenCommons) -> Option<Self> {
        let Definition { name, listeners, after, requires, program, policy } = definition;
        let (program, policy) = (written.program.of(program)?, written.policy.of(policy)?);
        Some(Self { name, listeners, after, requires, program, policy })
    }
}

/// What many services have in common becomes text once for those that are written down one after the other: it is most of
/// a definition.
#[derive(Default)]
pub(super) struct WrittenCommons {
    program: Written<Program>,
    policy: Written<Policy>,
}

/// The value that was written last, and its text.
struct Written<T>(Option<(Weak<T>, Box<RawValue>)>);

impl<T> Default for Written<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Serialize> Written<T> {
    fn of(&mut self, value: &Common<T>) -> Option<&RawValue> {
        if !self.0.as_ref().is_some_and(|(mark, _)| value.has_mark(mark)) {
            self.0 = Some((value.mark(), to_raw_value(value).ok()?));
        }
        self.0.as_ref().map(|(_, text)| &**text)
    }
}

impl Record<'_> {
    /// What lasts of it, as text, for which so many bytes are enough at first.
    pub(super) fn lasting(&self, written: &mut WrittenCommons, room: usize) -> Option<Vec<u8>> {
        let Self { definition, sockets, program, inode, .. } = self;
        let definition = DefinitionText::of(definition, written)?;
        let mut text = Vec::with_capacity(room);
        serde_json::to_writer(&mut text, &Lasting { definition, sockets, program, inode: *inode }).ok()?;
        Some(text)
    }

    /// Writes both lines to `text`, of which one part was written before. One that is not born yet is to be signed.
    pub(super) fn write(&self, mark: RunMark, lasting: &[u8], text: &mut Vec<u8>) -> Option<()> {
        let ticks = if self.pid == 0 { 0 } else { self.ticks };
        Head { mark, signature: Signature { pid: self.pid, ticks } }.put(text);
        serde_json::to_writer(&mut *text, self).ok()?;
        // Two objects become one.
        text.pop_if(|last| *last == b'}')?;
        text.push(b',');
        text.extend(lasting.strip_prefix(b"{")?);
        text.push(b'\n');
        Some(())
    }

    /// The second line, of the process that has signed the first.
    pub(super) fn read(line: &[u8], Signature { pid, ticks }: Signature) -> Option<Record<'static>> {
        let mut record: Record<'static> = serde_json::from_slice(line).ok()?;
        record.pid = pid;
        record.ticks = Signature { pid, ticks }.start(record.ticks).unwrap_or(record.ticks);
        Some(record)
    }

    /// Is its main process there?
    pub(super) fn lives(&self) -> bool {
        start_ticks(self.pid) == Some(self.ticks)
    }

    /// What is known of it, for whoever looks for what is left of it.
    pub(super) fn whose(&self) -> Whose<'_> {
        Whose {
            leader: self.group.unwrap_or(self.pid),
            since: self.ticks,
            service: self.definition.name.as_str(),
            generation: self.generation,
            sockets: self.sockets.iter().map(|socket| socket.inode).collect(),
            voice: self.voice.as_ref(),
            output: &self.output,
            cgroup: self.cgroup.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(definition: &Definition, written: &mut WrittenCommons) -> serde_json::Value {
        let text = serde_json::to_string(&DefinitionText::of(definition, written).unwrap()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_definition_is_written_as_it_is_whatever_was_written_before() {
        let first = Definition::least("first");
        let mut alike = Definition { name: ServiceName::parse("alike").unwrap(), ..first.clone() };
        let mut commons = WrittenCommons::default();
        for definition in [&first, &alike, &first] {
            assert_eq!(written(definition, &mut commons), serde_json::to_value(definition).unwrap());
        }
        drop(first);
        // Nobody else has it now: it is changed where it is, or has moved.
        alike.policy.workers = 7;
        alike.program.command = vec!["other".into()];
        let value = written(&alike, &mut commons);
        assert_eq!(value, serde_json::to_value(&alike).unwrap());
        assert_eq!(
            (&value["policy"]["workers"], &value["program"]["command"][0]),
            (&7.into(), &"other".into())
        );
    }

    #[test]
    fn the_first_line_is_read_as_it_was_written_and_what_is_none_is_not() {
        for mark in RunMark::ALL {
            let head = Head { mark, signature: Signature { pid: 7, ticks: 1 << 40 } };
            let mut line = Vec::new();
            head.put(&mut line);
            assert_eq!(Head::read(&line), Some(head));
            assert_eq!(&line[usize::try_from(SIGNED_AT).unwrap()..], head.signature.text());
            assert_eq!(Head::read(&line[..line.len() - 1]), None);
        }
        for line in ["", "\n", "n\n", "x 1 2\n", "n 1\n", "n 1 2 3\n", "n one 2\n"] {
            assert_eq!(Head::read(line.as_bytes()), None, "{line:?}");
        }
    }
}
