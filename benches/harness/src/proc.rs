//! What /proc says about a process (proc(5)). Reading these files does not wake the process.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::{Result, doing};

/// CPU time that the process itself used since its birth, without its children, to the nanosecond.
/// A zombie still has it. Only the first thread is counted, so a second thread is an error.
pub fn cpu(pid: Pid) -> Result<Duration> {
    let threads = status(pid, "Threads")?;
    // A zombie has no thread left that could be counted.
    if threads > 1 {
        return Err(format!("process {pid} has {threads} threads, its CPU time would be wrong"));
    }
    let text = read(pid, "schedstat")?;
    let ns = text.split_whitespace().next().and_then(|word| word.parse().ok());
    ns.map(Duration::from_nanos).ok_or_else(|| format!("schedstat of {pid} is not understood: {text}"))
}

/// CPU time of the calling thread.
pub fn own_cpu() -> Result<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).map_err(doing("read the CPU clock"))
}

/// How often the process went to sleep by itself: once for each wake-up.
pub fn sleeps(pid: Pid) -> Result<u64> {
    status(pid, "voluntary_ctxt_switches")
}

/// Open descriptors.
pub fn descriptors(pid: Pid) -> Result<u64> {
    let path = format!("/proc/{pid}/fd");
    Ok(fs::read_dir(&path).map_err(doing(format!("read {path}")))?.count() as u64)
}

/// Memory of one process, in bytes.
pub struct Memory {
    /// Pages that no other process maps: what goes away with the process.
    pub private: u64,
    /// Private pages, and its share of those that others map too.
    pub proportional: u64,
    /// Page tables, which the kernel holds for it.
    pub page_tables: u64,
}

/// Memory as smaps_rollup has it.
pub fn memory(pid: Pid) -> Result<Memory> {
    let text = read(pid, "smaps_rollup")?;
    let clean = field(&text, "Private_Clean");
    let dirty = field(&text, "Private_Dirty");
    let pss = field(&text, "Pss");
    match (clean, dirty, pss) {
        (Some(clean), Some(dirty), Some(pss)) => Ok(Memory {
            private: (clean + dirty) * 1024,
            proportional: pss * 1024,
            page_tables: status(pid, "VmPTE")? * 1024,
        }),
        _ => Err(format!("smaps_rollup of {pid} is not understood")),
    }
}

/// Bytes on disk of all files with code that the process maps: the program and its libraries.
pub fn mapped_code(pid: Pid) -> Result<u64> {
    let text = read(pid, "maps")?;
    let mut files = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let code = words.nth(1).is_some_and(|mode| mode.contains('x'));
        if let (true, Some(path)) = (code, words.nth(3).filter(|path| path.starts_with('/'))) {
            files.insert(path, fs::metadata(path).map_err(doing(format!("stat {path}")))?.len());
        }
    }
    Ok(files.values().sum())
}

fn status(pid: Pid, key: &str) -> Result<u64> {
    let text = read(pid, "status")?;
    field(&text, key).ok_or_else(|| format!("status of {pid} has no number for {key}"))
}

fn read(pid: Pid, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).map_err(doing(format!("read {path}")))
}

/// The number after `key:`, whatever unit follows.
fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "Pss_Dirty:  7 kB\nPss:   12 kB\nThreads:\t1\n";
        assert_eq!(field(text, "Pss"), Some(12));
        assert_eq!(field(text, "Threads"), Some(1));
        assert_eq!(field(text, "Ps"), None);
    }

    #[test]
    fn the_own_process_can_be_read() {
        let me = Pid::this();
        assert!(memory(me).expect("memory").private > 0);
        assert!(descriptors(me).expect("descriptors") >= 3);
        assert!(mapped_code(me).expect("maps") > 0);
    }
}
