//! What this process may do as a privileged one (capabilities(7)), and what its children may.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Capability numbers (linux/capability.h) that have a name in the code.
pub const DAC_OVERRIDE: u32 = 1;
/// See [`DAC_OVERRIDE`].
pub const KILL: u32 = 5;
/// See [`DAC_OVERRIDE`].
pub const SYS_PTRACE: u32 = 19;
/// See [`DAC_OVERRIDE`].
pub const SYS_RESOURCE: u32 = 24;

/// All names, by number, as of Linux 6.18 (the last one is of Linux 5.9).
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    /// The set of these numbers, each below 64.
    pub fn of(numbers: &[u32]) -> Set {
        Set(numbers.iter().fold(0, |bits, number| bits | 1 << number))
    }

    /// Whether this one is in it.
    pub fn has(self, number: u32) -> bool {
        self.0 >> number & 1 == 1
    }

    /// What is in both.
    pub fn and(self, other: Set) -> Set {
        Set(self.0 & other.0)
    }

    /// What is in either.
    pub fn or(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }

    /// Itself without what is in the other.
    pub fn without(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }

    /// The names, by number; one that has no name here is `CAP_` and its number.
    pub fn names(self) -> Vec<String> {
        let name = |number: u32| match NAMES.get(number as usize) {
            Some(name) => (*name).to_owned(),
            None => format!("CAP_{number}"),
        };
        (0..u64::BITS).filter(|number| self.has(*number)).map(name).collect()
    }
}

/// Three of the sets of a process. The ambient set is always within both of the last two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// What the kernel looks at.
    pub effective: Set,
    /// What may be put into the effective set at any time.
    pub permitted: Set,
    /// What an execve(2) passes on, to files that are marked for it.
    pub inheritable: Set,
}

/// `struct __user_cap_header_struct`, and `_LINUX_CAPABILITY_VERSION_3` (Linux 2.6.26).
#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

const OURS: Header = Header { version: 0x2008_0522, pid: 0 };

/// `struct __user_cap_data_struct`: of version 3 there are two, the low halves first.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// What this process holds (capget(2)).
///
/// # Errors
///
/// Those of the system call, which has no reason to fail.
pub fn held() -> io::Result<Held> {
    let (mut header, mut data) = (OURS, [Data::default(); 2]);
    // SAFETY: the kernel writes the version into the header if it does not know ours, and fills two
    // structures, which is what version 3 means.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let join = |half: fn(&Data) -> u32| Set(u64::from(half(&data[0])) | u64::from(half(&data[1])) << 32);
    Ok(Held {
        effective: join(|data| data.effective),
        permitted: join(|data| data.permitted),
        inheritable: join(|data| data.inheritable),
    })
}

/// Sets what this process holds (capset(2)). What is no longer both permitted and inheritable leaves
/// the ambient set too.
///
/// # Errors
///
/// EPERM if something is added that was not permitted.
pub fn hold(held: &Held) -> io::Result<()> {
    let half = |set: Set, shift: u32| (set.0 >> shift & u64::from(u32::MAX)) as u32;
    let data = [0, 32].map(|shift| Data {
        effective: half(held.effective, shift),
        permitted: half(held.permitted, shift),
        inheritable: half(held.inheritable, shift),
    });
    let mut header = OURS;
    // SAFETY: the kernel reads the header and the two structures that version 3 has.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether a child gets back by execve(2) whatever this process drops of `held`. So it is for user 0
/// of a user namespace, unless somebody has switched that off ("Capabilities and execution of programs
/// by root" and "The securebits flags", capabilities(7); no_new_privs of prctl(2)), or holds something
/// that is outside the bounding set, and so cannot be had twice.
pub fn children_regain(held: &Held) -> bool {
    const SECBIT_NOROOT: libc::c_int = 1;
    // SAFETY: both take integers only, and give a number or -1.
    let (secure, no_new) =
        unsafe { (libc::prctl(libc::PR_GET_SECUREBITS), libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)) };
    let root = nix::unistd::geteuid().is_root();
    let given = held.permitted.or(held.inheritable);
    root && secure >= 0 && secure & SECBIT_NOROOT == 0 && no_new == 0 && is_bounded(given)
}

/// Whether all of these are in the bounding set: the most that an execve(2) can give.
fn is_bounded(set: Set) -> bool {
    // SAFETY: integers only; the answer is 1, 0, or -1 for a number that the kernel does not know.
    let bounds = |number: u32| unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) } == 1;
    (0..u64::BITS).filter(|number| set.has(*number)).all(bounds)
}

/// Whether what stands at `path` may be written to (a directory: entered too) with what this process
/// holds effectively now. False also if it cannot be told, as on kernels before 5.8 (faccessat2(2)).
pub fn may_write(path: &Path) -> bool {
    let Ok(text) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return false };
    let mode = if path.is_dir() { libc::W_OK | libc::X_OK } else { libc::W_OK };
    // Not faccessat(3): that one asks for what user 0 could have, not for what it has.
    // SAFETY: a path that ends with a NUL, and integers.
    let result =
        unsafe { libc::syscall(libc::SYS_faccessat2, libc::AT_FDCWD, text.as_ptr(), mode, libc::AT_EACCESS) };
    result == 0
}

/// Nobody but root may look into this process from now on: no ptrace(2), no `/proc/PID/mem`, no core
/// dump (PR_SET_DUMPABLE, prctl(2)). Programs that it starts are not concerned: execve(2) makes them
/// dumpable again.
///
/// # Errors
///
/// Those of prctl(2), which has no reason to fail.
pub fn hide() -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false).map_err(io::Error::from)
}

/// Whether [`hide`] was done, and nothing has undone it.
///
/// # Errors
///
/// Those of prctl(2), which has no reason to fail.
pub fn is_hidden() -> io::Result<bool> {
    Ok(!nix::sys::prctl::get_dumpable()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_sets() {
        let set = Set::of(&[KILL, 40, 63]);
        assert_eq!(set.names(), ["CAP_KILL", "CAP_CHECKPOINT_RESTORE", "CAP_63"]);
        assert_eq!(set.without(Set::of(&[40, 1])), Set::of(&[KILL, 63]));
        assert_eq!(set.and(Set::of(&[40, 1])), Set::of(&[40]));
        assert!(set.has(63) && !set.has(DAC_OVERRIDE));
        assert_eq!(Set::of(&[SYS_RESOURCE, SYS_PTRACE]).names(), ["CAP_SYS_PTRACE", "CAP_SYS_RESOURCE"]);
    }

    /// The kernel's own text of the same sets.
    #[test]
    fn what_is_held_is_what_proc_says() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            Set(u64::from_str_radix(line.trim(), 16).unwrap())
        };
        let held = held().unwrap();
        assert_eq!(held.effective, field("CapEff:"));
        assert_eq!(held.permitted, field("CapPrm:"));
        assert_eq!(held.inheritable, field("CapInh:"));
        let bounding = field("CapBnd:");
        assert!(is_bounded(bounding));
        assert!((0..64).all(|number| is_bounded(Set::of(&[number])) == bounding.has(number)));
        // The same again changes nothing, and more than is permitted cannot be had.
        hold(&held).unwrap();
        let more = Held { permitted: Set(u64::MAX), ..held };
        assert_eq!(hold(&more).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(super::held().unwrap(), held);
    }
}
