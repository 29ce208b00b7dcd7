//! Every known difference between Debian's conmon 2.1.6 and conward, and the reason for it.
//!
//! "Since 2.2" marks what is no difference from conmon 2.2.1, which conward follows where the two
//! versions disagree.

/// One fact of one scenario in which the two differ. In the two forms `*` stands for anything.
pub struct Difference {
    pub scenario: &'static str,
    pub fact: &'static str,
    pub reference: &'static str,
    pub conward: &'static str,
    pub why: &'static str,
}

/// A row of the table.
const fn row(
    scenario: &'static str,
    fact: &'static str,
    reference: &'static str,
    conward: &'static str,
    why: &'static str,
) -> Difference {
    Difference { scenario, fact, reference, conward, why }
}

const MARK: &str = "since 2.2 a colon stands after the mark of a diagnostic";
const LABELS: &str = "the option --log-label came with 2.2";
const MAX_FILES: &str = "the option --log-max-files came with 2.2";
const NAMES_FILE: &str = "an error names what it is about; callers match only on the words around it";
const NO_LOG_YET: &str = "all words are checked before a file is made";
const LOG_MODE: &str = "since 2.2 a new log is readable for the group, as log collectors need it";
const REASON: &str =
    "a failure always has a message with a reason; 2.1.6 sends none without the runtime's own words";
const PID_FILE: &str =
    "a pid file without a pid means that the runtime failed; 2.1.6 reports pid 0 as a success";
const CLEAN: &str = "nothing is left of a launch that failed: nobody else knows that it must be removed";
const EARLY: &str =
    "what can be known before the launcher returns is told by the launcher, not by a bare end of file";
const BOUND: &str = "callers read messages into 4096 bytes; a longer one is cut and then no JSON";
const ESCAPES: &str = "equivalent JSON with short escapes; 2.1.6 leaves 0x1f as it is, which is no JSON";
const TWO_FDS: &str = "a console message must have exactly one descriptor; 2.1.6 takes the first of two";
const SIGNALS: &str = "what a supervisor ignores or blocks for itself is none of its children's business";
const EXEC_STATUS: &str =
    "since 2.2 an exec's runtime may end with any status once it has written the pid file";
const NO_TTY: &str = "since 2.2 the console socket alone asks for a terminal";
const RESET: &str =
    "input that nobody read is taken in before the close: the client must see an end, not an error";
const LINK: &str =
    "the link is removed at the end, as since 2.2, and leads to a socket as soon as it is there";
const IN_THE_WAY: &str = "only a stale socket or fifo is replaced; what else has the name is somebody's file";
const INDEPENDENT: &str = "a record that cannot be written suppresses none of the steps after it";
const BOUNDARIES: &str = "a line is cut where it is too long, not where a read happened to end";
const COLONS: &str = "only the first colon ends the driver's name, so a path may have colons";
const REGULAR: &str =
    "a log is a regular file at its own path: a link may lead anywhere, and a fifo or device may block";
const ALIVE: &str = "a stray signal does not end the supervision of a container that goes on";
const STATUS: &str = "the kernel tells how a process ended that was not ours, through its pidfd (Linux 6.15)";
const FILTER: &str =
    "since 2.2 more than readiness is relayed: the states and texts of sd_notify(3) that carry no power";
const EMPTY: &str = "an empty datagram is no end of file";
const LISTEN: &str =
    "the reason without the mark and without the text of an errno that has nothing to do with it";

/// The table, in the order of the scenarios.
pub const DIFFERENCES: &[Difference] = &[
    row("parse_errors", "the mark of an error", "[conmon:e] R*", "[conmon:e]: R*", MARK),
    row(
        "validation",
        "--log-max-files -1",
        "*Unknown option --log-max-files\n",
        "*must be non-negative, got -1\n",
        MAX_FILES,
    ),
    row("log_options", "-l journald --log-label A", "*Unknown option*", "*LABEL=VALUE*'A'*", LABELS),
    row("log_options", "-l journald --log-label a=b", "*Unknown option*", "*only uppercase*", LABELS),
    row(
        "log_options",
        "-l k8s-file:LOG --log-label A=B",
        "*Unknown option*",
        "*doesn't support --log-label\n",
        LABELS,
    ),
    row("log_options", "-l k8s-file:LOG --log-tag t", "*--log-tag\n (log made)", "*--log-tag\n", NO_LOG_YET),
    row(
        "log_options",
        "-l k8s-file:LOG.missing/x",
        "1 E Failed to open log file No such file or directory\n",
        "1 E Failed to open log file DIR/ctr.log.missing/x: No such file or directory\n",
        NAMES_FILE,
    ),
    row("podman_create", "ctr.log while it runs", "f600", "f640", LOG_MODE),
    row("podman_create", "ctr.log at the end", "f600", "f640", LOG_MODE),
    row("crio_create", "ctr.log while it runs", "f600", "f640", LOG_MODE),
    row("crio_create", "ctr.log at the end", "f600", "f640", LOG_MODE),
    row("crio_create", "link at the end", "l777", "-", LINK),
    row(
        "crio_create",
        "order",
        "+sockets/ID +bundle/attach *",
        "+bundle/attach +sockets/ID * -sockets/ID",
        LINK,
    ),
    row("restore", "runtime: ignores SIGPIPE", "true", "false", SIGNALS),
    row("passthrough", "runtime: ignores SIGPIPE", "true", "false", SIGNALS),
    row(
        "listen_pid",
        "message for abc",
        "*[conmon:e]: Invalid LISTEN_PID abc Success*",
        "*\"Invalid LISTEN_PID abc\"}\n",
        LISTEN,
    ),
    row(
        "listen_pid",
        "message for 0",
        "*[conmon:e]: Invalid LISTEN_PID 0 Success*",
        "*\"Invalid LISTEN_PID 0\"}\n",
        LISTEN,
    ),
    row("socket_directory", "ctr.log while it runs", "f600", "f640", LOG_MODE),
    row("socket_directory", "ctr.log at the end", "f600", "f640", LOG_MODE),
    row("socket_directory", "link at the end", "l777", "-", LINK),
    row(
        "socket_directory",
        "order",
        "-sockets/ID +sockets/ID +bundle/attach *",
        "+bundle/attach -sockets/ID +sockets/ID * -sockets/ID",
        LINK,
    ),
    row("stale_files", "ctr.log while it runs", "f600", "f640", LOG_MODE),
    row("stale_files", "ctr.log at the end", "f600", "f640", LOG_MODE),
    row(
        "file_in_the_way",
        "first message",
        "{\"data\": PID}\n",
        "{\"data\": -1, \"message\": \"*attach*not a socket\"}\n",
        IN_THE_WAY,
    ),
    row("file_in_the_way", "the file", "-", "f644", IN_THE_WAY),
    row("file_in_the_way", "exit file", "3", "-", IN_THE_WAY),
    row("file_in_the_way", "persist exit file", "3", "-", IN_THE_WAY),
    row("file_in_the_way", "log of stdout", "F hello", "", IN_THE_WAY),
    row("file_in_the_way", "supervisor's status", "3", "1", IN_THE_WAY),
    row("runtime_view", "runtime: ignores SIGPIPE", "true", "false", SIGNALS),
    row("runtime_view", "runtime with a terminal: ignores SIGPIPE", "true", "false", SIGNALS),
    row("exit_command_view", "exit command: ignores SIGPIPE", "true", "false", SIGNALS),
    row("exit_command_view", "exit command: blocked", "0000000000010200", "0000000000000000", SIGNALS),
    row("text_and_status", "attach at the end", "s700", "-", CLEAN),
    row("text_and_status", "ctl at the end", "p640", "-", CLEAN),
    row("text_and_status", "winsz at the end", "p640", "-", CLEAN),
    row("text_and_status", "ctr.log at the end", "f600", "f640", LOG_MODE),
    row(
        "text_and_status",
        "order",
        "* +bundle/winsz +./hook.json",
        "* +bundle/winsz -bundle/attach -bundle/ctl -bundle/winsz +./hook.json",
        CLEAN,
    ),
    row("silent", "first message", "(end)", "{\"data\": -1, \"message\": \"*exit status 1*\"}\n", REASON),
    row(
        "silent_terminal",
        "first message",
        "(end)",
        "{\"data\": -1, \"message\": \"*exit status 1*\"}\n",
        REASON,
    ),
    row("no_pid_file", "first message", "(end)", "{\"data\": -1, \"message\": \"text\"}\n", REASON),
    row(
        "no_terminal",
        "first message",
        "(end)",
        "{\"data\": -1, \"message\": \"Runtime did not set up terminal*\"}\n",
        REASON,
    ),
    row(
        "not_executable",
        "first message",
        "(end)",
        "{\"data\": -1, \"message\": \"*Exec format error*\"}\n",
        REASON,
    ),
    row(
        "empty_pid_file",
        "first message",
        "{\"data\": 0}\n",
        "{\"data\": -1, \"message\": \"text\"}\n",
        PID_FILE,
    ),
    row("empty_pid_file", "exit file", "-1", "-", PID_FILE),
    row("empty_pid_file", "persist exit file", "-1", "-", PID_FILE),
    row("empty_pid_file", "log of stderr", "P text", "", PID_FILE),
    row("empty_pid_file", "supervisor's status", "255", "1", PID_FILE),
    row(
        "garbage_pid_file",
        "first message",
        "{\"data\": 0}\n",
        "{\"data\": -1, \"message\": \"text\"}\n",
        PID_FILE,
    ),
    row("garbage_pid_file", "exit file", "-1", "-", PID_FILE),
    row("garbage_pid_file", "persist exit file", "-1", "-", PID_FILE),
    row("garbage_pid_file", "log of stderr", "P text", "", PID_FILE),
    row("garbage_pid_file", "supervisor's status", "255", "1", PID_FILE),
    row("long_text", "first message", "*xxx*", "*xxx*", BOUND),
    row("escaped_text", "first message", "*\\u000de\\u0008f*\u{1f}*", "*\\re\\bf*\\u001f*", ESCAPES),
    row(
        "two_terminals",
        "first message",
        "{\"data\": PID}\n",
        "{\"data\": -1, \"message\": \"Runtime did not set up terminal*\"}\n",
        TWO_FDS,
    ),
    row("two_terminals", "exit file", "0", "-", TWO_FDS),
    row("two_terminals", "persist exit file", "0", "-", TWO_FDS),
    row("two_terminals", "supervisor's status", "0", "1", TWO_FDS),
    row("setup_failure", "launcher", "0 \"\"", "1 \"\"", EARLY),
    row("setup_failure", "launcher's stderr", "", "E Bundle path DIR/missing is not valid*", EARLY),
    row("setup_failure", "supervisor's status", "1", "(nothing)", EARLY),
    row("setup_failure", "log of stdout", "", "(nothing)", NO_LOG_YET),
    row("setup_failure", "log of stderr", "", "(nothing)", NO_LOG_YET),
    row("api_exec_failing", "heard", " Reset", " Eof", RESET),
    row("api_exec_failing", "session/attach", "s700", "-", CLEAN),
    row("api_exec_failing", "session/ctl", "p640", "-", CLEAN),
    row("api_exec_failing", "session/winsz", "p640", "-", CLEAN),
    row("api_exec_runtime_status", "first message", "(end)", "{\"data\": PID}\n", EXEC_STATUS),
    row("api_exec_runtime_status", "other messages", "", "{\"data\": 5}\n", EXEC_STATUS),
    row("api_exec_runtime_status", "heard", " Reset", " Eof", EXEC_STATUS),
    row("api_exec_runtime_status", "exit file", "-", "5", EXEC_STATUS),
    row("api_exec_runtime_status", "persist exit file", "-", "5", EXEC_STATUS),
    row("api_exec_runtime_status", "session/attach", "s700", "-", EXEC_STATUS),
    row("api_exec_runtime_status", "supervisor's status", "1", "5", EXEC_STATUS),
    row(
        "exec_view",
        "runtime: argv",
        "* --detach --tty --console-socket *",
        "* --detach --console-socket *",
        NO_TTY,
    ),
    row("exec_view", "runtime: ignores SIGPIPE", "true", "false", SIGNALS),
    row(
        "read_boundaries",
        "log of stdout",
        "81 x F [99]; P [92]; F xxxxxxx; 81 x F [99]; P [84]; F xxxxxxxxxxxxxxx; 36 x F [99]",
        "200 x F [99]",
        BOUNDARIES,
    ),
    row("log_options", "a log that is a device", "0 ", "1 E * it is a device\n", REGULAR),
    row("log_options", "a log that is a link", "0 ", "1 E * it is a symbolic link\n", REGULAR),
    row("colon_in_path", "a:b", "-", "f640", COLONS),
    row("colon_in_path", "a", "f600", "-", COLONS),
    row("unread_input", "heard", "* Reset", "bye |  | Eof", RESET),
    row("stranger", "exit file", "Some(\"-1\")", "Some(\"137\")", STATUS),
    row("missing_persist", "exit file", "-", "4", INDEPENDENT),
    row("missing_persist", "exits/ID at the end", "-", "f644", INDEPENDENT),
    row("missing_persist", "attach at the end", "s700", "-", INDEPENDENT),
    row("missing_persist", "supervisor's status", "1", "4", INDEPENDENT),
    row(
        "missing_persist",
        "order",
        "* +bundle/winsz +./hook.json",
        "* +bundle/winsz +exits/ID -bundle/attach +./hook.json",
        INDEPENDENT,
    ),
    row("missing_persist", "ctr.log while it runs", "f600", "f640", LOG_MODE),
    row("missing_persist", "ctr.log at the end", "f600", "f640", LOG_MODE),
    row("missing_exit_dir", "other messages", "", "{\"data\": 4}\n", INDEPENDENT),
    row("missing_exit_dir", "supervisor's status", "1", "4", INDEPENDENT),
    row("noise", "SIGHUP", "129 None", "3 Some(\"3\")", ALIVE),
    row("noise", "SIGUSR2", "140 None", "3 Some(\"3\")", ALIVE),
    row("filter", "\"STATUS=a b\\nFOO=1\"", "(nothing)", "STATUS=a b", FILTER),
    row(
        "filter",
        "\"RELOADING=1\\nMONOTONIC_USEC=5\"",
        "(nothing)",
        "RELOADING=1\\nMONOTONIC_USEC=5",
        FILTER,
    ),
    row("filter", "\"STOPPING=1\"", "(nothing)", "STOPPING=1", FILTER),
    row("filter", "\"WATCHDOG=trigger\"", "(nothing)", "WATCHDOG=trigger", FILTER),
    row("filter", "\"ERRNO=2\\r\\nBUSERROR=x\"", "(nothing)", "ERRNO=2\\nBUSERROR=x", FILTER),
    row("filter", "\"STATUS=\"", "(nothing)", "STATUS=", FILTER),
    row("filter", "after an empty datagram", "(nothing)", "READY=1", EMPTY),
];
