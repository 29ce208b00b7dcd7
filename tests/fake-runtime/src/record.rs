//! What a process found when it was started.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs, io};

/// A process as it was when it wrote this down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The command line, the program's name first.
    pub argv: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: String,
    /// Open descriptors and what they name (`pipe:[123]`, `/dev/null`).
    pub fds: BTreeMap<i32, String>,
    /// `/proc/self/status` (proc(5)), by field name, surrounding blanks removed.
    pub status: BTreeMap<String, String>,
    /// `/proc/self/limits` (proc(5)).
    pub limits: String,
    /// `/proc/self/oom_score_adj`.
    pub oom_score_adj: i32,
    /// Process id.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// The signal that it gets when its parent dies; 0 is none.
    pub parent_death_signal: i32,
}

impl Record {
    /// The calling process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn now() -> io::Result<Record> {
        let pid = nix::unistd::getpid();
        Ok(Record {
            argv: env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
            env: env::vars_os()
                .map(|(k, v)| (k.to_string_lossy().into_owned(), v.to_string_lossy().into_owned()))
                .collect(),
            cwd: env::current_dir()?.display().to_string(),
            fds: descriptors()?,
            status: status(&fs::read_to_string("/proc/self/status")?),
            limits: fs::read_to_string("/proc/self/limits")?,
            oom_score_adj: fs::read_to_string("/proc/self/oom_score_adj")?.trim().parse().unwrap_or(i32::MIN),
            pid: pid.as_raw(),
            parent: nix::unistd::getppid().as_raw(),
            group: nix::unistd::getpgrp().as_raw(),
            session: nix::unistd::getsid(None)?.as_raw(),
            parent_death_signal: nix::sys::prctl::get_pdeathsig()?.map_or(0, |signal| signal as i32),
        })
    }

    /// Writes the record whole: a reader finds all of it or no file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let temp = path.with_extension(format!("tmp{}", self.pid));
        fs::write(&temp, serde_json::to_vec(self)?)?;
        fs::rename(temp, path)
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// When there is none, or it is not a record.
    pub fn read(path: &Path) -> io::Result<Record> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// Whether a signal is in one of the masks of `/proc/self/status` (`SigBlk`, `SigIgn`, `SigCgt`).
    pub fn has_signal(&self, mask: &str, signal: i32) -> bool {
        let bits =
            self.status.get(mask).and_then(|bits| u64::from_str_radix(bits, 16).ok()).unwrap_or(u64::MAX);
        bits >> (signal - 1) & 1 == 1
    }
}

fn descriptors() -> io::Result<BTreeMap<i32, String>> {
    let mut fds = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // The descriptor that reads this very directory is closed again before the link is read.
        if let (Ok(fd), Ok(link)) = (entry.file_name().to_string_lossy().parse(), fs::read_link(entry.path()))
        {
            let link = link.display().to_string();
            if !link.ends_with("/fd") {
                fds.insert(fd, link);
            }
        }
    }
    Ok(fds)
}

fn status(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}
