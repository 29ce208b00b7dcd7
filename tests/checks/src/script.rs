//! Output as a script: what a container writes, in which pieces, and what else happens meanwhile.
//!
//! The first line, if it begins with `#`, has options: words, or `name=number`. Then each byte is
//! output, but for these:
//!
//! | byte | meaning |
//! |---|---|
//! | `\|` | what stands before it, from the last one on, is written at once |
//! | `~` | the same, and what follows goes to the other stream |
//! | `!` | what stands before it is a line of an exec session |
//! | `*` | what stands before it, from the last one on, stands there 16 times |
//! | `^` | the log is to be reopened |
//! | `@`, `<` | the clock goes on, or back, by a second |
//! | `?` | a reader takes a turn |

use conward::plan::Stream;

/// Bytes of a piece at most. What is more is left out.
const PIECE_MAX: usize = 40 * 1024;

/// The first line.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a>(&'a [u8]);

impl Options<'_> {
    /// The number under this name.
    pub fn number(&self, name: &str) -> Option<u64> {
        let value = self.words().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        value.parse().ok()
    }

    /// Whether this word is given.
    pub fn has(&self, name: &str) -> bool {
        self.words().any(|word| word == name)
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split(|&byte| byte == b' ').filter_map(|word| std::str::from_utf8(word).ok())
    }
}

/// A step of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The container writes.
    Write(Stream, Vec<u8>),
    /// An exec session writes a line.
    Session(Stream, Vec<u8>),
    /// The log is reopened.
    Reopen,
    /// The clock moves by so many seconds.
    Clock(i64),
    /// A reader takes a turn.
    Read,
}

/// The options, and what stands after their line.
pub fn options(input: &[u8]) -> (Options<'_>, &[u8]) {
    let Some(rest) = input.strip_prefix(b"#") else { return (Options(b""), input) };
    let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    (Options(&rest[..end]), rest.get(end + 1..).unwrap_or_default())
}

/// The steps, with so many bytes of output at most. What is more is left out.
pub fn steps(script: &[u8], output_max: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut piece, mut total, mut stream) = (Vec::new(), 0, Stream::Stdout);
    for &byte in script.iter().chain(b"|") {
        match byte {
            b'*' if !piece.is_empty() => {
                piece = piece.repeat(16);
                piece.truncate(PIECE_MAX);
            }
            b'|' | b'~' | b'!' => {
                let mut written = std::mem::take(&mut piece);
                written.truncate(output_max - total);
                total += written.len();
                steps.push(match byte {
                    b'!' => Step::Session(stream, written),
                    _ => Step::Write(stream, written),
                });
                if byte == b'~' {
                    stream = other(stream);
                }
            }
            b'*' => {}
            b'^' => steps.push(Step::Reopen),
            b'@' => steps.push(Step::Clock(1)),
            b'<' => steps.push(Step::Clock(-1)),
            b'?' => steps.push(Step::Read),
            _ => piece.push(byte),
        }
    }
    steps.retain(|step| !matches!(step, Step::Write(_, bytes) | Step::Session(_, bytes) if bytes.is_empty()));
    steps
}

fn other(stream: Stream) -> Stream {
    match stream {
        Stream::Stdout => Stream::Stderr,
        Stream::Stderr => Stream::Stdout,
    }
}
