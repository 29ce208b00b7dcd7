//! The files that an ended supervisor has left, read as it would have read them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use conward_protocol::k8s::{Entry, HEAD_MAX, Search, Selection, Spot};
use conward_protocol::request::Logs;

use super::printer::Printer;
use crate::error::Error;

/// Bytes that are looked at at once for the last lines.
const WINDOW: u64 = 64 * 1024;

/// Prints what is wanted of the log at this path, and of the old files `PATH.1` and so on.
///
/// # Errors
/// A file cannot be read, or the output not written.
pub fn read(path: &str, logs: &Logs, printer: &mut Printer) -> Result<(), Error> {
    let failed = |error: io::Error| Error::io(format_args!("log {path}"), error);
    let files = open_all(path).map_err(failed)?;
    let selection = find(&files, logs).map_err(failed)?;
    for (number, file) in (0..).zip(files) {
        let begin = selection.begin().unwrap_or(Spot { file: 0, at: 0 });
        let mut at = match number {
            number if number < begin.file => continue,
            number if number == begin.file => begin.at,
            _ => 0,
        };
        let mut file = BufReader::new(file);
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = file.read_until(b'\n', &mut line).map_err(failed)?;
            if count == 0 {
                break;
            }
            let entry = Entry::parse(line.strip_suffix(b"\n").unwrap_or(&line));
            if selection.wants(entry.stream, Spot { file: number, at }) {
                printer.print(entry.time, entry.stream, entry.partial, entry.content)?;
            }
            at += count as u64;
        }
    }
    Ok(())
}

/// The oldest first. Without the log itself there is none.
fn open_all(path: &str) -> io::Result<Vec<File>> {
    let mut files = vec![File::open(path)?];
    for number in 1.. {
        match File::open(format!("{path}.{number}")) {
            Ok(file) => files.push(file),
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    files.reverse();
    Ok(files)
}

/// Where what is wanted begins.
fn find(files: &[File], logs: &Logs) -> io::Result<Selection> {
    if logs.tail.is_none() && logs.since.is_none() {
        return Ok(Selection::from(Spot { file: 0, at: 0 }, logs.stream));
    }
    let sizes: Vec<u64> = files.iter().map(|file| Ok(file.metadata()?.len())).collect::<io::Result<_>>()?;
    let end = Spot { file: files.len() as i64 - 1, at: sizes.last().copied().unwrap_or(0) };
    let mut search = Search::new(logs, end);
    for (index, file) in files.iter().enumerate().rev() {
        let size = sizes[index];
        let mut end = size;
        while end > 0 && !search.done() {
            let at = end.saturating_sub(WINDOW);
            let len = (end - at) as usize;
            let mut window = vec![0; len + HEAD_MAX.min((size - end) as usize)];
            file.read_exact_at(&mut window, at)?;
            search.look(Spot { file: index as i64, at }, &window, len);
            end = at;
        }
    }
    Ok(search.selection())
}

#[cfg(test)]
mod tests {
    use super::{find, open_all};
    use conward_protocol::k8s::Spot;
    use conward_protocol::request::Logs;
    use std::fs;

    #[test]
    fn old_files_are_found_and_searched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log").display().to_string();
        assert!(open_all(&path).is_err());
        let record = "2026-11-21T17:32:00.000000000+00:00 stdout F x\n";
        for (name, count) in [("log", 1), ("log.1", 2000), ("log.2", 3), ("log.4", 1)] {
            fs::write(dir.path().join(name), record.repeat(count)).unwrap();
        }
        let files = open_all(&path).unwrap();
        assert_eq!(files.len(), 3);
        let size = record.len() as u64;
        for (tail, file, records) in
            [(1, 2, 0), (2, 1, 1999), (1999, 1, 2), (2001, 1, 0), (2003, 0, 1), (9999, 0, 0)]
        {
            let logs = Logs { tail: Some(tail), ..Logs::default() };
            let begin = find(&files, &logs).unwrap().begin();
            assert_eq!(begin, Some(Spot { file, at: records * size }), "{tail}");
        }
        assert_eq!(find(&files, &Logs::default()).unwrap().begin(), Some(Spot { file: 0, at: 0 }));
    }
}
