//! The records of a log, as anybody would read them who knows nothing but the format.

use conward_protocol::Timestamp;
use conward_protocol::body::LogRecord;
use conward_protocol::request::Stream;

/// Bytes of a time at most.
const TIME_MAX: usize = 54;

/// A record, or a line that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its time; `None` if it is no record.
    pub time: Option<Timestamp>,
    /// Its stream.
    pub stream: Stream,
    /// Whether its line goes on.
    pub partial: bool,
    /// What was written.
    pub content: Vec<u8>,
}

impl Told {
    /// By the program's own reader.
    pub fn by(record: &LogRecord) -> Told {
        let content = record.bytes().expect("bytes");
        Told { time: Some(record.time), stream: record.stream, partial: record.partial, content }
    }

    /// Reads a line of a log file, without its newline.
    pub fn of(line: &[u8]) -> Told {
        let whole = || Told { time: None, stream: Stream::Stdout, partial: false, content: line.to_vec() };
        let mut words = line.splitn(4, |&byte| byte == b' ');
        let mut word = || words.next();
        let (Some(time), Some(stream), Some(tag), Some(content)) = (word(), word(), word(), word()) else {
            return whole();
        };
        // RFC 3339 has no bound; who writes logs has nine digits.
        let time = std::str::from_utf8(time).ok().filter(|time| time.len() <= TIME_MAX);
        let time = time.and_then(Timestamp::parse);
        let stream = match stream {
            b"stdout" => Some(Stream::Stdout),
            b"stderr" => Some(Stream::Stderr),
            _ => None,
        };
        match (time, stream, tag) {
            (Some(_), Some(stream), b"F" | b"P") => {
                Told { time, stream, partial: tag == b"P", content: content.to_vec() }
            }
            _ => whole(),
        }
    }
}

/// All lines of a file. What follows the last newline is one too.
pub fn lines(file: &[u8]) -> Vec<Told> {
    let mut lines: Vec<&[u8]> = file.split(|&byte| byte == b'\n').collect();
    lines.pop_if(|last| last.is_empty());
    lines.into_iter().map(Told::of).collect()
}

/// What was written to a stream.
pub fn joined(records: &[Told], stream: Stream) -> Vec<u8> {
    let mut all = Vec::new();
    for record in records.iter().filter(|record| record.stream == stream) {
        all.extend_from_slice(&record.content);
        all.extend((!record.partial).then_some(b'\n'));
    }
    all
}

/// The records of the last so many lines, as who reads from the beginning finds them. A line that is open at
/// the end counts too.
pub fn tail(records: &[Told], only: Option<Stream>, lines: Option<u64>) -> Vec<Told> {
    let mut ended: Vec<Vec<usize>> = Vec::new();
    let mut open: [Vec<usize>; 2] = Default::default();
    for (number, record) in records.iter().enumerate() {
        if only.is_some_and(|only| only != record.stream) {
            continue;
        }
        let line = &mut open[record.stream as usize];
        line.push(number);
        if !record.partial {
            ended.push(std::mem::take(line));
        }
    }
    ended.extend(open.into_iter().filter(|line| !line.is_empty()));
    ended.sort_by_key(|line| line.last().copied());
    let count = lines.map_or(usize::MAX, |lines| usize::try_from(lines).unwrap_or(usize::MAX));
    let mut wanted: Vec<usize> = ended.into_iter().rev().take(count).flatten().collect();
    wanted.sort_unstable();
    wanted.into_iter().map(|number| records[number].clone()).collect()
}
