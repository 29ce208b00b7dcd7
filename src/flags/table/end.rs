//! What is left behind when the container has ended.

use super::Flag;

pub(super) static FLAGS: &[Flag] = &[
    Flag::text("exit-dir", "DIR", |w| &mut w.exit_dir).says(
        "Directory for the exit file, which is named by the container",
        "When the container has ended, a file named by its id appears here, whole, with the exit status in \
         decimal.",
    ),
    Flag::text("persist-dir", "DIR", |w| &mut w.persist_dir).short(b'0').says(
        "Directory for the files exit and oom",
        "When the container has ended, a file `exit` with its status appears here, before the one in \
         `--exit-dir`; an empty file `oom` appears when memory ran out.",
    ),
    Flag::text("exit-command", "PATH", |w| &mut w.exit_command).says(
        "Program to run after the end was recorded",
        "A program that is run after the exit files were written, and also after a container that could not \
         be created. PATH is not searched. Its own status is not passed on.",
    ),
    Flag::list("exit-command-arg", "ARG", |w| &mut w.exit_command_arg)
        .says("Argument of the exit command", "An argument of the exit command, after its name."),
    Flag::int("exit-delay", "SECONDS", |w| &mut w.exit_delay).default("0").says(
        "Time to wait before the exit command",
        "How long to wait before the exit command is started. A negative time is refused.",
    ),
    Flag::switch("delete-on-exit", |w| &mut w.delete_on_exit).says(
        "Have the runtime delete the container at its end",
        "When the end was recorded and the exit command is over, have the runtime delete the container. What \
         comes of that is added to the exit record, and changes no status. Cannot be combined with `--exec`.",
    ),
    Flag::switch("keep-state", |w| &mut w.keep_state).says(
        "Keep state and exit record after the end",
        "Leave the files in the control directory when the container has ended, until a manager asks for \
         `delete`, and stay as long as one is connected. It needs a control directory, and cannot be combined \
         with `--exec`.",
    ),
    Flag::list("hook", "STAGE=PATH", |w| &mut w.hook).says(
        "Program to run at a stage of the container's life",
        "A program that is run when the container was `created` or `started`, has `exited` and that is \
         recorded, or was `deleted` by the runtime at the request of the supervisor. The path is absolute. Can \
         be given several times: hooks run one after the other, those of a stage in the order in which they \
         were given. See Hooks above. Cannot be combined with `--exec`.",
    ),
    Flag::int("hook-timeout", "SECONDS", |w| &mut w.hook_timeout).default("30").says(
        "Time that each hook may take",
        "How long each hook may take, at least 1. Then it is killed, with its process group, and the next one \
         is run.",
    ),
    Flag::switch("pin-namespaces", |w| &mut w.pin_namespaces).says(
        "Hand the container's namespaces to its exited hooks",
        "Open the namespaces of the container when it is created, and hand them to hooks of the stage \
         `exited`, which so can look into a mount namespace whose last process is gone. There must be such a \
         hook.",
    ),
];
