//! How the runtime is called.

use super::{Flag, Set};

pub(super) static FLAGS: &[Flag] = &[
    Flag::text("runtime", "PATH", |w| &mut w.runtime).short(b'r').says(
        "The OCI runtime (required)",
        "Path of the OCI runtime. It must be executable; PATH is not searched. Required.",
    ),
    Flag::list("runtime-arg", "ARG", |w| &mut w.runtime_arg).says(
        "Argument of the runtime, before its subcommand",
        "An argument for the runtime that stands before its subcommand.",
    ),
    Flag::list("runtime-opt", "ARG", |w| &mut w.runtime_opt).says(
        "Argument of the runtime's subcommand",
        "An argument for the runtime that stands after its subcommand.",
    ),
    Flag::list("restore-arg", "ARG", |w| &mut w.runtime_opt).hidden(),
    Flag::text("container-pidfile", "FILE", |w| &mut w.container_pidfile).short(b'p').says(
        "File into which the runtime writes the container's pid",
        "Handed to the runtime as `--pid-file` and read back by the supervisor. Default: `pidfile-`ID in the \
         working directory.",
    ),
    Flag::text("pidfile", "FILE", |w| &mut w.container_pidfile).hidden(),
    Flag::switch("systemd-cgroup", |w| &mut w.systemd_cgroup).short(b's').says(
        "Let the runtime manage cgroups through systemd",
        "Hand `--systemd-cgroup` to the runtime. Ignored for an exec.",
    ),
    Flag::switch("no-pivot", |w| &mut w.no_pivot).says(
        "Let the runtime do without pivot_root",
        "Hand `--no-pivot` to the runtime. Ignored for an exec.",
    ),
    Flag::switch("no-new-keyring", |w| &mut w.no_new_keyring).says(
        "Let the runtime create no session keyring",
        "Hand `--no-new-keyring` to the runtime. Ignored for an exec.",
    ),
    Flag::switch("replace-listen-pid", |w| &mut w.replace_listen_pid).says(
        "Set LISTEN_PID to the runtime's pid",
        "If the environment has `LISTEN_PID`, set it to the pid of the runtime, so that the container can take \
         over sockets that were meant for the caller (sd_listen_fds(3)).",
    ),
    Flag::new("seccomp-notify-socket", "PATH", Set::Ignored).hidden(),
    Flag::new("seccomp-notify-plugins", "LIST", Set::Ignored).hidden(),
];
