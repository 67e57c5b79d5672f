//! Who runs a script: the program that its first line names. It is known again while the script runs, so that it can be
//! kept like the script itself.
//!
//! The kernel finds the interpreter by its path at each start. A script that comes back after an update of the machine
//! would run under another one, or under none.

use super::lookup::{self, Inode};
use nix::sys::stat::stat;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// How much of a file the kernel looks at for its first line.
pub(super) const HEAD_BYTES: usize = 256;

/// The interpreter of a script, as it was when that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interpreter {
    /// Which file it is.
    pub(super) inode: Inode,
    /// What comes before the script in its arguments, its own name first.
    pub(super) words: Vec<Vec<u8>>,
}

impl Interpreter {
    /// That of a script which begins like this. One that `env` looks for is looked for in `search`, as it would.
    pub(super) fn of(head: &[u8], search: Option<&OsStr>, directory: Option<&Path>) -> Option<Self> {
        let (path, words) = if let Some(name) = looked_for_by_env(head) {
            (lookup::find(name, search, directory).ok()?, vec![name.into()])
        } else {
            let words = words(head)?;
            (Path::new(OsStr::from_bytes(words.first()?)).into(), own(&words))
        };
        let inode = Inode::of(&stat(&lookup::seen_from(directory, &path)).ok()?);
        Some(Self { inode, words })
    }
}

/// The program that `env` looks for, where a script that begins like this is run by it.
pub(super) fn looked_for_by_env(head: &[u8]) -> Option<&str> {
    match words(head)?[..] {
        [env, name] if env.ends_with(b"/env") && is_plain(name) => str::from_utf8(name).ok(),
        _ => None,
    }
}

fn own(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// The program of the first line, and all that follows it as one argument, as the kernel takes them apart.
fn words(head: &[u8]) -> Option<Vec<&[u8]>> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = head.strip_prefix(b"#!")?;
    // One that is longer than what the kernel looks at is cut by it, and not worth keeping.
    let line = line.get(..line.iter().position(|byte| *byte == b'\n')?)?;
    let start = line.iter().position(|byte| !is_blank(byte))?;
    let end = line.iter().rposition(|byte| !is_blank(byte))? + 1;
    let line = line.get(start..end)?;
    let Some(cut) = line.iter().position(is_blank) else { return Some(vec![line]) };
    let (program, rest) = line.split_at(cut);
    let argument = rest.iter().position(|byte| !is_blank(byte)).and_then(|at| rest.get(at..))?;
    Some(vec![program, argument])
}

/// Is it a name for `env`, and neither an option nor a variable?
fn is_plain(name: &[u8]) -> bool {
    !name.starts_with(b"-") && !name.iter().any(|byte| matches!(byte, b'=' | b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_is_taken_apart_as_the_kernel_does() {
        let rows: [(&str, Option<Vec<&str>>); 9] = [
            ("#!/bin/sh\n", Some(vec!["/bin/sh"])),
            ("#! \t/bin/sh  \nrest", Some(vec!["/bin/sh"])),
            ("#!/usr/bin/env python3\n", Some(vec!["/usr/bin/env", "python3"])),
            ("#!/usr/bin/env -S python3 -u\n", Some(vec!["/usr/bin/env", "-S python3 -u"])),
            ("#!/usr/bin/perl\t -w -T \n", Some(vec!["/usr/bin/perl", "-w -T"])),
            ("#!\n/bin/sh", None),
            ("#!   \n", None),
            ("#!/bin/sh", None),
            ("\x7fELF", None),
        ];
        for (head, expected) in rows {
            let expected = expected.map(|words| words.into_iter().map(str::as_bytes).collect());
            assert_eq!(words(head.as_bytes()), expected, "{head:?}");
        }
    }

    #[test]
    fn what_env_looks_for_is_looked_for_and_its_options_are_not() {
        let of = |head: &str| Interpreter::of(head.as_bytes(), Some(OsStr::new("/nowhere:/bin")), None);
        let sh = of("#!/bin/sh\n").unwrap();
        assert_eq!(sh.words, [b"/bin/sh"]);
        let found = of("#!/usr/bin/env sh\n").unwrap();
        assert_eq!((found.inode, found.words), (sh.inode, vec![b"sh".to_vec()]));
        let env = Inode::of(&stat("/usr/bin/env").unwrap());
        let options = of("#!/usr/bin/env -S sh -e\n").unwrap();
        assert_eq!((options.inode, options.words.len()), (env, 2));
        assert_eq!(of("#!/usr/bin/env no-such-program\n"), None);
        assert_eq!(of("#!/no/such/interpreter\n"), None);
    }
}
