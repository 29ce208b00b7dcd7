//! How the supervisor speaks of itself: lines on stderr, and in syslog if asked for.
//!
//! stderr leads nowhere once the supervisor has detached, so then syslog remains, and what the
//! supervisor itself keeps for managers: each line comes out of the channel as well.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::SystemTime;

use log::{Level, LevelFilter};

use crate::plan::{Diagnostics, Said};

/// Where syslog(3) sends to.
const SYSLOG: &str = "/dev/log";
/// Facility `user`, severities `err` and `info` (RFC 3164, section 4.1.1).
const PRIORITY_ERROR: u8 = (1 << 3) | 3;
const PRIORITY_INFO: u8 = (1 << 3) | 6;

/// Lines that wait to be kept. The one who keeps them takes them out after each turn of its loop; of
/// more in one turn, the last are lost, and the numbers tell how many.
const WAITING_MAX: usize = 64;

/// Makes `log::warn!` and its kin speak, from the planned level on; [`log::set_max_level`] changes
/// that. To be called once. Each line comes out of the channel too.
pub fn install(plan: &Diagnostics) -> Receiver<Said> {
    let (said, receiver) = sync_channel(WAITING_MAX);
    let (lines, warnings) = (AtomicU64::new(0), AtomicU64::new(0));
    let syslog = if plan.syslog { UnixDatagram::unbound().ok() } else { None };
    if let Some(socket) = &syslog {
        // A full syslog loses the line rather than time.
        let _ = socket.set_nonblocking(true);
    }
    let ident = plan.ident.clone();
    env_logger::Builder::new()
        .filter_level(LevelFilter::Trace)
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
            let warns = u64::from(record.level() <= Level::Warn);
            let line = Said {
                time: SystemTime::now(),
                level: record.level(),
                message: record.args().to_string(),
                lines: lines.fetch_add(1, Ordering::Relaxed) + 1,
                warnings: warnings.fetch_add(warns, Ordering::Relaxed) + warns,
            };
            // There may be no room; and nobody keeps lines in a launcher.
            let _ = said.try_send(line);
            writeln!(out, "[conmon:{letter}]: {}", record.args())
        })
        .init();
    log::set_max_level(plan.level);
    receiver
}
