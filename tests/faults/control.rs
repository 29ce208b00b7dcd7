//! A client of the control socket that may be disappointed.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Lines, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use conward_testkit::{Place, readable};

/// A connection that was greeted.
pub struct Control {
    stream: UnixStream,
    lines: Lines<BufReader<UnixStream>>,
}

impl Control {
    /// Connects, and waits at most so long for the greeting, and later for each answer. An error that
    /// begins with `SILENCE` is an answer that never came.
    pub fn connect(place: &Place, patience: Duration) -> Result<Control, String> {
        // By way of a shorter path: that of a test may be longer than an address.
        let dir = place.path("control").join(place.id());
        let dir = File::open(dir).map_err(|error| format!("control: {error}"))?;
        let short = format!("/proc/self/fd/{}/control.sock", dir.as_raw_fd());
        let stream = UnixStream::connect(short).map_err(|error| format!("control: {error}"))?;
        stream.set_read_timeout(Some(patience)).expect("a time limit");
        let lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
        let mut client = Control { stream, lines };
        client.line("a greeting")?;
        Ok(client)
    }

    /// The next line.
    fn line(&mut self, what: &str) -> Result<String, String> {
        match self.lines.next() {
            Some(Ok(line)) => Ok(line),
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {
                Err(format!("SILENCE: {what} waits for ever"))
            }
            Some(Err(_)) | None => Err(format!("{what} was hung up on")),
        }
    }

    /// Sends a request, the members of an object after its `op`. Whoever was hung up on sees it at the next line.
    pub fn send(&mut self, request: &str) {
        self.write(request, "other");
    }

    fn write(&mut self, request: &str, tag: &str) {
        let (op, members) = request.split_once(',').unwrap_or((request, ""));
        let comma = if members.is_empty() { "" } else { "," };
        let _ = writeln!(self.stream, "{{\"op\":\"{op}\",\"tag\":\"{tag}\"{comma}{members}}}");
    }

    /// Sends a request, and waits for the reply.
    pub fn ask(&mut self, request: &str) -> Result<String, String> {
        self.begin(request);
        self.finish(request)
    }

    /// Sends a request whose reply is to be waited for later.
    pub fn begin(&mut self, request: &str) {
        self.write(request, "mine");
    }

    /// Whether nothing has come; for a client that has everything before that.
    pub fn is_silent(&self) -> bool {
        !readable(&self.stream, Duration::from_millis(30))
    }

    /// Waits for the reply to a request that was begun.
    pub fn finish(&mut self, request: &str) -> Result<String, String> {
        loop {
            let line = self.line(request)?;
            if line.contains("\"tag\":\"mine\"") {
                return Ok(line);
            }
        }
    }
}
