//! A supervisor that was started.

use crate::attach::Client;
use crate::process::Process;
use crate::wire::{read_some, read_to_end, readable};
use crate::{Launch, PATIENCE, Place, Script, Step, wait_for};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

/// One line of the sync pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The bytes, newline included.
    pub raw: Vec<u8>,
    /// `data`, `pid` or `exit_code`.
    pub key: String,
    /// The number.
    pub number: i64,
    /// The text, if there is one.
    pub text: Option<String>,
}

/// What the process that the caller spawned left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Its exit code, or 128 + signal.
    pub status: i32,
    /// All it printed to stdout.
    pub stdout: String,
    /// All it printed to stderr.
    pub stderr: String,
}

/// A supervisor from its start to its end. Whatever is left of it when this is dropped is ended.
#[derive(Debug)]
pub struct Running<'a> {
    place: &'a Place,
    launcher: Child,
    launched: Option<Launched>,
    sync: Option<OwnedFd>,
    start: Option<OwnedFd>,
    attach: Option<OwnedFd>,
    pid_file: Option<PathBuf>,
    monitor: Option<Process>,
}

impl<'a> Running<'a> {
    /// A container that prints the size of its terminal whenever that changes, until it has one row; and
    /// who has read the first one.
    pub fn of_sizes(place: &'a Place) -> (Running<'a>, Client) {
        place.script(&Script::of([Step::AwaitStart, Step::TtySizes]));
        let running = Launch::create(place).arg("-t").start().created();
        let client = running.attach();
        place.start_container();
        client.read_until("size 0 0\r\n");
        (running, client)
    }

    pub(crate) fn new(
        place: &'a Place,
        launcher: Child,
        sync: Option<OwnedFd>,
        start: Option<OwnedFd>,
        attach: Option<OwnedFd>,
        pid_file: Option<PathBuf>,
    ) -> Running<'a> {
        Running { place, launcher, launched: None, sync, start, attach, pid_file, monitor: None }
    }

    /// Sends a start byte: the first lets it begin, the second lets a gated exec begin. One that has
    /// ended already is no error here: how it ended is for the test to see.
    pub fn go(&mut self) {
        let start = self.start.as_ref().expect("a start pipe");
        match nix::unistd::write(start, b"\0") {
            Ok(_) | Err(Errno::EPIPE) => {}
            Err(error) => panic!("write to the start pipe: {error}"),
        }
    }

    /// Closes the start pipe without a byte.
    pub fn hang_up_start(&mut self) {
        self.start = None;
    }

    /// Sends a signal to the process that was spawned.
    pub fn kill_launcher(&self, signal: Signal) {
        let launcher = nix::unistd::Pid::from_raw(self.launcher_pid());
        nix::sys::signal::kill(launcher, signal).expect("the launcher is there");
    }

    /// Closes the reading end of the sync pipe.
    pub fn hang_up_sync(&mut self) {
        self.sync = None;
    }

    /// The pid of the process that was spawned.
    pub fn launcher_pid(&self) -> i32 {
        self.launcher.id().cast_signed()
    }

    /// Waits for the process that was spawned, and for the end of what it prints.
    pub fn launched(&mut self) -> Launched {
        if let Some(launched) = &self.launched {
            return launched.clone();
        }
        // At the ends of file the supervisor proper must have let go of them too.
        let out = self.launcher.stdout.take().expect("stdout is piped");
        let err = self.launcher.stderr.take().expect("stderr is piped");
        let stdout = text(read_to_end(&out, PATIENCE, "stdout of the launcher"));
        let stderr = text(read_to_end(&err, PATIENCE, "stderr of the launcher"));
        let status = wait_for("the launcher ends", PATIENCE, || self.launcher.try_wait().expect("wait"));
        let status = {
            use std::os::unix::process::ExitStatusExt;
            status.code().or(status.signal().map(|signal| 128 + signal)).expect("a status")
        };
        self.launched.insert(Launched { status, stdout, stderr }).clone()
    }

    /// The next bytes from the sync pipe: one message, or nothing at its end.
    pub fn raw_message(&mut self) -> Vec<u8> {
        let sync = self.sync.as_ref().expect("a sync pipe");
        read_some(sync, 1 << 20, PATIENCE, "sync pipe").unwrap_or_else(|error| panic!("sync pipe: {error}"))
    }

    /// The next message, which must be there and well formed.
    pub fn message(&mut self) -> Message {
        let raw = self.raw_message();
        assert!(!raw.is_empty(), "the sync pipe ended instead of a message");
        parse_message(raw)
    }

    /// The next message; none at the end of the sync pipe, or when `done` says that nothing more can come.
    pub fn next_message(&mut self, mut done: impl FnMut() -> bool) -> Option<Message> {
        let sync = self.sync.as_ref().expect("a sync pipe");
        let mut last = false;
        while !readable(sync, Duration::from_millis(2)) {
            // One that came while `done` looked is still taken.
            if last {
                return None;
            }
            last = done();
        }
        let raw = self.raw_message();
        (!raw.is_empty()).then(|| parse_message(raw))
    }

    /// The pid that is reported, which must be one.
    pub fn pid(&mut self) -> i32 {
        let message = self.message();
        assert!(message.number > 0, "no pid: {message:?}");
        i32::try_from(message.number).expect("a pid")
    }

    /// The sync pipe must end without another message.
    pub fn no_more_messages(&mut self) {
        let raw = self.raw_message();
        assert!(raw.is_empty(), "one message too many: {}", text(raw));
    }

    /// Waits for the attach pipe's message.
    pub fn attach_ready(&mut self) -> Message {
        let attach = self.attach.as_ref().expect("an attach pipe");
        let raw = read_some(attach, 4096, PATIENCE, "attach pipe").expect("attach pipe");
        assert!(!raw.is_empty(), "the attach pipe ended instead of a message");
        parse_message(raw)
    }

    /// A client on the attach socket in the bundle.
    pub fn attach(&self) -> Client {
        Client::connect(&self.place.bundle().join("attach"))
    }

    /// The supervisor proper: the spawned process, or the one it has forked and named in its pid file.
    pub fn monitor(&mut self) -> &mut Process {
        if self.monitor.is_none() {
            let pid = match self.pid_file.clone() {
                None => self.launcher.id().cast_signed(),
                Some(file) => {
                    let launched = self.launched();
                    assert_eq!(launched.status, 0, "the launcher failed: {}", launched.stderr);
                    let text = fs::read_to_string(file).expect("pid file of the supervisor");
                    text.parse().unwrap_or_else(|_| panic!("not a pid: {text:?}"))
                }
            };
            self.monitor = Process::open(pid);
        }
        self.monitor.as_mut().expect("the supervisor is alive, or a zombie that nobody reaped")
    }

    /// Sends the supervisor a signal.
    pub fn kill(&mut self, signal: Signal) {
        assert!(self.monitor().kill(signal), "the supervisor is gone");
    }

    /// Waits for the supervisor's end: its exit code, or 128 + signal.
    pub fn status(&mut self) -> i32 {
        match self.pid_file {
            Some(_) => self.monitor().status(),
            None => self.launched().status,
        }
    }

    /// Kills whatever was started from the place, for a test that has seen enough.
    pub fn abandon(mut self) {
        self.place.end_all();
        let _ = (self.launcher.kill(), self.launcher.wait());
        let killed = Launched { status: 128 + 9, stdout: String::new(), stderr: String::new() };
        self.launched.get_or_insert(killed);
    }

    /// The whole of an ordinary life up to the reported pid.
    pub fn created(mut self) -> Running<'a> {
        self.go();
        self.pid();
        self
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            if self.launched().status == 0 {
                self.status();
            }
            return;
        }
        let pid = self.pid_file.as_ref().and_then(|file| fs::read_to_string(file).ok()?.parse().ok());
        self.place.processes().into_iter().for_each(crate::process::end);
        let _ = (self.launcher.kill(), self.launcher.wait());
        pid.into_iter().for_each(crate::process::end);
    }
}

fn parse_message(raw: Vec<u8>) -> Message {
    let line = text(raw.clone());
    assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "not one line: {line:?}");
    let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {line:?}"));
    let number = object.iter().find(|(key, _)| *key != "message");
    let (key, number) = number.unwrap_or_else(|| panic!("no number: {line:?}"));
    assert!(object.len() <= 2, "too many members: {line:?}");
    Message {
        key: key.clone(),
        number: number.as_i64().unwrap_or_else(|| panic!("no number: {line:?}")),
        text: object.get("message").map(|text| text.as_str().expect("a text").to_owned()),
        raw,
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
