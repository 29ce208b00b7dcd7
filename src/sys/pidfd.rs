//! Handles of processes: a signal through one can never reach a stranger.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use conward_protocol::Exit;

use super::process::exit_from_wait_status;
use crate::pid::Pid;

/// A process, held by descriptor (pidfd_open(2), Linux 5.3). Readable once the process has ended.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

/// `struct pidfd_info` of linux/pidfd.h, version 0 (64 bytes, Linux 6.13).
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::c_ulong = 0xC040_FF0B;

impl PidFd {
    /// Opens the process, which may be a zombie but must not have been reaped (else ESRCH).
    /// ENOSYS on kernels before 5.3.
    pub fn open(pid: Pid) -> io::Result<PidFd> {
        // SAFETY: two integers in, a new descriptor or -1 out.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.raw(), 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = i32::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
        // SAFETY: the kernel has just made this descriptor (with FD_CLOEXEC) for us alone.
        Ok(PidFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends a signal to this very process (pidfd_send_signal(2), Linux 5.1).
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: integers and a null siginfo, which means what kill(2) would send.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// How the process, which has ended, did so. `None`: ask again, nobody has reaped it yet.
    /// Kernels before 6.15 never tell, so there it is unknown.
    pub fn exit(&self) -> Option<Exit> {
        let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
        // SAFETY: the request number says that the kernel reads and writes 64 bytes at the pointer,
        // which is the size of the struct.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), PIDFD_GET_INFO as _, &raw mut info) };
        match result {
            0 if info.mask & PIDFD_INFO_EXIT != 0 => Some(exit_from_wait_status(info.exit_code)),
            0 => None,
            _ => Some(Exit::Unknown),
        }
    }
}

impl std::os::fd::AsFd for PidFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
