//! The supervisor with real runc: what a container engine does, in the engine's own words.
//!
//! Needs root, runc and busybox; fails, and says what is missing, without them.

mod attach;
mod control;
mod end;
mod exec;
mod lifecycle;
mod memory;
mod plain;
mod privileges;
mod sessions;
mod streams;
