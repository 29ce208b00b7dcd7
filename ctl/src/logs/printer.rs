//! Records as the lines that they are of.

use std::io::{self, BufWriter, Stdout, Write};

use conward_protocol::Timestamp;
use conward_protocol::request::Stream;

use crate::error::Error;

/// Prints records of stdout and stderr where they belong.
#[derive(Debug)]
pub struct Printer {
    out: BufWriter<Stdout>,
    timestamps: bool,
    /// Whether a line of each stream has begun.
    open: [bool; 2],
}

impl Printer {
    /// One that begins each line with its time, or does not.
    pub fn new(timestamps: bool) -> Printer {
        Printer { out: BufWriter::new(io::stdout()), timestamps, open: [false; 2] }
    }

    /// Prints a record. Without a time it is none, but a line of the file all the same.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn print(
        &mut self,
        time: Option<Timestamp>,
        stream: Stream,
        partial: bool,
        content: &[u8],
    ) -> Result<(), Error> {
        let text = self.text(time, stream, partial, content);
        let written = match stream {
            Stream::Stdout => self.out.write_all(&text),
            Stream::Stderr => self.out.flush().and_then(|()| io::stderr().lock().write_all(&text)),
        };
        written.map_err(|error| Error::output(&error))
    }

    /// Brings all of it out.
    ///
    /// # Errors
    /// As for [`Printer::print`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.out.flush().map_err(|error| Error::output(&error))
    }

    fn text(&mut self, time: Option<Timestamp>, stream: Stream, partial: bool, content: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let open = &mut self.open[stream as usize];
        if self.timestamps && !*open {
            text.extend(time.map_or_else(|| "-".to_owned(), |time| time.to_string()).into_bytes());
            text.push(b' ');
        }
        *open = partial;
        text.extend_from_slice(content);
        text.extend((!partial).then_some(b'\n'));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Printer, Stream, Timestamp};

    #[test]
    fn records_are_joined() {
        let table: [(u32, Stream, bool, &str, &str); 6] = [
            (1, Stream::Stdout, true, "hel", "1970-01-01T00:00:00.000000001Z hel"),
            (2, Stream::Stderr, false, "oops", "1970-01-01T00:00:00.000000002Z oops\n"),
            (3, Stream::Stdout, false, "lo  x", "lo  x\n"),
            (4, Stream::Stdout, false, "", "1970-01-01T00:00:00.000000004Z \n"),
            (0, Stream::Stdout, false, "garbage", "- garbage\n"),
            (5, Stream::Stdout, true, "unended", "1970-01-01T00:00:00.000000005Z unended"),
        ];
        let mut printer = Printer::new(true);
        for (nanos, stream, partial, content, printed) in table {
            let time = (nanos > 0).then(|| Timestamp::new(0, nanos));
            let text = printer.text(time, stream, partial, content.as_bytes());
            assert_eq!(String::from_utf8_lossy(&text), printed);
        }
    }
}
