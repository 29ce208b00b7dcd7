//! Space for a small file, taken before it is needed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FallocateFlags, fallocate};
use nix::unistd::linkat;

use super::fds;
use super::file::{at_step, directory, sync_directory, with_temp_name};

/// A file without a name, with room for its content: an inode and blocks that nobody else can take.
///
/// It has no name (O_TMPFILE, open(2)), so that watchers of the directory see nothing, and nothing is left
/// of it when this process is killed. What is not covered is the entry in the directory: tmpfs needs no space
/// for it, others do where the directory has to grow. While it is open the file system cannot be remounted
/// read-only, as with any file that is open for writing.
#[derive(Debug)]
pub struct Reserved {
    file: File,
    /// The most that was written so far.
    length: usize,
}

impl Reserved {
    /// Takes room for `size` bytes that are to be written to a file in the directory of `path`; `mode` is
    /// subject to the umask. `None`: the file system has no files without names.
    ///
    /// # Errors
    ///
    /// Those of open(2) and fallocate(2), `StorageFull` and `QuotaExceeded` among them.
    pub fn for_file(path: &Path, size: u32, mode: u32) -> io::Result<Option<Reserved>> {
        let mut options = OpenOptions::new();
        options.write(true).mode(mode).custom_flags(libc::O_TMPFILE);
        let file = match options.open(directory(path)) {
            Ok(file) => file,
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // Without a size, so that the content alone says how long the file is.
        match fallocate(file.as_fd(), FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, i64::from(size)) {
            Ok(()) => Ok(Some(Reserved { file, length: 0 })),
            Err(Errno::EOPNOTSUPP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the file, as [`super::file::write_new`] does: watchers see it appear once, complete.
    ///
    /// # Errors
    ///
    /// The same. It may be tried again, except after a failed rename: what has lost its only name gets none
    /// again (linkat(2), ENOENT).
    pub fn write(&mut self, path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
        let dir = directory(path);
        self.fill(bytes, sync).map_err(|error| at_step("write", path, &error))?;
        let ((), temp) = with_temp_name(dir, |temp| self.link(temp).map_err(io::Error::from))?;
        if let Err(error) = fs::rename(&temp, path) {
            let _ = fs::remove_file(&temp);
            return Err(at_step("rename", &temp, &error));
        }
        if sync { sync_directory(dir) } else { Ok(()) }
    }

    fn fill(&mut self, bytes: &[u8], sync: bool) -> io::Result<()> {
        self.length = self.length.max(bytes.len());
        self.file.write_all_at(bytes, 0)?;
        if self.length > bytes.len() {
            self.file.set_len(bytes.len() as u64)?;
        }
        if sync { self.file.sync_all() } else { Ok(()) }
    }

    fn link(&self, path: &Path) -> nix::Result<()> {
        // Since Linux 6.10 whoever has opened a file may link it by its descriptor alone. Before, that needs
        // CAP_DAC_READ_SEARCH, and without it fails so; by way of /proc it needs nothing, but takes longer.
        match linkat(&self.file, "", AT_FDCWD, path, AtFlags::AT_EMPTY_PATH) {
            Err(Errno::ENOENT) => {
                let own = fds::path(&self.file);
                linkat(AT_FDCWD, own.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn nothing_is_seen_until_the_file_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exit");
        for (bytes, sync) in [(&b"137"[..], false), (b"0", true)] {
            let mut reserved = Reserved::for_file(&path, 4, 0o640).unwrap().expect("files without names");
            assert!(reserved.file.metadata().unwrap().blocks() > 0, "no space is taken");
            assert!(!names(dir.path()).iter().any(|name| name != "exit"));
            reserved.write(&path, bytes, sync).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
            assert_eq!(names(dir.path()), ["exit"]);
        }
    }

    #[test]
    fn more_than_was_reserved_is_written_if_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        let mut reserved = Reserved::for_file(&path, 4, 0o600).unwrap().expect("files without names");
        reserved.write(&path, &[b'x'; 10_000], false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 10_000);
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exit");
        fs::create_dir(&path).unwrap();
        let mut reserved = Reserved::for_file(&path, 4, 0o644).unwrap().expect("files without names");
        let error = reserved.write(&path, b"137", false).unwrap_err();
        assert!(error.to_string().starts_with("rename "), "{error}");
        assert_eq!(names(dir.path()), ["exit"]);
        assert!(reserved.write(&path, b"137", false).is_err());
        assert_eq!(names(dir.path()), ["exit"]);
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = Reserved::for_file(&dir.path().join("no/exit"), 4, 0o644).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
