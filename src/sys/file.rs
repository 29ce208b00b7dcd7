//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memfd::{FileSeal, MemfdOptions};

use crate::error::reason;

/// How many temporary names are tried before the directory is given up. Names that exist already
/// were left by supervisors that died in [`write_new`] and had this one's pid.
const TEMP_NAMES: u32 = 16;
/// How they begin.
const TEMP_PREFIX: &str = ".conward-";

/// Writes a file that watchers of its directory see appear once, with its complete content.
///
/// The bytes go to a temporary name in the same directory, which is then renamed to `path`,
/// replacing what stood there (a symlink itself, not what it points to). `mode` is subject to the
/// umask. With `sync` the content is on disk before the name is, and the name before the return.
///
/// # Errors
///
/// The text says which step failed. Then nothing is left behind and `path` is as it was, except
/// when only the last step, the sync of the directory, failed: then the file is complete, but may
/// not survive a loss of power.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32, sync: bool) -> io::Result<()> {
    let dir = directory(path);
    let (mut file, temp) = create_temp(dir, mode)?;
    let filled = fill(&mut file, bytes, sync)
        .map_err(|error| at_step("write", &temp, &error))
        .and_then(|()| fs::rename(&temp, path).map_err(|error| at_step("rename", &temp, &error)));
    if let Err(error) = filled {
        // The first error is the one to tell; a second one would have the same cause.
        let _ = fs::remove_file(&temp);
        return Err(error);
    }
    if sync { sync_directory(dir) } else { Ok(()) }
}

/// Brings the names in a directory to the disk.
pub(super) fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(|error| at_step("sync", dir, &error))
}

/// Makes sure that something stands at `path`: an empty file (mode 0644 less the umask) unless
/// there is an entry already, which is left alone, whatever it is.
///
/// # Errors
///
/// Those of open(2).
pub fn touch_new(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o644).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A memfd with these bytes, read from the beginning, which nobody can change any more (memfd_create(2)).
/// `name` is for people who look into /proc.
///
/// # Errors
///
/// Those of memfd_create(2), write(2) and fcntl(2).
pub fn sealed(name: &str, parts: &[impl Deref<Target = [u8]>]) -> io::Result<File> {
    let other = |error: memfd::Error| io::Error::other(error.to_string());
    let memory = MemfdOptions::default().allow_sealing(true).create(name).map_err(other)?;
    let mut file = memory.as_file();
    for part in parts {
        file.write_all(part)?;
    }
    file.rewind()?;
    let seals = [FileSeal::SealShrink, FileSeal::SealGrow, FileSeal::SealWrite, FileSeal::SealSeal];
    memory.add_seals(&seals).map_err(other)?;
    Ok(memory.into_file())
}

/// A new file under a name of its own in `dir`. O_EXCL, so a symlink planted there is not followed.
fn create_temp(dir: &Path, mode: u32) -> io::Result<(File, PathBuf)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode).custom_flags(libc::O_NOFOLLOW);
    with_temp_name(dir, |temp| options.open(temp))
}

/// Makes something under a temporary name in `dir`; `make` fails with `AlreadyExists` where the name is taken.
pub(super) fn with_temp_name<T>(
    dir: &Path,
    make: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(T, PathBuf)> {
    let mut attempt = 0;
    loop {
        let temp = dir.join(format!("{TEMP_PREFIX}{}-{attempt}", std::process::id()));
        match make(&temp) {
            Ok(made) => return Ok((made, temp)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt + 1 < TEMP_NAMES => {
                attempt += 1
            }
            Err(error) => return Err(at_step("create", &temp, &error)),
        }
    }
}

/// Removes a directory, and before that what supervisors that were killed in [`write_new`] left in it.
///
/// # Errors
///
/// Those of rmdir(2), `DirectoryNotEmpty` among them.
pub fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
        other => return other,
    }
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes()) {
            remove(&entry.path());
        }
    }
    fs::remove_dir(dir)
}

fn fill(file: &mut File, bytes: &[u8], sync: bool) -> io::Result<()> {
    file.write_all(bytes)?;
    if sync { file.sync_all() } else { Ok(()) }
}

pub(super) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub(super) fn at_step(step: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{step} {}: {}", path.display(), reason(error)))
}

/// What tells an entry that nobody changes (a socket, a link) from one made later under its name: its
/// inode number, which is often used again at once, and when it was made.
#[derive(Debug, PartialEq, Eq)]
pub struct Mark {
    inode: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Mark {
    /// The mark of what stands at `path` now; a link is not followed.
    ///
    /// # Errors
    ///
    /// Those of lstat(2).
    pub fn of(path: &Path) -> io::Result<Mark> {
        let found = fs::symlink_metadata(path)?;
        Ok(Mark { inode: found.ino(), seconds: found.mtime(), nanoseconds: found.mtime_nsec() })
    }

    /// Whether what it was taken of still stands at `path`. What cannot be looked at is somebody else's, so
    /// that nobody removes it; that is a diagnostic.
    pub fn stands_at(&self, path: &Path) -> bool {
        match Mark::of(path) {
            Ok(found) => found == *self,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    log::warn!(
                        "cannot remove {}, which may be another's: {}",
                        path.display(),
                        reason(&error)
                    );
                }
                false
            }
        }
    }
}

/// Removes a path, which somebody else may have removed already; a failure is a diagnostic.
pub fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            log::warn!("cannot remove {}: {}", path.display(), reason(&error));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_whole_and_leaves_only_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exit");
        for (bytes, sync) in [(&b"137"[..], false), (b"0", true)] {
            write_new(&path, bytes, 0o640, sync).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
            assert_eq!(names(dir.path()), ["exit"]);
        }
    }

    #[test]
    fn a_link_is_replaced_and_its_target_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (path, target) = (dir.path().join("exit"), dir.path().join("target"));
        fs::write(&target, "kept").unwrap();
        symlink(&target, &path).unwrap();
        write_new(&path, b"1", 0o644, false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"kept");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn watchers_see_one_name_appear_complete() {
        use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
        let dir = tempfile::tempdir().unwrap();
        let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).unwrap();
        watch.add_watch(dir.path(), AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO).unwrap();
        write_new(&dir.path().join("cid"), b"3", 0o644, false).unwrap();
        let events = watch.read_events().unwrap();
        let seen: Vec<_> =
            events.iter().filter(|event| event.name.as_deref() == Some("cid".as_ref())).collect();
        assert_eq!(seen.len(), 1);
        assert!(seen[0].mask.contains(AddWatchFlags::IN_MOVED_TO));
    }

    #[test]
    fn temporary_names_of_the_dead_are_stepped_over() {
        let dir = tempfile::tempdir().unwrap();
        let stale = dir.path().join(format!(".conward-{}-0", std::process::id()));
        symlink("/nowhere", &stale).unwrap();
        write_new(&dir.path().join("pid"), b"1", 0o644, false).unwrap();
        assert!(fs::symlink_metadata(&stale).unwrap().is_symlink());
    }

    #[test]
    fn a_directory_goes_with_what_the_dead_left() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("dir");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(".conward-7-0"), "{").unwrap();
        fs::write(dir.join("other"), "").unwrap();
        assert_eq!(remove_dir(&dir).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
        assert_eq!(names(&dir), ["other"]);
        fs::remove_file(dir.join("other")).unwrap();
        fs::write(dir.join(".conward-7-0"), "{").unwrap();
        remove_dir(&dir).unwrap();
        assert!(!dir.exists());
    }

    #[test]
    fn errors_name_the_step_and_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let missing = write_new(&dir.path().join("no/such"), b"1", 0o644, false).unwrap_err();
        assert!(missing.to_string().starts_with("create "), "{missing}");
        assert!(missing.to_string().ends_with(": No such file or directory"), "{missing}");

        let path = dir.path().join("sub");
        fs::create_dir(&path).unwrap();
        let taken = write_new(&path, b"1", 0o644, false).unwrap_err();
        assert!(taken.to_string().starts_with("rename "), "{taken}");
        assert_eq!(names(dir.path()), ["sub"]);
    }

    #[test]
    fn touch_leaves_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("oom");
        touch_new(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        fs::write(&path, "old").unwrap();
        touch_new(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(touch_new(&dir.path().join("no/oom")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
