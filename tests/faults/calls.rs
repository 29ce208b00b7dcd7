//! The system calls of a life, and how each of them may fail.

/// One call in the trace of a life without faults.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Which of that name it is, in its process, from 1.
    pub nth: usize,
    /// The line of the trace.
    pub text: String,
}

/// The errors that a call is made to fail with: those of its manual page that the world outside can
/// bring about (a full disk, a missing permission, a limit, a signal), not those that would be mistakes
/// of the program. An empty list: it cannot fail so. `None`: nobody has thought about it yet.
pub fn errors(call: &Call) -> Option<&'static [&'static str]> {
    let flags = |text: &str| call.text.contains(text);
    // What a pipe or a socket can do that waits for nothing is less than what a file can.
    let fd = call.text.split(',').next().unwrap_or_default();
    let passing = ["<pipe:", "<socket:", "<anon_inode:"].iter().any(|kind| fd.contains(kind));
    Some(match call.name.as_str() {
        "open" | "openat" if flags("O_CREAT") => &["ENOSPC", "EACCES", "EMFILE", "EROFS", "EIO", "EINTR"],
        "open" | "openat" => &["EMFILE", "ENOENT", "EACCES", "EINTR"],
        // EAGAIN where there is something would be a lie, which no kernel tells.
        "read" if passing => &["EINTR"],
        "read" | "pread64" | "readv" => &["EIO", "EINTR"],
        // A container that reads no more input is no fault; nobody hears what was typed.
        "write" if passing && flags("typed") => &["EINTR"],
        "write" if passing => &["EINTR", "EPIPE"],
        "write" | "writev" | "pwrite64" => &["ENOSPC", "EIO", "EINTR", "EDQUOT"],
        // Whatever close(2) returns, Linux has closed the descriptor; strace would leave it open.
        "close" => &[],
        // Of F_GETFD, which debug builds use to find closed descriptors, there is no error but EBADF.
        "fcntl" if flags("F_GETFD") || flags("F_GETFL") => &[],
        "fcntl" => &["EPERM", "EMFILE"],
        "fsync" => &["EIO", "ENOSPC"],
        "fallocate" => &["ENOSPC", "EDQUOT", "EOPNOTSUPP", "EINTR"],
        "ftruncate" => &["EIO", "EINTR"],
        "chmod" | "fchmod" | "fchmodat" => &["EPERM", "EROFS"],
        "rename" | "renameat" | "renameat2" | "linkat" | "symlinkat" | "symlink" => {
            &["ENOSPC", "EIO", "EROFS", "EDQUOT"]
        }
        "unlink" | "unlinkat" | "rmdir" => &["EACCES", "EROFS", "EIO"],
        "mkdir" | "mknod" | "mknodat" => &["ENOSPC", "EACCES", "EROFS"],
        "stat" | "lstat" | "statx" | "newfstatat" | "fstat" | "readlink" | "access" | "faccessat2"
        | "lseek" => &["EACCES", "EIO", "ENOMEM"],
        "getdents64" | "getcwd" => &["ENOENT", "ENOMEM"],
        "socket" | "socketpair" | "pipe2" | "eventfd2" | "epoll_create1" | "memfd_create" | "signalfd4"
        | "dup" | "dup2" | "dup3" | "inotify_init1" => &["EMFILE", "ENFILE", "ENOMEM"],
        "inotify_add_watch" => &["ENOSPC", "ENOENT"],
        "bind" => &["EADDRINUSE", "ENOSPC", "EACCES"],
        "listen" => &["EADDRINUSE"],
        "connect" => &["ECONNREFUSED", "EAGAIN", "EINTR"],
        "accept4" => &["EMFILE", "ECONNABORTED", "EINTR", "ENOMEM"],
        "sendto" | "sendmsg" => &["ENOBUFS", "ENOMEM", "EINTR"],
        "recvfrom" | "recvmsg" => &["EINTR"],
        "getsockopt" | "setsockopt" | "shutdown" => &["ENOBUFS"],
        "epoll_ctl" if flags("EPOLL_CTL_DEL") => &["ENOENT"],
        "epoll_ctl" => &["ENOMEM", "ENOSPC"],
        "epoll_wait" | "epoll_pwait" => &["EINTR"],
        "poll" | "ppoll" => &["EINTR", "ENOMEM"],
        "clone" | "clone3" | "fork" | "vfork" => &["EAGAIN", "ENOMEM"],
        "wait4" | "waitid" => &["EINTR"],
        "pidfd_open" => &["EMFILE", "ENOSYS", "ENOMEM"],
        "pidfd_send_signal" | "kill" => &["EPERM"],
        "prctl" | "prlimit64" | "capset" | "setsid" | "setpgid" => &["EPERM"],
        "getrandom" => &["EINTR", "ENOSYS"],
        "ioctl" => &["EIO", "EINTR"],
        // Memory that the kernel refuses ends the program (an abort by the allocator): it is not covered.
        "brk" | "mmap" | "munmap" | "mprotect" | "mremap" => &[],
        // Advice, and questions that cannot fail.
        "madvise" | "getpid" | "getppid" | "gettid" | "geteuid" | "getuid" | "umask" | "getpgrp"
        | "getpgid" | "sched_yield" | "clock_gettime" | "gettimeofday" | "sched_getaffinity"
        | "getsockname" => &[],
        // They fail by wrong arguments alone.
        "rt_sigaction" | "rt_sigprocmask" | "rt_sigreturn" | "sigaltstack" | "exit_group" | "exit"
        | "execve" | "set_robust_list" | "set_tid_address" | "capget" | "rseq" | "arch_prctl" => &[],
        _ => return None,
    })
}

/// The calls in a trace from the first that names `from` on; before it the program is being loaded.
pub fn parse(trace: &str, from: &str) -> Vec<Call> {
    let mut counts = std::collections::BTreeMap::<(u32, String), usize>::new();
    let mut begun = false;
    let mut calls = Vec::new();
    for line in trace.lines() {
        // With several processes each line has its pid.
        let pid = line.split(' ').next().and_then(|word| word.parse::<u32>().ok());
        let text = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let Some((name, _)) = text.split_once('(') else { continue };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let nth = counts.entry((pid.unwrap_or(0), name.to_owned())).or_default();
        *nth += 1;
        begun |= name != "execve" && text.contains(from);
        if begun {
            calls.push(Call { name: name.to_owned(), nth: *nth, text: text.to_owned() });
        }
    }
    calls
}

#[test]
fn calls_are_counted_by_name() {
    let trace = "execve(\"/x/runtime\") = 0\nread(3, \"\") = 0\naccess(\"/x/runtime\", X_OK) = 0\n\
                 --- SIGCHLD {} ---\nread(3, \"(\") = 1\n+++ exited with 7 +++\n";
    let calls = parse(trace, "/x/runtime");
    let short: Vec<_> = calls.iter().map(|call| (call.name.as_str(), call.nth)).collect();
    assert_eq!(short, [("access", 1), ("read", 2)]);
}
