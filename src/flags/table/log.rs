//! Where the container's output is kept.

use super::Flag;

pub(super) static FLAGS: &[Flag] = &[
    Flag::list("log-path", "[DRIVER:]PATH", |w| &mut w.log_path).short(b'l').says(
        "Where output is kept (required)",
        "A log driver. `k8s-file:`PATH, `:`PATH, or a PATH alone if it begins with a slash or has no colon, is \
         a file with records in the format of Kubernetes; if several are given, only the last file is \
         written. `journald` is the systemd journal, alone or beside a file. `none`, `off` and `null` keep \
         nothing. `passthrough` hands the supervisor's own standard streams to the container: nothing is \
         logged and nobody can attach. At least one is required.",
    ),
    Flag::long("log-size-max", "BYTES", |w| &mut w.log_size_max).default("-1").says(
        "Size of the log file at which it is begun anew",
        "When the next record would make the log file larger than this, it is first replaced by an empty one, \
         or rotated. 0 or less means never.",
    ),
    Flag::long("log-global-size-max", "BYTES", |w| &mut w.log_global_size_max).default("-1").says(
        "Bytes after which nothing more is logged",
        "When this many bytes were logged, over all replaced files, nothing more is; clients still get all \
         output. 0 or less means no such limit.",
    ),
    Flag::switch("log-rotate", |w| &mut w.log_rotate).says(
        "Keep old log files instead of dropping them",
        "Rename a full log file to PATH`.1`, an older one to PATH`.2` and so on, instead of dropping it.",
    ),
    Flag::int("log-max-files", "COUNT", |w| &mut w.log_max_files).default("1").says(
        "Old log files to keep, with --log-rotate",
        "How many old log files `--log-rotate` keeps, at least 1.",
    ),
    Flag::list("log-policy", "[STREAM=]POLICY", |w| &mut w.log_policy).says(
        "What to do with output that the log does not take",
        "What becomes of output that a log does not take, since its disk or queue is full or it fails, or for \
         which `--log-rate` leaves no room. `block` does not read the stream meanwhile, so the container waits \
         when it writes. `drop-newest` loses what arrives. `drop-oldest` keeps up to 256 KiB for each stream \
         and log, and loses the oldest lines of it. Losses are counted, and the log tells of them. \
         STREAM is `stdout` or `stderr`; without it both are meant. Of a stream the last value counts. \
         Default: `block` for the rate; a log file that fails loses what arrives, and a full journal blocks for \
         a second at most. See under Log policies.",
    ),
    Flag::list("log-rate", "[STREAM=]BYTES[:BURST]", |w| &mut w.log_rate).says(
        "How many bytes a second of a stream are logged",
        "Bytes of a stream that a log takes in a second, and how many it takes at once after a pause (BURST, \
         else as many as in a second). Both may end in `k`, `m` or `g`, for powers of 1024. For STREAM see \
         `--log-policy`, which says what becomes of output beyond that. Each log counts for itself.",
    ),
    Flag::list("log-allowlist-dir", "DIR", |w| &mut w.log_allowlist_dir).says(
        "Directory that the log file must be below",
        "The log file must be in or below one of these directories. Without any it can be anywhere.",
    ),
    Flag::text("log-tag", "TAG", |w| &mut w.log_tag).says(
        "Tag of journal entries",
        "The journal field `CONTAINER_TAG`, and the name under which entries appear. It is refused if there is \
         a log file and no journal.",
    ),
    Flag::list("log-label", "LABEL=VALUE", |w| &mut w.log_label).says(
        "Field added to journal entries",
        "A field that is added to each journal entry. The label has upper-case letters, digits and underscores \
         only, the value no equals sign. It is refused if there is a log file and no journal.",
    ),
    Flag::switch("log-journal-priority", |w| &mut w.log_journal_priority).says(
        "Take the priority of a journal entry from its line",
        "Take a leading `<0>` to `<7>` off a line and make it the priority of its journal entry (the notation \
         of sd-daemon(3)). Without it the priority is 6 for standard output and 3 for standard error, the \
         only two at which `podman logs` goes on reading.",
    ),
    Flag::switch("no-container-partial-message", |w| &mut w.no_container_partial_message).says(
        "Do not mark incomplete lines in the journal",
        "Leave the field `CONTAINER_PARTIAL_MESSAGE` off journal entries that hold a part of a line.",
    ),
    Flag::switch("no-sync-log", |w| &mut w.no_sync_log).says(
        "Do not fsync the log file at the end",
        "Do not call fsync(2) for the log file when the container has ended.",
    ),
];
