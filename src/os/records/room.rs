//! Room in the file: what is about runs that have ended does not stay for ever.

use super::{Place, Records, options};
use crate::limits::RECORDS_SLACK_BYTES;
use crate::plan::RunId;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::rc::Rc;

/// The name of the file that is to take the place of the other.
const NEW: &str = "records.new";

/// As much of it is copied at once.
const PIECE_BYTES: usize = 64 * 1024;

impl Records {
    /// Keeps the file from growing, once all that was found is known.
    pub(super) fn tidy(&mut self) {
        let idle = self.end.saturating_sub(self.live);
        if self.live == 0 && idle > 0 {
            self.end = 0;
            self.cut();
        } else if idle > 2 * self.live + RECORDS_SLACK_BYTES && self.end > 2 * self.stuck_at {
            let length = self.end;
            self.stuck_at = if self.move_to_new_file().is_ok() { 0 } else { length };
        }
    }

    /// Makes the file again where somebody has removed it.
    pub(in super::super) fn renew(&mut self) -> io::Result<()> {
        let (own, there) = (self.file.metadata()?, fs::metadata(&self.path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
            return Ok(());
        }
        self.move_to_new_file()
    }

    /// Writes what is about runs that have not ended to a new file, which takes the place of this one; all or nothing.
    pub(super) fn move_to_new_file(&mut self) -> io::Result<()> {
        let path = self.path.with_file_name(NEW);
        let moved = || -> io::Result<(Rc<File>, BTreeMap<RunId, Place>, u64)> {
            let mut file = options().truncate(true).open(&path)?;
            let (mut places, mut end, mut piece) = (self.places.clone(), 0, Vec::new());
            for place in places.values_mut() {
                let begin = piece.len();
                piece.resize(begin + place.len as usize, 0);
                self.file.read_exact_at(piece.get_mut(begin..).unwrap_or_default(), place.at())?;
                let moved = Place::new(end, place.len as usize).ok_or(io::ErrorKind::FileTooLarge)?;
                end += place.len();
                *place = moved;
                if piece.len() >= PIECE_BYTES {
                    file.write_all(&piece)?;
                    piece.clear();
                }
            }
            file.write_all(&piece)?;
            fs::rename(&path, &self.path)?;
            Ok((Rc::new(file), places, end))
        };
        let (file, places, end) = moved().inspect_err(|_| _ = fs::remove_file(&path))?;
        (self.file, self.places, self.end, self.live) = (file, places, end, end);
        Ok(())
    }
}
