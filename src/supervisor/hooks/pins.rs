//! The container's namespaces, held by descriptor, so that they outlive its last process.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;

use crate::error::reason;
use crate::pid::Pid;
use crate::supervisor::Supervisor;

/// Their names below `/proc/PID/ns` (namespaces(7)), in the order in which hooks get them.
const NAMES: [&str; 8] = ["mnt", "net", "pid", "ipc", "uts", "user", "cgroup", "time"];
/// The variable that tells a hook which descriptor is which.
const VARIABLE: &str = "CONWARD_NAMESPACES";

/// A namespace.
#[derive(Debug)]
pub(super) struct Pin {
    name: &'static str,
    pub fd: OwnedFd,
}

impl Supervisor {
    /// Opens the namespaces of the container, which was just created, if hooks are to get them. What
    /// cannot be had is missing for them, and told.
    pub(in crate::supervisor) fn pin_namespaces(&mut self, pid: Pid) {
        if !self.plan.lifecycle.pin_namespaces {
            return;
        }
        let mut pins = Vec::new();
        for name in NAMES {
            match File::open(format!("/proc/{pid}/ns/{name}")) {
                Ok(file) => pins.push(Pin { name, fd: file.into() }),
                // An older kernel, or a process that has ended.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => log::warn!("cannot pin the {name} namespace: {}", reason(&error)),
            }
        }
        // The pid is the container's only if that still has not been reaped.
        if self.container.init.as_ref().is_none_or(|init| init.signal(0).is_err()) {
            pins.clear();
        }
        if pins.is_empty() {
            log::warn!("no namespace is pinned: the container has ended already");
        }
        self.hooks.pins = pins;
    }
}

/// Tells which of a hook's descriptors is which; nothing, if it has none of them.
pub(super) fn variable(pins: &[Pin]) -> Option<String> {
    let words: Vec<String> =
        pins.iter().zip(3..).map(|(pin, number)| format!("{}={number}", pin.name)).collect();
    (!words.is_empty()).then(|| format!("{VARIABLE}={}", words.join(",")))
}
