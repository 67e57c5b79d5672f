//! Arguments and variables as `execve` takes them, made before the fork: nothing is allocated after it.

use nix::errno::Errno;
use std::ffi::{CStr, CString, c_char};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU8, Ordering};

/// Strings as `execve` takes them: pointers, the last of them null.
pub(super) struct Strings<'a> {
    pub(super) pointers: Vec<*const c_char>,
    _borrowed: PhantomData<&'a CStr>,
    _owned: Vec<CString>,
    pub(super) own_pid: Vec<OwnPid>,
}

/// `NAME=` and room for a pid that only the child will know; it ends with NUL before and after that is written.
pub(super) struct OwnPid {
    text: Box<[AtomicU8]>,
    value_at: usize,
}

impl OwnPid {
    /// The decimal places that a pid may have.
    const PLACES: [u32; 10] =
        [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1000, 100, 10, 1];

    fn new(name: &str) -> Self {
        let room = [0; Self::PLACES.len() + 1];
        let bytes = name.bytes().chain([b'=']).chain(room);
        Self { text: bytes.map(AtomicU8::new).collect(), value_at: name.len() + 1 }
    }

    /// Writes the pid. Neither allocates nor panics.
    pub(super) fn write(&self, pid: u32) {
        let mut room = self.text.iter().skip(self.value_at);
        for place in Self::PLACES {
            if pid < place && place != 1 {
                continue;
            }
            let digit = u8::try_from(pid / place % 10).unwrap_or(0);
            if let Some(slot) = room.next() {
                slot.store(b'0' + digit, Ordering::Relaxed);
            }
        }
    }
}

impl<'a> Strings<'a> {
    /// Fails where a string holds a NUL.
    pub(super) fn new(strings: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, Errno> {
        Self::with([], strings, &[])
    }

    /// Those that are `borrowed` first, then the others, then variables that will hold the child's own pid.
    pub(super) fn with(
        borrowed: impl IntoIterator<Item = &'a CStr>,
        strings: impl IntoIterator<Item = Vec<u8>>,
        names: &[String],
    ) -> Result<Self, Errno> {
        let owned: Vec<CString> =
            strings.into_iter().map(CString::new).collect::<Result<_, _>>().map_err(|_| Errno::EINVAL)?;
        let own_pid: Vec<OwnPid> = names.iter().map(|name| OwnPid::new(name)).collect();
        let borrowed = borrowed.into_iter();
        // All of them at most, and null.
        let most = borrowed.size_hint().1.unwrap_or(0) + owned.len() + own_pid.len() + 1;
        let mut pointers: Vec<*const c_char> = Vec::with_capacity(most);
        pointers.extend(borrowed.map(CStr::as_ptr));
        pointers.extend(owned.iter().map(|string| string.as_ptr()));
        pointers.extend(own_pid.iter().map(|variable| variable.text.as_ptr().cast::<c_char>()));
        pointers.push(std::ptr::null());
        Ok(Self { pointers, _borrowed: PhantomData, _owned: owned, own_pid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_childs_own_pid_is_written_with_all_its_digits_and_no_more() {
        for pid in [1, 9, 10, 305, 4_194_304, 1_000_000_000, u32::MAX] {
            let variable = OwnPid::new("LISTEN_PID");
            variable.write(pid);
            let bytes: Vec<u8> = variable.text.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
            let text = CStr::from_bytes_until_nul(&bytes).unwrap();
            assert_eq!(text.to_str(), Ok(&*format!("LISTEN_PID={pid}")));
        }
    }
}
