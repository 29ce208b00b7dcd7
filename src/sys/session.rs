//! Sessions of processes (setsid(2)), as /proc shows them.

use std::fs;

use super::pidfd::PidFd;
use crate::pid::Pid;

/// The session that a process is in. `None`: there is no such process, its session is not of this pid
/// namespace, or it is our own.
pub fn of(pid: Pid) -> Option<Pid> {
    let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid.raw()))).ok()?;
    let own = nix::unistd::getsid(None).ok()?;
    Pid::new(session.as_raw()).filter(|_| session != own)
}

/// Sends SIGKILL to all processes of a session that live, each by descriptor, so that none but them can
/// be meant. Returns how many were found: they may take some time to end, and may have forked.
pub fn kill(session: Pid) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let members = names.filter_map(Pid::new).filter(|pid| is_member(*pid, session));
    members.filter(|pid| kill_member(*pid, session)).count()
}

fn kill_member(pid: Pid, session: Pid) -> bool {
    let Ok(handle) = PidFd::open(pid) else { return false };
    // The number may have become somebody else's before it was opened.
    is_member(pid, session) && handle.signal(libc::SIGKILL).is_ok()
}

fn is_member(pid: Pid, session: Pid) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    living_in(&String::from_utf8_lossy(&stat)) == Some(session)
}

/// The session in a line of /proc/PID/stat (proc_pid_stat(5)): the fourth word after the name, which may
/// have anything in it. `None` if the process has ended.
fn living_in(stat: &str) -> Option<Pid> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let ended = matches!(words.next()?, "Z" | "X");
    words.nth(2)?.parse().ok().and_then(Pid::new).filter(|_| !ended)
}

#[cfg(test)]
mod tests {
    use super::living_in;
    use crate::pid::Pid;

    #[test]
    fn the_session_stands_behind_any_name() {
        let table = [
            ("7 (sh) S 1 6 5 0 -1", Some(5)),
            ("7 (a) R 9 9 9 (b) R) D 1 6 4 0 -1", Some(4)),
            ("7 (sh) Z 1 6 5 0 -1", None),
            ("7 (sh) S 1 6 0 0 -1", None),
            ("7 (sh) S 1", None),
            ("", None),
        ];
        for (stat, session) in table {
            assert_eq!(living_in(stat), session.and_then(Pid::new), "{stat}");
        }
    }
}
