//! The bounds of the protocol, and what happens at each.

/// Bytes of a line at most, its newline not counted, in both directions. A longer request is skipped
/// and answered with `too-long`; a reply that would be longer becomes the error `too-long`.
pub const LINE_MAX: usize = 64 * 1024;
/// Requests of one client without a final answer at most. The next is answered with `busy`.
pub const IN_FLIGHT_MAX: usize = 64;
/// Clients of the control socket at most. The next is told `busy` and closed.
pub const CLIENTS_MAX: usize = 64;
/// Bytes that wait for one client at which its requests are left alone until it has read: who asks for more than
/// it can read at once is not dropped for that.
pub const AHEAD_MAX: usize = LINE_MAX;
/// Bytes that wait for one client at most. A client that is further behind is told `too-slow`, where
/// that can still be written, and closed. Room for a few of the longest lines.
pub const QUEUE_MAX: usize = 4 * LINE_MAX;
/// Events that the ring holds. An older one is forgotten; who asks for it is told how many it missed.
pub const RING: usize = 256;
/// Diagnostics that the supervisor keeps for `debug`. An older one is forgotten.
pub const DEBUG_RING: usize = 128;
/// Bytes of one of them at most. A longer one loses its end.
pub const DIAGNOSTIC_MAX: usize = 1024;
/// Bytes of a command in the answer to `ps` at most. A longer one loses its end.
pub const COMMAND_MAX: usize = 4 * 1024;
/// Exec sessions at once, at most. The next is answered with `busy`.
pub const EXECS_MAX: usize = 128;
/// Ended exec sessions whose outcome is kept for a late `wait`. An older one is `no-such-exec`.
pub const EXECS_KEPT: usize = 64;
/// Bytes of a line that a session logs, at most. A longer one becomes several.
pub const EXEC_LINE_MAX: usize = 8 * 1024;
/// Bytes of lines of sessions that wait for a line of the container to end, for each stream. From there
/// on the sessions are not read: their processes wait as for a slow terminal.
pub const EXEC_WAITING_MAX: usize = 64 * 1024;
/// Bytes of each output stream that can be replayed, at most. Older ones are in the log only.
pub const REPLAY_MAX: usize = 32 * 1024;
/// Attachments of one process by request at once, at most. The next is answered with `busy`.
pub const ATTACHMENTS_MAX: usize = 64;
/// Bytes of the text of one log record in a line of `logs`, at most: six for one, the most that JSON
/// needs, fit in a line. A longer record comes in pieces, all but the last marked `partial`.
pub const LOG_TEXT_MAX: usize = 8 * 1024;
/// Requests `logs` at work at once, of all clients. The next is answered with `busy`.
pub const LOGS_MAX: usize = 64;
/// Levels of nesting of a request at most. Deeper is `bad-json`.
pub const DEPTH_MAX: usize = 32;
/// Bytes of a tag at most, as JSON. A longer one is `bad-request`, answered without a tag.
pub const TAG_MAX: usize = 128;
/// Bytes of the id of an exec session at most.
pub const EXEC_ID_MAX: usize = 64;
/// Bytes of an error message at most. A longer one (of a runtime) loses its middle.
pub const MESSAGE_MAX: usize = 4 * 1024;
/// Bytes of a hook's output that its outcome keeps. Of more, these last ones.
pub const HOOK_OUTPUT_MAX: usize = 1024;
/// The largest number in a request: what a double holds exactly, since many languages read JSON
/// numbers as doubles (RFC 8259, section 6).
pub const NUMBER_MAX: u64 = (1 << 53) - 1;
/// Grace time of `stop` where the request names none, in milliseconds.
pub const STOP_TIMEOUT_MS: u64 = 10_000;
