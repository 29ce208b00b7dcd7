//! How the supervisor speaks of itself: lines on stderr, and in syslog if asked for.
//!
//! stderr leads nowhere once the supervisor has detached, so then only syslog remains.

use std::io::Write;
use std::os::unix::net::UnixDatagram;

use log::Level;

use crate::plan::Diagnostics;

/// Where syslog(3) sends to.
const SYSLOG: &str = "/dev/log";
/// Facility `user`, severities `err` and `info` (RFC 3164, section 4.1.1).
const PRIORITY_ERROR: u8 = (1 << 3) | 3;
const PRIORITY_INFO: u8 = (1 << 3) | 6;

/// Makes `log::warn!` and its kin speak, from the planned level on. To be called once.
pub fn install(plan: &Diagnostics) {
    let syslog = if plan.syslog { UnixDatagram::unbound().ok() } else { None };
    if let Some(socket) = &syslog {
        // A full syslog loses the line rather than time.
        let _ = socket.set_nonblocking(true);
    }
    let ident = plan.ident.clone();
    env_logger::Builder::new()
        .filter_level(plan.level)
        .format(move |out, record| {
            let (letter, name) = match record.level() {
                Level::Error => ('e', "error"),
                Level::Warn => ('w', "nwarn"),
                Level::Info => ('i', "ninfo"),
                Level::Debug => ('d', "ndebug"),
                Level::Trace => ('d', "ntrace"),
            };
            if let Some(socket) = &syslog {
                let priority = if record.level() == Level::Error { PRIORITY_ERROR } else { PRIORITY_INFO };
                let line = format!("<{priority}>conmon: conmon {ident} <{name}>: {}", record.args());
                let _ = socket.send_to(line.as_bytes(), SYSLOG);
            }
            writeln!(out, "[conmon:{letter}]: {}", record.args())
        })
        .init();
}
