//! Which container, and what is done with it.

use super::Flag;

pub(super) static FLAGS: &[Flag] = &[
    Flag::text("cid", "ID", |w| &mut w.cid).short(b'c').says(
        "Id of the container (required)",
        "The container's id. It is the last argument of the runtime and names the file in `--exit-dir`. \
         Required.",
    ),
    Flag::text("cuuid", "UUID", |w| &mut w.cuuid).short(b'u').says(
        "Name of the attach directory; of an exec, its session id",
        "Names the link below `--socket-dir-path`. For an exec it is the id of the session. Required, except \
         for `--exec` without `--api-version`.",
    ),
    Flag::text("name", "NAME", |w| &mut w.name).short(b'n').says(
        "Name of the container, for journal fields",
        "The name people gave the container. It appears in journal fields only.",
    ),
    Flag::text("bundle", "DIR", |w| &mut w.bundle).short(b'b').says(
        "Directory of the OCI bundle",
        "The OCI bundle, which must be an existing directory. The supervisor puts `attach`, `ctl`, `winsz` \
         and, when memory ran out, `oom` there. Default: the working directory; an exec has no default, and \
         without a bundle it has no attach socket.",
    ),
    Flag::switch("exec", |w| &mut w.exec).short(b'e').says(
        "Run a process in a container that is running already",
        "Ask the runtime for `exec` instead of `create`.",
    ),
    Flag::text("exec-process-spec", "FILE", |w| &mut w.exec_process_spec).says(
        "Description of the process, for --exec",
        "The process description in JSON. It is handed to the runtime unopened. Required with `--exec`, \
         ignored without.",
    ),
    Flag::switch("exec-attach", |w| &mut w.exec_attach).says(
        "Announce the attach socket, and wait, before the process starts",
        "With `--exec` and `--api-version`: announce on `_OCI_ATTACHPIPE` that clients can attach, then wait \
         for a second read of `_OCI_STARTPIPE` before the runtime is started. So a client that is attached in \
         between misses no output.",
    ),
    Flag::text("restore", "IMAGE", |w| &mut w.restore).says(
        "Restore the container from this checkpoint",
        "Ask the runtime for `restore` instead of `create`, with this path of the checkpoint image; the path \
         may be empty. Cannot be combined with `--exec`.",
    ),
    Flag::int("timeout", "SECONDS", |w| &mut w.timeout).short(b'T').default("0").says(
        "Kill the container after this time",
        "Kill the container when it has run for this long, counted from the moment its pid is known. 0 or \
         less means never.",
    ),
];
