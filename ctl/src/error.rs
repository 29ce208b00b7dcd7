//! What goes wrong, and the exit status for it.

use std::{fmt, io};

use conward_protocol::{ErrorCode, client};

/// Exit status of our own errors, as with Podman.
pub const OWN: u8 = 125;
/// Exit status where the runtime could not run the program.
const NOT_RUNNABLE: u8 = 126;
/// Exit status where there is no such program.
const NOT_FOUND: u8 = 127;

/// Why a command was not done.
#[derive(Debug, PartialEq, Eq)]
pub struct Error {
    /// For people: what was being done, to what, and why it failed.
    pub message: String,
    /// For scripts.
    pub status: u8,
    /// Whether all there is to it is that nobody reads our output any more.
    pub output_closed: bool,
}

impl Error {
    /// An error of our own.
    pub fn new(message: impl Into<String>) -> Error {
        Error { message: message.into(), status: OWN, output_closed: false }
    }

    /// A system call failed at this.
    pub fn io(doing: impl fmt::Display, error: impl Into<io::Error>) -> Error {
        Error::new(format!("{doing}: {}", reason(&error.into())))
    }

    /// The output could not be written.
    pub fn output(error: &io::Error) -> Error {
        let output_closed = error.kind() == io::ErrorKind::BrokenPipe;
        Error { output_closed, ..Error::new(format!("writing the output: {}", reason(error))) }
    }

    /// A supervisor did not do it.
    pub fn asked(id: &str, error: &client::Error) -> Error {
        match error {
            client::Error::Refused(failure) if failure.code == ErrorCode::RuntimeFailed => {
                Error::runtime(id, &failure.message)
            }
            client::Error::Closed => Error::new(format!("{id}: the supervisor ended before it answered")),
            client::Error::Io(error) => {
                Error::io(format_args!("{id}: talking to the supervisor"), clone(error))
            }
            other => Error::new(format!("{id}: {other}")),
        }
    }

    /// The runtime failed with these words, which tell what about the program is wrong, if it is that.
    pub fn runtime(id: &str, text: &str) -> Error {
        Error { status: runtime_status(text), ..Error::new(format!("{id}: {}", text.trim_end())) }
    }
}

/// The runtimes have only words for it: those of exec(3) in Go, C and Rust.
fn runtime_status(text: &str) -> u8 {
    let text = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // A missing rootfs or mount source is "no such file" too; only `exec` speaks of the program.
    if !says(&["exec", "executable"]) {
        OWN
    } else if says(&["executable file not found", "no such file or directory"]) {
        NOT_FOUND
    } else if says(&["permission denied", "is a directory", "exec format error"]) {
        NOT_RUNNABLE
    } else {
        OWN
    }
}

/// The system's sentence without Rust's "(os error N)".
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or(&text).to_owned()
}

fn clone(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::{NOT_FOUND, NOT_RUNNABLE, OWN, runtime_status};

    #[test]
    fn what_runtimes_say_of_the_program() {
        let table = [
            (r#"runc create failed: exec: "nope": executable file not found in $PATH"#, NOT_FOUND),
            (r#"exec: "/nope": stat /nope: no such file or directory"#, NOT_FOUND),
            (r#"exec: "/etc": is a directory"#, NOT_RUNNABLE),
            (r#"exec: "/etc/passwd": permission denied"#, NOT_RUNNABLE),
            ("crun: executable file `nope` not found in $PATH: No such file or directory", NOT_FOUND),
            ("crun: open executable: Permission denied", NOT_RUNNABLE),
            ("mkdir /sys/fs/cgroup/x: permission denied", OWN),
            ("container with given ID already exists", OWN),
        ];
        for (text, status) in table {
            assert_eq!(runtime_status(text), status, "{text}");
        }
    }
}
