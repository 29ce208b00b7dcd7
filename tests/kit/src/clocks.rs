//! A supervisor whose clocks a test sets, and nobody else's.
//!
//! The kernel has no such thing for the wall clock (time namespaces leave it alone, time_namespaces(7)), and a static
//! program loads no library of ours. So the program is kept from finding the vDSO (vdso(7)), by which it would read the
//! clocks without a system call; and clock_gettime(2) is answered by the test (seccomp_unotify(2)).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::readable;

/// The number of the listener in the supervisor, which it gets before its execve(2): one that nobody uses.
const LISTENER: i32 = 900;
/// `SECCOMP_IOCTL_NOTIF_RECV` and `_SEND`: `_IOWR('!', 0, struct seccomp_notif)`, and 1 with the response.
const RECEIVE: libc::Ioctl = 0xc050_2100_u32 as _;
const SEND: libc::Ioctl = 0xc018_2101_u32 as _;
/// Entries of the auxiliary vector (getauxval(3)): the address of the vDSO, and one to be skipped.
const AT_SYSINFO_EHDR: u64 = 33;
const AT_IGNORE: u64 = 1;

/// Seconds by which the clocks of a supervisor, and of what it starts without a vDSO, are set off: CLOCK_REALTIME, CLOCK_MONOTONIC.
#[derive(Debug, Default)]
struct Offsets([AtomicI64; 2]);

/// The clocks of a supervisor. They are right until a test sets them.
#[derive(Debug)]
pub struct Clocks {
    offsets: Arc<Offsets>,
    /// Closed at the end, which ends the thread.
    stop: Option<OwnedFd>,
    server: Option<JoinHandle<()>>,
}

impl Clocks {
    /// Has the clock of the wall go on from `seconds` after the true time, or before it.
    pub fn set_wall(&self, seconds: i64) {
        self.offsets.0[libc::CLOCK_REALTIME as usize].store(seconds, Ordering::Relaxed);
    }

    /// The same with the monotonic clock, which nobody but a test can set: it may only go forward.
    pub fn set_monotonic(&self, seconds: i64) {
        self.offsets.0[libc::CLOCK_MONOTONIC as usize].store(seconds, Ordering::Relaxed);
    }

    /// Starts the command with clocks of its own. (As root, who may filter system calls without giving up more.)
    pub(crate) fn spawn(command: &mut Command) -> (Child, Clocks) {
        // SAFETY: seccomp(2), dup2(2) and ptrace(2) are async-signal-safe, and nothing is allocated.
        unsafe { command.pre_exec(prepare) };
        let child = command.spawn().expect("start the supervisor");
        let pid = child.id().cast_signed();
        // It stops in its execve(2), as it is traced (ptrace(2)).
        let mut status = 0;
        // SAFETY: waitpid(2) writes one int.
        let stopped = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        assert!(stopped == pid && libc::WIFSTOPPED(status), "the supervisor is not there: {status:x}");
        hide_vdso(pid).expect("to change the auxiliary vector");
        let listener = take_descriptor(pid, LISTENER);
        // SAFETY: the process is stopped, and a signal of 0 is none.
        let result = unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
        assert_eq!(result, 0, "PTRACE_DETACH: {}", io::Error::last_os_error());
        (child, Clocks::serve(listener))
    }

    fn serve(listener: OwnedFd) -> Clocks {
        let offsets = Arc::new(Offsets::default());
        let (ended, stop) = nix::unistd::pipe().expect("a pipe");
        let ours = Arc::clone(&offsets);
        let server = std::thread::spawn(move || {
            // A listener is readable for ever when nobody is left.
            while !readable(&ended, Duration::ZERO) {
                if readable(&listener, Duration::from_millis(20)) && answer(&listener, &ours).is_err() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        Clocks { offsets, stop: Some(stop), server: Some(server) }
    }
}

impl Drop for Clocks {
    fn drop(&mut self) {
        self.stop = None;
        let served = self.server.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || !matches!(served, Some(Err(_))), "the clocks have stopped");
    }
}

/// In the child: has its clock_gettime(2) for both clocks answered by us, and lets us stop it in its execve(2).
fn prepare() -> io::Result<()> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let jump = |k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let mut filter = [
        // The number of the call, and the lower half of its first argument (struct seccomp_data), little-endian.
        statement(load, 0),
        jump(libc::SYS_clock_gettime as u32, 0, 4),
        statement(load, 16),
        jump(libc::CLOCK_REALTIME as u32, 1, 0),
        jump(libc::CLOCK_MONOTONIC as u32, 0, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program outlives the call; the rest are integers.
    unsafe {
        let listener = libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        );
        let traced = listener >= 0
            && libc::dup2(listener as i32, LISTENER) == LISTENER
            && libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0;
        if traced { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Has a program that is about to run find no vDSO: its auxiliary vector stands on the stack, behind arguments and
/// environment, each of which ends with a null pointer (execve(2), getauxval(3)).
fn hide_vdso(pid: i32) -> io::Result<()> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The 28th field, `startstack` (proc_pid_stat(5)); the third is the first one after the name.
    let begin = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(25)?.parse::<u64>().ok());
    let mut at = begin.ok_or_else(|| io::Error::other("no stack"))?;
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
    let word = |at: u64| -> io::Result<u64> {
        let mut bytes = [0; 8];
        memory.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_ne_bytes(bytes))
    };
    // The number of arguments, and both lists.
    at += 8;
    for _ in 0..2 {
        while word(at)? != 0 {
            at += 8;
        }
        at += 8;
    }
    while word(at)? != AT_SYSINFO_EHDR {
        if word(at)? == 0 {
            return Err(io::Error::other("it has no vDSO"));
        }
        at += 16;
    }
    memory.write_all_at(&AT_IGNORE.to_ne_bytes(), at)
}

/// A copy of a descriptor of another process.
fn take_descriptor(pid: i32, number: i32) -> OwnedFd {
    // SAFETY: integers only; each call gives a new descriptor or -1.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
        assert!(process >= 0, "pidfd_open: {}", io::Error::last_os_error());
        let process = OwnedFd::from_raw_fd(process);
        let fd = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) as i32;
        assert!(fd >= 0, "pidfd_getfd: {}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    }
}

/// Answers one clock_gettime(2).
fn answer(listener: &OwnedFd, offsets: &Offsets) -> io::Result<()> {
    // SAFETY: all zeros is a value of these structures, which the calls read and write as a whole.
    unsafe {
        let mut asked: libc::seccomp_notif = std::mem::zeroed();
        if libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut asked) < 0 {
            return Err(io::Error::last_os_error());
        }
        let clock = asked.data.args[0] as usize;
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(clock as i32, &raw mut time);
        time.tv_sec += offsets.0[clock].load(Ordering::Relaxed);
        let bytes = [time.tv_sec.to_ne_bytes(), time.tv_nsec.to_ne_bytes()].concat();
        let memory = File::options().write(true).open(format!("/proc/{}/mem", asked.pid))?;
        memory.write_all_at(&bytes, asked.data.args[1])?;
        let mut response: libc::seccomp_notif_resp = std::mem::zeroed();
        response.id = asked.id;
        libc::ioctl(listener.as_raw_fd(), SEND, &raw mut response);
    }
    Ok(())
}
