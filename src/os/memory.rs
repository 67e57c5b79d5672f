//! Staying small: what was only needed to read a file, or to start, goes back to the kernel.
//!
//! With ten thousand services the tables of the config file are many times larger than what is kept of them, and a third
//! of the code has run once by the time all of them serve.
#![expect(unsafe_code, reason = "mallopt(3), malloc_trim(3) and madvise(2)")]

use super::proc_file;
use std::ops::Range;

/// Allocations from this size on have pages of their own, in bytes: an answer of some megabytes leaves no hole behind.
/// It is what the C library begins with, before it learns from the first large block to keep larger ones.
pub(super) const LARGE_BYTES: usize = 128 * 1024;

/// Has the C library keep no more than a little of what was freed.
pub(super) fn keep_little() {
    #[cfg(target_env = "gnu")]
    for kind in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: plain integers.
        unsafe { libc::mallopt(kind, libc::c_int::try_from(LARGE_BYTES).unwrap_or(0)) };
    }
}

/// Gives back what is not needed now: pages of the heap on which nothing lies, and the program's own pages, which come
/// back from its file when they are used.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let text = proc_file::read(own, "smaps").unwrap_or_default();
    for Range { start, end } in unwritten(&String::from_utf8_lossy(&text), own_code()) {
        let start = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: the kernel says that this part of the address space shows a file, that nobody may write to it, and that
        // no page of it was ever written to: what is dropped is read from the file again, unchanged.
        unsafe { libc::madvise(start, end - start.addr(), libc::MADV_DONTNEED) };
    }
}

/// An address in the program's own code.
fn own_code() -> usize {
    (give_back as fn() as *const ()).addr()
}

/// The parts of the address space that show the file which `code` is in, to be read only, without a page that differs
/// from it.
fn unwritten(smaps: &str, code: usize) -> Vec<Range<usize>> {
    let mut all: Vec<(Range<usize>, &str, bool)> = Vec::new();
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if let Some((start, end)) = first.split_once('-') {
            let address = |text| usize::from_str_radix(text, 16).unwrap_or(0);
            let file = words.nth(3).unwrap_or_default();
            all.push((address(start)..address(end), file, !second.contains('w')));
        } else if let ("Anonymous:", Some((_, _, unwritten))) = (first, all.last_mut()) {
            *unwritten &= second == "0";
        }
    }
    let ours = all.iter().find(|(range, _, _)| range.contains(&code)).map(|(_, file, _)| *file);
    let is_ours = |file: &str| !file.is_empty() && Some(file) == ours;
    all.into_iter()
        .filter(|(range, file, unwritten)| is_ours(file) && *unwritten && !range.is_empty())
        .map(|(range, _, _)| range)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel prints it; the third part was written to before it was protected.
    const SMAPS: &str = "\
1000-3000 r--p 00000000 fe:00 7 /bin/bootstrap
Size:                  8 kB
Anonymous:             0 kB
3000-9000 r-xp 00002000 fe:00 7 /bin/bootstrap
Anonymous:             0 kB
9000-a000 r--p 00008000 fe:00 7 /bin/bootstrap
Anonymous:             4 kB
a000-b000 rw-p 00009000 fe:00 7 /bin/bootstrap
Anonymous:             0 kB
b000-c000 rw-p 00000000 00:00 0 [heap]
Anonymous:             4 kB
d000-e000 r-xp 00000000 fe:00 8 /lib/libc.so.6
Anonymous:             0 kB
f000-f800 r-xp 00000000 00:00 0
Anonymous:             0 kB
";

    #[test]
    fn only_pages_of_the_programs_own_file_are_given_back_that_nobody_wrote_to() {
        assert_eq!(unwritten(SMAPS, 0x4000), [0x1000..0x3000, 0x3000..0x9000]);
        assert!(unwritten(SMAPS, 0xF100).is_empty(), "code of no file is nobody's to drop");
        assert!(unwritten("", 0x4000).is_empty());
    }

    #[test]
    fn what_was_given_back_is_there_as_before() {
        let text: String = (0..100_000).map(|number: u32| number.to_string()).collect();
        let copy = text.clone();
        give_back();
        assert!(text == copy);
        assert!(std::panic::catch_unwind(|| panic!("tables of the unwinder are read again")).is_err());
    }
}
