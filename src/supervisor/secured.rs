//! Space for the files that say how the container ended, taken before it runs.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::reason;
use crate::sys::file::write_new;
use crate::sys::reserve::Reserved;

/// Bytes of an exit status in decimal, at most.
const STATUS_MAX: u32 = 4;
/// Bytes of an exit record that there is room for in any case: a page. It is some hundred bytes long; more
/// is written if the disk has more room.
const RECORD_ROOM: u32 = 4096;

/// The space, by the paths of the files.
#[derive(Debug, Default)]
pub(super) struct Secured(Vec<(PathBuf, Reserved)>);

impl Secured {
    /// Takes space for a file with an exit status. Without it the container runs all the same; that is a
    /// diagnostic.
    pub fn status(&mut self, path: PathBuf) {
        self.take(path, STATUS_MAX, 0o644);
    }

    /// The same for the exit record.
    pub fn record(&mut self, path: PathBuf) {
        self.take(path, RECORD_ROOM, 0o600);
    }

    fn take(&mut self, path: PathBuf, size: u32, mode: u32) {
        match Reserved::for_file(&path, size, mode) {
            Ok(Some(reserved)) => self.0.push((path, reserved)),
            Ok(None) => log::debug!("no space is taken for {}: its file system cannot", path.display()),
            // It may be made later.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                log::debug!("no space is taken for {}: {}", path.display(), reason(&error));
            }
            Err(error) => log::warn!("no space is taken for {}: {}", path.display(), reason(&error)),
        }
    }

    /// Writes the file, into its own space as long as that is not used up.
    ///
    /// # Errors
    /// Those of [`write_new`].
    pub fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, sync: bool) -> io::Result<()> {
        if let Some(at) = self.0.iter().position(|(own, _)| own == path) {
            match self.0[at].1.write(path, bytes, sync) {
                Ok(()) => {
                    self.0.swap_remove(at);
                    return Ok(());
                }
                // The directory may be another one by now, or on another file system.
                Err(error) => {
                    log::debug!("the space taken for {} is of no use: {}", path.display(), reason(&error))
                }
            }
        }
        write_new(path, bytes, mode, sync)
    }
}
