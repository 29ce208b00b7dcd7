//! A line of the log file: `TIME STREAM TAG TEXT`, where TAG is `F`, or `P` if the text goes on in the
//! next record of its stream.

/// A record.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was read, as it stands in the file.
    pub time: &'a [u8],
    /// Whether it is of stderr.
    pub stderr: bool,
    /// Whether it is the end of its line.
    pub full: bool,
    /// What was written, without the newline.
    pub text: &'a [u8],
}

impl Record<'_> {
    /// Reads a line. What is no record is text of stdout: nothing in the file is kept from the reader.
    pub fn parse(line: &[u8]) -> Record<'_> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut fields = line.splitn(4, |&byte| byte == b' ');
        match (fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some(time), Some(stream @ (b"stdout" | b"stderr")), Some(tag @ (b"F" | b"P")), Some(text)) => {
                Record { time, stderr: stream == b"stderr", full: tag == b"F", text }
            }
            _ => Record { time: b"-", stderr: false, full: true, text: line },
        }
    }
}

/// Joins records to lines: whether a line of each stream (stdout, stderr) is open.
#[derive(Debug, Default)]
pub struct Lines {
    open: [bool; 2],
}

impl Lines {
    /// Whether this record begins a line.
    pub fn begins(&mut self, record: &Record<'_>) -> bool {
        let open = &mut self.open[usize::from(record.stderr)];
        let begins = !*open;
        *open = !record.full;
        begins
    }

    /// What to print for this record.
    pub fn text(&mut self, record: &Record<'_>, timestamps: bool) -> Vec<u8> {
        let mut text = Vec::new();
        if self.begins(record) && timestamps {
            text.extend_from_slice(record.time);
            text.push(b' ');
        }
        text.extend_from_slice(record.text);
        if record.full {
            text.push(b'\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, Record};

    #[test]
    fn records_are_joined() {
        let table: [(&[u8], &[u8]); 6] = [
            (b"T1 stdout P hel\n", b"T1 hel"),
            (b"T2 stderr F oops\n", b"T2 oops\n"),
            (b"T3 stdout F lo  x\n", b"lo  x\n"),
            (b"T4 stdout F \n", b"T4 \n"),
            (b"garbage\n", b"- garbage\n"),
            (b"T5 stdout P unended\n", b"T5 unended"),
        ];
        let mut lines = Lines::default();
        for (line, printed) in table {
            assert_eq!(lines.text(&Record::parse(line), true), printed);
        }
    }
}
