//! The log file read back, in small steps, while it is written, replaced and rotated.
//!
//! A reader holds one file open, so that it gets all of it whatever becomes of its name, and knows by
//! which files the log went on. Between its turns it keeps places, but no bytes.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use conward_protocol::Timestamp;
use conward_protocol::body::{LogEnd, LogRecord};
use conward_protocol::k8s::{Entry, HEAD_MAX, Search, Selection, Spot};
use conward_protocol::limits::LOG_TEXT_MAX;
use conward_protocol::request::{Logs, Stream};
use memchr::memchr;

use super::Sinks;
use super::place::FileId;

/// Bytes that are read in one turn, and records that are told: as lines of the protocol, some 130 KiB
/// at most.
const CHUNK: usize = 12 * 1024;
const RECORDS_MAX: usize = 256;
/// Bytes in which one turn looks for the last lines.
const WINDOW: usize = 64 * 1024;
/// Files that a reader which is behind has before it, at most. Of more it misses the oldest.
const FILES_MAX: usize = 2000;

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There may be more to read at once.
    More,
    /// Nothing more before [`Sinks::written`] changes, or the log [`Sinks::is_finished`].
    Waits,
    /// All that was wanted is read.
    End,
}

/// One who reads the log.
#[derive(Debug)]
pub struct Reader {
    /// The files that are still to be read, by number, the one at work first; in a search, the last
    /// is at work.
    files: VecDeque<(i64, FileId)>,
    /// The newest file that was known.
    newest: i64,
    /// The file at work, once it is needed.
    file: Option<File>,
    /// How far that one is read; in a search, how far down it was looked at.
    at: u64,
    aim: Aim,
    only: Option<Stream>,
    /// Where to stop. `None`: not before all output is there.
    until: Option<Spot>,
    /// A line too long for one turn, whose end is still to come.
    long: Option<Long>,
    /// Of the last record.
    time: Timestamp,
    /// Where it began to read, and the first record that was told.
    begin: Spot,
    first: Option<Spot>,
    records: u64,
    /// Something that was written is not there any more.
    damaged: bool,
}

#[derive(Debug)]
enum Aim {
    /// To find where to begin; the file of this index is at work.
    Find {
        /// What was found.
        search: Search,
        /// From the end; behind the last at first, if the newest file is gone.
        index: usize,
    },
    /// To tell these records.
    Tell(Selection),
}

/// What the rest of a long line is of.
#[derive(Clone, Copy, Debug)]
struct Long {
    begin: Spot,
    stream: Stream,
    partial: bool,
}

impl Reader {
    /// One that reads what `logs` asks for. `None`: there is no log file.
    ///
    /// # Errors
    ///
    /// The directory of the log cannot be read, or the file not opened.
    pub fn new(sinks: &Sinks, logs: &Logs) -> io::Result<Option<Reader>> {
        let Some(trail) = sinks.trail() else { return Ok(None) };
        let files = trail.all()?;
        let newest = trail.newest();
        let file = match files.back() {
            Some((number, id)) if *number == newest => sinks.open_to_read(*id)?,
            _ => None,
        };
        let size = file.as_ref().map_or(Ok(0), |file| file.metadata().map(|metadata| metadata.len()))?;
        let end = Spot { file: newest, at: size };
        let begin = Spot { file: files.front().map_or(newest, |(number, _)| *number), at: 0 };
        let from_the_end = logs.tail.is_some() || logs.since.is_some();
        let (aim, file, at) = match from_the_end {
            true => {
                let index = files.len() - usize::from(file.is_some());
                (Aim::Find { search: Search::new(logs, end), index }, file, size)
            }
            false => (Aim::Tell(Selection::from(begin, logs.stream)), None, 0),
        };
        Ok(Some(Reader {
            files,
            newest,
            file,
            at,
            aim,
            only: logs.stream,
            until: (!logs.follow).then_some(end),
            long: None,
            time: Timestamp::new(0, 0),
            begin,
            first: None,
            records: 0,
            damaged: false,
        }))
    }

    /// Goes on for one step, and tells the records that it has read.
    ///
    /// # Errors
    ///
    /// A file cannot be opened or read.
    pub fn turn(&mut self, sinks: &Sinks, tell: impl FnMut(&LogRecord)) -> io::Result<Turn> {
        self.learn(sinks);
        match &mut self.aim {
            Aim::Find { .. } => self.look_back(sinks),
            Aim::Tell(_) => self.read_on(sinks, tell),
        }
    }

    /// What to say at the end: whether all is there depends on the whole log, not on what was selected
    /// before the first record.
    pub fn end(&self, sinks: &Sinks) -> LogEnd {
        let lost = sinks.trail().map_or([None; 2], |trail| trail.lost());
        let of_ours =
            Stream::ALL.iter().zip(lost).filter(|(of, _)| self.only.is_none_or(|only| only == **of));
        let mut spots = of_ours.filter_map(|(_, lost)| lost);
        let lossy = match self.first {
            Some(first) => spots.any(|lost| lost > first),
            None => spots.any(|lost| lost >= self.begin),
        };
        LogEnd { records: self.records, complete: !lossy && !self.damaged }
    }

    /// Looks at the part of the log before the one that it looked at last.
    fn look_back(&mut self, sinks: &Sinks) -> io::Result<Turn> {
        let Aim::Find { search, index } = &mut self.aim else { return Ok(Turn::More) };
        if search.done() || (self.at == 0 && *index == 0) {
            let selection = search.selection();
            self.start(selection);
        } else if let (Some(file), 1..) = (&self.file, self.at) {
            let from = self.at.saturating_sub(WINDOW as u64);
            let mut window = vec![0; (self.at - from) as usize + HEAD_MAX];
            let read = read_full(file, &mut window, from)?;
            let spot = Spot { file: self.files[*index].0, at: from };
            search.look(spot, &window[..read], (self.at - from) as usize);
            self.at = from;
        } else {
            *index -= 1;
            self.file = sinks.open_to_read(self.files[*index].1)?;
            match &self.file {
                Some(file) => self.at = file.metadata()?.len(),
                // The log begins behind it.
                None => drop(self.files.drain(..=std::mem::take(index))),
            }
        }
        Ok(Turn::More)
    }

    /// Begins to tell what was found.
    fn start(&mut self, selection: Selection) {
        self.begin = selection.begin().unwrap_or(self.begin);
        if let Aim::Find { index, .. } = self.aim
            && self.files.get(index).is_none_or(|(number, _)| *number != self.begin.file)
        {
            self.file = None;
        }
        self.at = self.begin.at;
        self.files.retain(|(number, _)| *number >= self.begin.file);
        self.aim = Aim::Tell(selection);
    }

    /// Tells the records of the next chunk.
    fn read_on(&mut self, sinks: &Sinks, mut tell: impl FnMut(&LogRecord)) -> io::Result<Turn> {
        let ends = sinks.is_finished() || self.until.is_some();
        let stop = if ends { Turn::End } else { Turn::Waits };
        let Some((number, id)) = self.files.front() else { return Ok(stop) };
        let here = Spot { file: *number, at: self.at };
        let left = match self.until {
            Some(until) if here >= until => return Ok(Turn::End),
            Some(until) if here.file == until.file => until.at - here.at,
            Some(_) | None => u64::MAX,
        };
        if self.file.is_none() {
            self.file = sinks.open_to_read(*id)?;
        }
        let Some(file) = &self.file else {
            self.damaged = true;
            self.next_file();
            return Ok(Turn::More);
        };
        let mut chunk = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
        let read = read_full(file, &mut chunk, here.at)?;
        let is_short = read == 0 && file.metadata()?.len() < here.at;
        let is_last = self.files.len() == 1;
        let mut taken = self.split(here, &chunk[..read], &mut tell);
        if taken > 0 {
            // There may be more.
        } else if is_short {
            // Somebody has cut the file in place, and what is in it now was written since.
            (self.at, self.long, self.damaged) = (0, None, true);
        } else if is_last && !ends {
            return Ok(Turn::Waits);
        } else if read > 0 {
            // Nobody will end this line: whoever wrote it was interrupted.
            self.line(here, &chunk[..read], false, &mut tell);
            (taken, self.damaged) = (read, true);
        } else if is_last {
            return Ok(Turn::End);
        } else {
            self.next_file();
        }
        self.at += taken as u64;
        Ok(Turn::More)
    }

    /// Takes note of the files by which the log went on.
    fn learn(&mut self, sinks: &Sinks) {
        let Some(trail) = sinks.trail() else { return };
        for (number, id) in trail.after(self.newest) {
            self.damaged |= number > self.newest + 1;
            self.newest = number;
            let Some(id) = id else {
                self.damaged = true;
                continue;
            };
            self.forget(id);
            self.files.push_back((number, id));
            if self.files.len() > FILES_MAX {
                self.files.remove(1);
                self.damaged = true;
            }
        }
    }

    /// Forgets the file of which a newer one has the id: it is gone. One that is held open keeps its id.
    fn forget(&mut self, id: FileId) {
        let held = match &self.aim {
            Aim::Find { index, .. } => *index,
            Aim::Tell(_) => 0,
        };
        let is_held = |index| self.file.is_some() && index == held;
        let gone = (0..self.files.len()).find(|&index| self.files[index].1 == id && !is_held(index));
        let Some(gone) = gone else { return };
        self.damaged = true;
        match &mut self.aim {
            // Also the place in it.
            Aim::Tell(_) if gone == 0 => self.next_file(),
            Aim::Tell(_) => drop(self.files.remove(gone)),
            Aim::Find { index, .. } => {
                *index -= usize::from(gone < *index);
                self.files.remove(gone);
            }
        }
    }

    fn next_file(&mut self) {
        self.files.pop_front();
        (self.file, self.at, self.long) = (None, 0, None);
    }

    /// Tells the lines that are whole. Returns how many bytes they are.
    fn split(&mut self, here: Spot, chunk: &[u8], tell: &mut impl FnMut(&LogRecord)) -> usize {
        let mut taken = 0;
        for _ in 0..RECORDS_MAX {
            let Some(length) = memchr(b'\n', &chunk[taken..]) else { break };
            let spot = Spot { at: here.at + taken as u64, ..here };
            self.line(spot, &chunk[taken..taken + length], false, tell);
            taken += length + 1;
        }
        if taken == 0 && chunk.len() == CHUNK {
            self.line(here, chunk, true, tell);
            taken = chunk.len();
        }
        taken
    }

    /// Tells a line, or a part of one that `goes_on`, if it is wanted.
    fn line(&mut self, spot: Spot, line: &[u8], goes_on: bool, tell: &mut impl FnMut(&LogRecord)) {
        let (begin, entry) = match self.long.take() {
            None => (spot, Entry::parse(line)),
            Some(Long { begin, stream, partial }) => {
                (begin, Entry { time: Some(self.time), stream, partial, content: line })
            }
        };
        if goes_on {
            self.long = Some(Long { begin, stream: entry.stream, partial: entry.partial });
        }
        self.time = entry.time.unwrap_or(self.time);
        let Aim::Tell(selection) = &self.aim else { return };
        if !selection.wants(entry.stream, begin) {
            return;
        }
        self.damaged |= entry.time.is_none();
        self.first.get_or_insert(begin);
        let mut content = entry.content;
        loop {
            let (piece, rest) = content.split_at(content.len().min(LOG_TEXT_MAX));
            let partial = entry.partial || goes_on || !rest.is_empty();
            tell(&LogRecord::new(self.time, entry.stream, partial, piece));
            self.records += 1;
            if rest.is_empty() {
                return;
            }
            content = rest;
        }
    }
}

/// Fills the buffer, unless the file ends before.
fn read_full(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is gone takes the place in it along, opened or not; one that is open is not gone.
    #[test]
    fn a_file_is_never_read_from_a_place_in_another() {
        let file = || tempfile::tempfile().expect("a file");
        let (first, second) = (file(), file());
        let ids = [&first, &second].map(|file| FileId::of(file).expect("its id"));
        for (open, left, at) in [(None, 1, 0), (Some(first), 2, 500)] {
            let begin = Spot { file: 1, at: 500 };
            let mut reader = Reader {
                files: VecDeque::from([(1, ids[0]), (2, ids[1])]),
                newest: 2,
                file: open,
                at: begin.at,
                aim: Aim::Tell(Selection::from(begin, None)),
                only: None,
                until: None,
                long: None,
                time: Timestamp::new(0, 0),
                begin,
                first: None,
                records: 0,
                damaged: false,
            };
            reader.forget(ids[0]);
            assert_eq!((reader.files.len(), reader.at, reader.damaged), (left, at, left == 1));
        }
    }
}
