//! The supervisor with real Podman: what people type, and what they must see.
//!
//! Needs root, podman, runc, uidmap, busybox and systemd-journald; fails, and says what is missing,
//! without them. Each test has storage, locks, `/run` and processes of its own.

mod bulk;
mod ctl;
mod exec;
mod lifecycle;
mod logs;
mod notify;
mod rootless;
mod run;
