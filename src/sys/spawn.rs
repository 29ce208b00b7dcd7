//! Starting a program.
//!
//! clone(2) with CLONE_VM and CLONE_VFORK: nothing is copied, the parent sleeps until the child has
//! called execve or ended, and the child tells why execve failed by a word in shared memory.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, fcntl};

use super::process::own_pid;
use super::signals::set_mask;
use crate::pid::Pid;

/// A program to start, with no signal blocked, in the supervisor's directory; also in its session and
/// process group, unless `extra` says otherwise. A process that has [`Signals`](super::signals::Signals)
/// leaves no signal caught or ignored to it.
pub struct Spawn<'a> {
    /// Path of the program; no PATH search.
    pub program: &'a str,
    /// The arguments, the program's name first.
    pub argv: &'a [String],
    /// Descriptors 0, 1 and 2.
    pub stdio: [BorrowedFd<'a>; 3],
    /// It gets SIGKILL when the supervisor dies: as long as that has not dropped capabilities, for an
    /// execve(2) that gives more than there was also clears this wish (PR_SET_PDEATHSIG, prctl(2)).
    pub die_with_supervisor: bool,
    /// What to put into its oom_score_adj.
    pub oom_score_adj: Option<&'a str>,
    /// Replace the environment's LISTEN_PID by its own pid (sd_listen_fds(3)).
    pub set_listen_pid: bool,
    /// What few programs need.
    pub extra: Extra<'a>,
}

/// What a program gets that is to work apart from the supervisor.
#[derive(Clone, Copy, Default)]
pub struct Extra<'a> {
    /// A session, and so a process group, of its own.
    pub session: bool,
    /// Its descriptors from 3 on.
    pub fds: &'a [BorrowedFd<'a>],
    /// Descriptors that it finds under the numbers which they have here. They do not take one that LISTEN_FDS means,
    /// which a runtime would pass on, since those were open first. Not together with `fds`, whose numbers may be
    /// the same. No other program gets them.
    pub handed: &'a [BorrowedFd<'a>],
    /// `NAME=VALUE`: added to the environment, or in the place of what has this name there.
    pub variables: &'a [String],
}

/// What the child works with: prepared by the parent, since the child must not allocate.
struct Child {
    program: *const c_char,
    argv: *const *const c_char,
    envp: *const *const c_char,
    stdio: [c_int; 3],
    session: bool,
    /// What becomes descriptors from 3 on: numbers above all of those.
    fds: *const c_int,
    fds_count: c_int,
    /// What stays open under its own number.
    handed: *const c_int,
    handed_count: usize,
    die_with_supervisor: bool,
    oom_score_adj: Option<(*const c_void, usize)>,
    /// Where the digits of LISTEN_PID go, NUL included.
    listen_pid: Option<*mut [u8; LISTEN_PID_DIGITS]>,
    parent: c_int,
    /// Set by the child if it could not become the program.
    error: c_int,
}

/// Bytes of the child's stack. It calls nothing but system calls, and no handler.
const STACK_BYTES: usize = 8 * 1024;
const LISTEN_PID_DIGITS: usize = 11;
const LISTEN_PID: &[u8] = b"LISTEN_PID=";

impl Spawn<'_> {
    /// Starts the program. The error is that of execve(2), or of clone(2).
    pub fn start(&self) -> io::Result<Pid> {
        let program = c_string(self.program)?;
        let argv = self.argv.iter().map(|a| c_string(a)).collect::<io::Result<Vec<_>>>()?;
        let argv = pointers(&argv);
        // LISTEN_PID=, and room for the digits and the NUL, which the child fills in.
        let mut listen_pid = [LISTEN_PID, &[0; LISTEN_PID_DIGITS]].concat();
        let variables = self.extra.variables.iter().map(|v| c_string(v)).collect::<io::Result<Vec<_>>>()?;
        let mut envp = environment(self.set_listen_pid, &variables);
        let digits = self.set_listen_pid.then(|| {
            let entry = listen_pid.as_mut_ptr();
            envp.push(entry.cast::<c_char>());
            // SAFETY: the vector has LISTEN_PID_DIGITS bytes after the name.
            unsafe { entry.add(LISTEN_PID.len()).cast::<[u8; LISTEN_PID_DIGITS]>() }
        });
        envp.push(std::ptr::null());
        let fds = self.extra.fds.iter().map(|fd| above(*fd, self.extra.fds.len()));
        let fds = fds.collect::<io::Result<Vec<OwnedFd>>>()?;
        let numbers: Vec<c_int> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let handed: Vec<c_int> = self.extra.handed.iter().map(AsRawFd::as_raw_fd).collect();
        let mut child = Child {
            program: program.as_ptr(),
            argv: argv.as_ptr(),
            envp: envp.as_ptr(),
            stdio: self.stdio.map(|fd| fd.as_raw_fd()),
            session: self.extra.session,
            fds: numbers.as_ptr(),
            fds_count: c_int::try_from(numbers.len())
                .map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?,
            handed: handed.as_ptr(),
            handed_count: handed.len(),
            die_with_supervisor: self.die_with_supervisor,
            oom_score_adj: self.oom_score_adj.map(|s| (s.as_ptr().cast::<c_void>(), s.len())),
            listen_pid: digits,
            parent: own_pid().raw(),
            error: 0,
        };
        let pid = clone_child(&mut child)?;
        if child.error == 0 {
            return Ok(pid);
        }
        // The child has ended before it became anything; this is its only trace.
        let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid.raw()), None);
        Err(io::Error::from_raw_os_error(child.error))
    }
}

fn clone_child(child: &mut Child) -> io::Result<Pid> {
    // Part of this stack, which is given back after a launch: on the heap it would leave dirty pages.
    let mut stack = [MaybeUninit::<u128>::uninit(); STACK_BYTES / size_of::<u128>()];
    // SAFETY: the stack is ours, 16-byte aligned and outlives the child's use of it, since
    // CLONE_VFORK returns only after the child called execve or _exit; `child` likewise.
    let pid = unsafe {
        let top = stack.as_mut_ptr_range().end;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        libc::clone(become_program, top.cast(), flags, std::ptr::from_mut(child).cast())
    };
    Pid::new(pid).ok_or_else(io::Error::last_os_error)
}

/// Runs in the child, on the parent's memory: system calls only, no allocation, no panic.
extern "C" fn become_program(child: *mut c_void) -> c_int {
    // SAFETY: `child` points to the parent's `Child`, which nobody else touches while it sleeps.
    let child = unsafe { &mut *child.cast::<Child>() };
    // SAFETY: all pointers were made from live, NUL-terminated strings and NULL-ended arrays; the
    // calls are async-signal-safe. `error` is written because errno is the parent's own too.
    unsafe {
        if child.die_with_supervisor {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if libc::getppid() != child.parent {
                libc::_exit(127);
            }
        }
        if let Some((text, length)) = child.oom_score_adj {
            restore_oom_score(text, length);
        }
        if let Some(digits) = child.listen_pid {
            write_decimal(libc::getpid(), &mut *digits);
        }
        if child.session {
            // It leads no group, being new, so this cannot fail.
            libc::setsid();
        }
        let set = set_stdio(child.stdio) && set_more(child.fds, child.fds_count);
        if set && hand_over(child.handed, child.handed_count) {
            // As late as can be: a signal that stops the child here stops its parent too.
            set_mask(0);
            libc::execve(child.program, child.argv, child.envp);
        }
        child.error = *libc::__errno_location();
        libc::_exit(127)
    }
}

/// # Safety
/// `text` must be readable for `length` bytes.
unsafe fn restore_oom_score(text: *const c_void, length: usize) {
    // SAFETY: a literal path and the caller's promise. A failure leaves the inherited value, which
    // an unprivileged supervisor could not have lowered in the first place.
    unsafe {
        let fd = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::write(fd, text, length);
            libc::close(fd);
        }
    }
}

/// # Safety
/// Only in the child. Sources below 3 must already be in place, as for a passed-through stdio.
unsafe fn set_stdio(stdio: [c_int; 3]) -> bool {
    for (target, source) in (0..).zip(stdio) {
        // SAFETY: dup2(2) takes integers; the new descriptor has no FD_CLOEXEC.
        if source != target && unsafe { libc::dup2(source, target) } < 0 {
            return false;
        }
    }
    true
}

/// # Safety
/// Only in the child. `fds` must point to that many descriptors, whose numbers are all above those that they
/// become.
unsafe fn set_more(fds: *const c_int, count: c_int) -> bool {
    for at in 0..count {
        // SAFETY: the caller's promise; dup2(2) takes integers.
        if unsafe { libc::dup2(*fds.offset(at as isize), 3 + at) } < 0 {
            return false;
        }
    }
    true
}

/// # Safety
/// Only in the child. `handed` must point to that many descriptors.
unsafe fn hand_over(handed: *const c_int, count: usize) -> bool {
    // SAFETY: the caller's promise; F_SETFD takes an integer. The parent's table is another one (no
    // CLONE_FILES), so its descriptors stay close-on-exec.
    (0..count).all(|at| unsafe { libc::fcntl(*handed.add(at), libc::F_SETFD, 0) } >= 0)
}

/// The same open file under a number that is not one of the first `count` from 3 on.
fn above(fd: BorrowedFd<'_>, count: usize) -> io::Result<OwnedFd> {
    let first = c_int::try_from(3 + count).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(first))?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn write_decimal(mut number: i32, out: &mut [u8; LISTEN_PID_DIGITS]) {
    let mut reversed = [0u8; LISTEN_PID_DIGITS];
    let mut length = 0;
    while length == 0 || number > 0 {
        reversed[length] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        length += 1;
    }
    for (to, from) in out.iter_mut().zip(reversed[..length].iter().rev()) {
        *to = *from;
    }
}

/// `variables`, and the other entries of this process's environment, which nothing here ever changes, so that
/// they need not be copied.
fn environment(without_listen_pid: bool, variables: &[CString]) -> Vec<*const c_char> {
    // SAFETY: the type is that of environ(7).
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    let mut entries: Vec<*const c_char> = variables.iter().map(|variable| variable.as_ptr()).collect();
    // SAFETY: libc keeps `environ` a NULL-ended array of NUL-terminated strings; it is NULL itself
    // after clearenv(3), which nobody calls.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            let entry = CStr::from_ptr(*next);
            let listen_pid = entry.to_bytes().starts_with(LISTEN_PID);
            let replaced = variables.iter().any(|variable| name(variable) == name(entry));
            if !(without_listen_pid && listen_pid || replaced) {
                entries.push(*next);
            }
            next = next.add(1);
        }
    }
    entries
}

/// What stands before the `=` of an entry of the environment.
fn name(entry: &CStr) -> Option<&[u8]> {
    entry.to_bytes().split(|&byte| byte == b'=').next()
}

fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

#[cfg(test)]
mod tests {
    use super::{LISTEN_PID_DIGITS, write_decimal};

    #[test]
    fn decimals() {
        for number in [1, 9, 10, 4_194_304, i32::MAX] {
            let mut out = [0; LISTEN_PID_DIGITS];
            write_decimal(number, &mut out);
            let end = out.iter().position(|&b| b == 0).expect("room for the NUL");
            assert_eq!(std::str::from_utf8(&out[..end]), Ok(number.to_string().as_str()));
        }
    }
}
