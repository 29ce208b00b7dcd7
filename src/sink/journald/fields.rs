//! Journal entries in the native protocol of systemd-journald (systemd.io, "Native Journal
//! Protocol"): fields one after the other, a datagram an entry.
//!
//! A field without a newline in its value is `NAME=value\n`; any other is `NAME\n`, the length of the
//! value as 64 bits little endian, the value, `\n`.

use std::io::IoSlice;

use crate::plan::{Identity, JournalLog, Stream};

/// What begins an entry: its message in the second form, up to the length.
const MESSAGE: &[u8] = b"MESSAGE\n";

/// Parts of an entry.
pub const PARTS: usize = 10;

/// The fields that are the same in all entries of a container.
#[derive(Debug)]
pub struct Fields {
    /// What stands before the priority, beginning with the newline that ends the message.
    before: Vec<u8>,
    /// What stands between the priority and the partial mark.
    between: Vec<u8>,
    /// The labels.
    after: Vec<u8>,
    /// Whether partial lines are marked.
    mark_partial: bool,
}

/// What differs from entry to entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The message, in two parts that belong together; with the newline that ended it.
    pub message: (&'a [u8], &'a [u8]),
    /// Its priority, `b'0'` to `b'7'`.
    pub priority: u8,
    /// More of the same line follows in another entry, or nobody knows.
    pub partial: bool,
}

impl Fields {
    /// The fields of this container.
    pub fn new(plan: &JournalLog, identity: &Identity) -> Fields {
        let short: String = identity.id.chars().take(12).collect();
        let mut before = b"\n".to_vec();
        field(&mut before, "CONTAINER_ID_FULL", &identity.id);
        let mut between = Vec::new();
        field(&mut between, "CONTAINER_ID", &short);
        if let Some(tag) = &plan.tag {
            field(&mut between, "CONTAINER_TAG", tag);
        }
        if let Some(name) = &identity.name {
            field(&mut between, "CONTAINER_NAME", name);
        }
        let identifier = plan.tag.as_ref().or(identity.name.as_ref()).unwrap_or(&short);
        field(&mut between, "SYSLOG_IDENTIFIER", identifier);
        let mut after = Vec::new();
        for label in &plan.labels {
            let (name, value) = label.split_once('=').unwrap_or((label, ""));
            field(&mut after, name, value);
        }
        Fields { before, between, after, mark_partial: plan.mark_partial }
    }

    /// Hands the entry to `send` as the parts of a datagram, without copying the message.
    pub fn with<T>(&self, entry: Entry<'_>, send: impl FnOnce(&[IoSlice<'_>; PARTS]) -> T) -> T {
        let (head, tail) = entry.message;
        let length = ((head.len() + tail.len()) as u64).to_le_bytes();
        let partial: &[u8] = match entry.partial && self.mark_partial {
            true => b"CONTAINER_PARTIAL_MESSAGE=true\n",
            false => b"",
        };
        send(
            &[
                MESSAGE,
                &length,
                head,
                tail,
                &self.before,
                b"PRIORITY=",
                &[entry.priority, b'\n'],
                &self.between,
                partial,
                &self.after,
            ]
            .map(IoSlice::new),
        )
    }
}

/// The priority of lines that name none: informational, or error.
pub fn default_priority(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => b'6',
        Stream::Stderr => b'3',
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::{Entry, Fields};
    use crate::plan::{Identity, JournalLog};

    fn datagram(plan: &JournalLog, name: Option<&str>, entry: Entry<'_>) -> Vec<u8> {
        let name = name.map(str::to_owned);
        let identity = Identity { id: "0123456789abcdef".to_owned(), uuid: None, name };
        let fields = Fields::new(plan, &identity);
        fields.with(entry, |parts| parts.iter().flat_map(|part| part.iter().copied()).collect())
    }

    fn plan(tag: Option<&str>, labels: &[&str], mark_partial: bool) -> JournalLog {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        JournalLog { tag: tag.map(str::to_owned), labels, mark_partial, priority_prefix: false }
    }

    #[test]
    fn golden_bytes() {
        let line = Entry { message: (b"he", b"llo\n"), priority: b'6', partial: false };
        let want = b"MESSAGE\n\x06\0\0\0\0\0\0\0hello\n\nCONTAINER_ID_FULL=0123456789abcdef\nPRIORITY=6\n\
            CONTAINER_ID=0123456789ab\nSYSLOG_IDENTIFIER=0123456789ab\n";
        assert_eq!(datagram(&plan(None, &[], true), None, line), want);

        let piece = Entry { message: (b"", b"x"), priority: b'3', partial: true };
        let want = b"MESSAGE\n\x01\0\0\0\0\0\0\0x\nCONTAINER_ID_FULL=0123456789abcdef\nPRIORITY=3\n\
            CONTAINER_ID=0123456789ab\nCONTAINER_TAG=the tag\nCONTAINER_NAME=web\nSYSLOG_IDENTIFIER=the tag\n\
            CONTAINER_PARTIAL_MESSAGE=true\nA=b\nC_1=\n";
        assert_eq!(datagram(&plan(Some("the tag"), &["A=b", "C_1="], true), Some("web"), piece), want);
    }

    #[test]
    fn the_identifier_is_the_tag_or_the_name_or_the_id() {
        let line = Entry { message: (b"", b"\n"), priority: b'6', partial: false };
        for (tag, name, want) in [
            (Some("tag"), Some("name"), "SYSLOG_IDENTIFIER=tag\n"),
            (None, Some("name"), "SYSLOG_IDENTIFIER=name\n"),
            (Some("two\nlines"), None, "SYSLOG_IDENTIFIER\n\x09\0\0\0\0\0\0\0two\nlines\n"),
        ] {
            let bytes = datagram(&plan(tag, &[], true), name, line);
            assert!(bytes.ends_with(want.as_bytes()), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn partial_lines_are_marked_only_if_wanted() {
        let piece = Entry { message: (b"", b"x"), priority: b'6', partial: true };
        let bytes = datagram(&plan(None, &[], false), None, piece);
        assert!(!String::from_utf8_lossy(&bytes).contains("PARTIAL"));
    }
}
