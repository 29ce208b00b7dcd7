//! The container's standard streams, and who may join them.

use super::Flag;

pub(super) static FLAGS: &[Flag] = &[
    Flag::switch("terminal", |w| &mut w.terminal).short(b't').says(
        "Give the container a terminal",
        "The container's standard streams are a pseudo terminal, which the runtime sends over a console \
         socket. Without it they are pipes.",
    ),
    Flag::switch("stdin", |w| &mut w.stdin).short(b'i').says(
        "Give the container a standard input",
        "Clients that attach can write to the container's standard input. Without it, and without a terminal, \
         that is /dev/null.",
    ),
    Flag::switch("leave-stdin-open", |w| &mut w.leave_stdin_open).says(
        "Keep standard input open when a client ends its own",
        "Do not close the container's standard input when a client ends its input. Without it the first \
         client that does so closes it for good.",
    ),
    Flag::text("socket-dir-path", "DIR", |w| &mut w.socket_dir_path).default("/var/run/crio").says(
        "Directory for the link to the bundle",
        "Directory in which a link, named by `--cuuid`, leads to the bundle with its attach socket. It exists \
         because the path of a UNIX socket must be shorter than 108 bytes.",
    ),
    Flag::switch("full-attach", |w| &mut w.full_attach).says(
        "Make no such link",
        "Make no link: clients use the attach socket in the bundle, and `--socket-dir-path` is ignored.",
    ),
    Flag::text("sdnotify-socket", "PATH", |w| &mut w.sdnotify_socket).says(
        "Notify socket of the host, for the container's messages",
        "The notify socket of the host (sd_notify(3)), to which the container's own messages are relayed: \
         readiness, status, watchdog. A leading `@` means the abstract namespace. The container's side is \
         `notify/notify.sock` in the bundle.",
    ),
];
