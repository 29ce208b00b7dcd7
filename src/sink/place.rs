//! Where a log file is: opened without following links or disturbing devices, and replaced or
//! rotated by renames.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use crate::error::reason;
use crate::sys::fds;

/// The path of a log file, and the directories it may be in.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    allowed: Vec<PathBuf>,
}

/// What tells a file from others that are there at the same time, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// That of an open file.
    pub fn of(file: &File) -> io::Result<FileId> {
        Ok(FileId::from(&fstat(file)?))
    }
}

impl From<&FileStat> for FileId {
    fn from(stat: &FileStat) -> FileId {
        FileId { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// Old files that are looked for, at most: what is older is not read.
const OLD_FILES_MAX: u32 = 1000;

/// The directory of the file, held open so that what was checked is what is used, and the file's
/// name in it.
struct Spot {
    dir: OwnedFd,
    name: OsString,
}

impl Place {
    /// A place that does not depend on the working directory from now on. With an empty `allowed`
    /// any directory will do.
    pub fn new(path: &Path, allowed: &[PathBuf]) -> io::Result<Place> {
        let allowed = allowed.iter().map(std::path::absolute).collect::<io::Result<_>>()?;
        Ok(Place { path: std::path::absolute(path)?, allowed })
    }

    /// The path, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file for appending, or creates it (0640 and umask). A last line without an end gets one.
    /// Never blocks. A symlink, fifo,
    /// device or anything else that is no regular file is refused without being opened.
    pub fn open(&self) -> io::Result<File> {
        let spot = self.spot()?;
        match spot.stat(&spot.name) {
            Ok(stat) => must_be_regular(&stat)?,
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        // Where another file takes this name just now, O_NOFOLLOW and O_NONBLOCK keep the open
        // harmless, and the second look at the open file is the one that counts.
        let flags = OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let fd = openat(&spot.dir, spot.name.as_os_str(), FOR_RECORDS | flags, MODE)?;
        let stat = fstat(&fd)?;
        must_be_regular(&stat)?;
        let file = File::from(fd);
        if stat.st_size > 0
            && let Err(error) = end_torn_line(&file)
        {
            let path = self.path.display();
            log::warn!("log file {path}: cannot make sure that its last line has an end: {}", reason(&error));
        }
        Ok(file)
    }

    /// Puts a new, empty file in the place of the log, atomically: whoever watches the directory sees
    /// `<path>` being created (CRI-O waits for that). The old content is gone, unless somebody
    /// renamed the old file away before.
    pub fn replace(&self) -> io::Result<File> {
        let spot = self.spot()?;
        let temporary = suffixed(&spot.name, ".tmp");
        let file = spot.create_fresh(&temporary)?;
        spot.rename(&temporary, &spot.name).inspect_err(|_| spot.discard(&temporary))?;
        Ok(file)
    }

    /// Makes the log `<path>.1`, what was there `<path>.2` and so on up to `keep` old files, and
    /// puts a new, empty file in its place. If it fails, the log is still (or again) at `<path>`.
    ///
    /// Where nothing is at `<path>`, because somebody renamed it away, the old files stay as they are.
    pub fn rotate(&self, keep: u32) -> io::Result<File> {
        let spot = self.spot()?;
        let temporary = suffixed(&spot.name, ".new");
        let file = spot.create_fresh(&temporary)?;
        let moved = spot.make_room(keep.max(1)).inspect_err(|_| spot.discard(&temporary))?;
        if let Err(errno) = spot.rename(&temporary, &spot.name) {
            if moved {
                spot.rename(&numbered(&spot.name, 1), &spot.name)?;
            }
            spot.discard(&temporary);
            return Err(errno.into());
        }
        Ok(file)
    }

    /// The files of the log, the newest first: the one at the path, if it is there, then those with a
    /// number, up to the first that is missing.
    pub fn list(&self) -> io::Result<Vec<FileId>> {
        Ok(self.spot()?.files().map(|(_, stat)| FileId::from(&stat)).collect())
    }

    /// Opens a file of the log to read it. `None`: it is gone.
    pub fn find(&self, id: FileId) -> io::Result<Option<File>> {
        let spot = self.spot()?;
        let Some((name, stat)) = spot.files().find(|(_, stat)| FileId::from(stat) == id) else {
            return Ok(None);
        };
        must_be_regular(&stat)?;
        let flags =
            OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::from(openat(&spot.dir, name.as_os_str(), flags, Mode::empty())?);
        Ok(Some(file).filter(|file| FileId::of(file).is_ok_and(|found| found == id)))
    }

    /// Opens the directory and checks it.
    fn spot(&self) -> io::Result<Spot> {
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
        };
        let dir = open(parent, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        if !self.allowed.is_empty() {
            let real = fs::read_link(fds::path(&dir))?;
            let inside = |allowed: &PathBuf| fs::canonicalize(allowed).is_ok_and(|top| real.starts_with(top));
            if !self.allowed.iter().any(inside) {
                let text = format!("{} is not in an allowed log directory", real.display());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
        }
        Ok(Spot { dir, name: name.to_owned() })
    }
}

/// How a file is opened that records are written to.
const FOR_RECORDS: OFlag = OFlag::O_WRONLY.union(OFlag::O_APPEND).union(OFlag::O_CLOEXEC);

/// The mode of a new log, less the umask. Log collectors read it by group (conmon#539).
const MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR).union(Mode::S_IRGRP);

impl Spot {
    fn stat(&self, name: &OsStr) -> Result<FileStat, Errno> {
        fstatat(&self.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// The log, and the old files by number.
    fn files(&self) -> impl Iterator<Item = (OsString, FileStat)> {
        let first = self.stat(&self.name).ok().map(|stat| (self.name.clone(), stat));
        let old = (1..=OLD_FILES_MAX).map(|number| numbered(&self.name, number));
        first.into_iter().chain(old.map_while(|name| self.stat(&name).ok().map(|stat| (name, stat))))
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        renameat(&self.dir, from, &self.dir, to)
    }

    /// Removes a file that was only ever ours. If that fails, the next attempt replaces it.
    fn discard(&self, name: &OsStr) {
        if let Err(errno) = unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir) {
            log::debug!("cannot remove {}: {}", name.to_string_lossy(), reason(&errno.into()));
        }
    }

    /// Creates an empty file of this name. One left behind by a supervisor that died is replaced;
    /// anything else in the way is an error.
    fn create_fresh(&self, name: &OsStr) -> io::Result<File> {
        if let Ok(stat) = self.stat(name) {
            must_be_regular(&stat)?;
            if stat.st_uid != geteuid().as_raw() {
                let text = format!("{} is in the way and belongs to somebody else", name.to_string_lossy());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir)?;
        }
        let flags = FOR_RECORDS | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        Ok(File::from(openat(&self.dir, name, flags, MODE)?))
    }

    /// Renames the log to `.1`, after the files with a number moved up as far as needed: to the first
    /// number that is free, or to `keep`, whose old file goes. Says whether there was a log to rename.
    fn make_room(&self, keep: u32) -> Result<bool, Errno> {
        match self.stat(&self.name) {
            Ok(_) => {}
            Err(Errno::ENOENT) => return Ok(false),
            Err(errno) => return Err(errno),
        }
        let mut free = 1;
        while free < keep && self.stat(&numbered(&self.name, free)).is_ok() {
            free += 1;
        }
        for number in (1..free).rev() {
            self.rename(&numbered(&self.name, number), &numbered(&self.name, number + 1))?;
        }
        self.rename(&self.name, &numbered(&self.name, 1))?;
        Ok(true)
    }
}

fn must_be_regular(stat: &FileStat) -> io::Result<()> {
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    let what = match kind {
        SFlag::S_IFREG => return Ok(()),
        SFlag::S_IFLNK => "it is a symbolic link",
        SFlag::S_IFIFO => "it is a fifo",
        SFlag::S_IFDIR => "it is a directory",
        SFlag::S_IFSOCK => "it is a socket",
        _ => "it is a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// Ends the last line of a file that is not empty. A supervisor that was killed, or a loss of power, has
/// left half a record, which must not take the next one with it.
fn end_torn_line(mut file: &File) -> io::Result<()> {
    let mut reader = File::open(fds::path(file))?;
    reader.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    reader.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

fn suffixed(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}

fn numbered(name: &OsStr, number: u32) -> OsString {
    suffixed(name, &format!(".{number}"))
}
