//! What must hold whatever comes in: a module for each way into conward, and in it a function of bytes
//! that panics where something does not hold.
//!
//! `fuzz/` looks for bytes that break them. `tests/seeds.rs` runs them on what is below `fuzz/seeds`, so
//! a finding becomes a test by adding a file. What the bytes mean stands at each module.

pub mod attach;
pub mod cgroup;
pub mod command_line;
pub mod control_line;
pub mod ctl_line;
pub mod journal;
pub mod lifecycle;
pub mod log;
pub mod log_file;
pub mod notify;
pub mod records;
pub mod report;
pub mod server_line;

mod script;
mod told;

/// Asserts that this is one line: a newline at its end and no other, no longer than the protocol allows.
fn assert_is_line(line: &[u8]) {
    let text = line.strip_suffix(b"\n").expect("a newline at the end");
    assert!(!text.contains(&b'\n'), "two lines: {}", line.escape_ascii());
    assert!(text.len() <= conward_protocol::limits::LINE_MAX, "a line of {} bytes", text.len());
}
