//! Reading `k8s-file` logs.

/// One record: `TIME STREAM TAG CONTENT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The time as written.
    pub time: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Whether the line ended here (`F`) or goes on (`P`).
    pub full: bool,
    /// The bytes.
    pub content: Vec<u8>,
}

/// Splits a log into records; panics at the first that is none.
pub fn parse_log(log: &[u8]) -> Vec<LogRecord> {
    let mut lines: Vec<&[u8]> = log.split(|&byte| byte == b'\n').collect();
    assert_eq!(lines.pop(), Some(&b""[..]), "the log ends within a record");
    lines.into_iter().map(parse_record).collect()
}

fn parse_record(line: &[u8]) -> LogRecord {
    let shown = || String::from_utf8_lossy(&line[..line.len().min(120)]).into_owned();
    let mut fields = line.splitn(4, |&byte| byte == b' ');
    let mut text = || {
        let field = fields.next().unwrap_or_else(|| panic!("too few fields: {}", shown()));
        String::from_utf8(field.to_vec()).unwrap_or_else(|_| panic!("not a record: {}", shown()))
    };
    let (time, stream, tag) = (text(), text(), text());
    // 2026-11-21T17:32:00.226934934+00:00
    assert_eq!(time.len(), 35, "time of {}", shown());
    assert!(stream == "stdout" || stream == "stderr", "stream of {}", shown());
    assert!(tag == "F" || tag == "P", "tag of {}", shown());
    let content = fields.next().unwrap_or_else(|| panic!("no fourth field: {}", shown())).to_vec();
    LogRecord { time, stream, full: tag == "F", content }
}

/// What one stream wrote, newlines included.
pub fn joined(records: &[LogRecord], stream: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for record in records.iter().filter(|record| record.stream == stream) {
        all.extend_from_slice(&record.content);
        if record.full {
            all.push(b'\n');
        }
    }
    all
}
