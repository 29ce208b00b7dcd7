//! The fifos `ctl` and `winsz` in the bundle: terminal sizes and log rotation, a line a wish.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use conward_protocol::{Line, Lines};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::error::Error;
use crate::sys::file::remove;

/// Most bytes of a line. A longer one is skipped like a bad one.
const LINE_MAX: usize = 255;

/// Bytes asked for by one read.
const READ: usize = 1024;

/// Reads in one [`Fifo::turn`]. What is left then waits for the next turn.
const READS: usize = 4;

/// Largest height or width that is taken.
const SIZE_MAX: u64 = 1000;

/// A wish on a line of `ctl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `1 ROWS COLS`: give the terminal this size.
    Resize(Size),
    /// `2 N N`: reopen or rotate the log files.
    Reopen,
}

/// A terminal's size in characters, each way 0 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Height.
    pub rows: u16,
    /// Width.
    pub cols: u16,
}

/// Why a line is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// There are fewer decimal numbers at its start than needed.
    Numbers,
    /// A height or width is below 0 or above 1000.
    Range,
    /// No such command.
    Command,
    /// It is longer than 255 bytes.
    Length,
}

impl Bad {
    fn text(self) -> &'static str {
        match self {
            Bad::Numbers => "too few decimal numbers",
            Bad::Range => "a size outside 0 to 1000",
            Bad::Command => "no such command",
            Bad::Length => "too long",
        }
    }
}

/// Reads a line of `ctl`: `TYPE ROWS COLS`; what follows is ignored.
///
/// Signs and leading zeros are taken, other notations are not: a `0x50` that counted as 0 would
/// make a terminal of no width.
///
/// # Errors
///
/// [`Bad`] if the line is none. Type 2 needs two sizes within the bounds too, though they mean nothing.
pub fn ctl(line: &[u8]) -> Result<Command, Bad> {
    let [kind, rows, cols] = numbers(line)?;
    match kind {
        Number { magnitude: 1, negative: false } => Ok(Command::Resize(size(rows, cols)?)),
        Number { magnitude: 2, negative: false } => size(rows, cols).map(|_| Command::Reopen),
        _ => Err(Bad::Command),
    }
}

/// Reads a line of `winsz`: `ROWS COLS`; what follows is ignored.
///
/// # Errors
///
/// [`Bad`] if the line is none.
pub fn winsz(line: &[u8]) -> Result<Command, Bad> {
    let [rows, cols] = numbers(line)?;
    Ok(Command::Resize(size(rows, cols)?))
}

#[derive(Clone, Copy)]
struct Number {
    magnitude: u64,
    negative: bool,
}

/// The first `N` words of a line, all of which must be numbers.
fn numbers<const N: usize>(line: &[u8]) -> Result<[Number; N], Bad> {
    // The blanks of isspace(3); a newline is not among them, since it ends the line.
    let mut words = line
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c'))
        .filter(|word| !word.is_empty());
    let mut found = [Number { magnitude: 0, negative: false }; N];
    for number in &mut found {
        *number = words.next().and_then(parse).ok_or(Bad::Numbers)?;
    }
    Ok(found)
}

fn parse(word: &[u8]) -> Option<Number> {
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Saturation is harmless: everything near the top is out of range.
    let append = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    let magnitude = digits.iter().fold(0, append);
    Some(Number { magnitude, negative: negative && magnitude != 0 })
}

fn size(rows: Number, cols: Number) -> Result<Size, Bad> {
    let side = |number: Number| match u16::try_from(number.magnitude) {
        Ok(side) if number.magnitude <= SIZE_MAX && !number.negative => Ok(side),
        _ => Err(Bad::Range),
    };
    Ok(Size { rows: side(rows)?, cols: side(cols)? })
}

/// What one [`Fifo::turn`] brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The last size asked for; the ones before it no longer matter.
    pub resize: Option<Size>,
    /// A reopening of the logs was asked for. Several wishes of one turn are one: nothing was logged
    /// between them.
    pub reopen: bool,
    /// The fifo may hold more: make another turn without waiting for epoll.
    pub more: bool,
}

/// One of the two fifos, open for reading and writing: a caller that opens it to write always finds
/// a reader, and a writer that closes it is no end of file.
#[derive(Debug)]
pub struct Fifo {
    file: File,
    path: PathBuf,
    grammar: fn(&[u8]) -> Result<Command, Bad>,
    lines: Lines,
    bad: u64,
}

impl Fifo {
    /// Creates and opens the fifo `path`, whose lines `grammar` ([`ctl`] or [`winsz`]) reads.
    ///
    /// Its mode is 0660 less the umask. A fifo that stands there is left by an earlier run and
    /// replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Fatal`], also if something other than a fifo stands at `path`.
    pub fn create(path: &Path, grammar: fn(&[u8]) -> Result<Command, Bad>) -> Result<Fifo, Error> {
        let doing = |step: &str| format!("Failed to {step} fifo {}", path.display());
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(doing("examine"), error)),
            Ok(found) if found.file_type().is_fifo() => {
                fs::remove_file(path).map_err(|error| Error::io(doing("remove old"), error))?;
            }
            Ok(_) => return Err(Error::Fatal(format!("{}: there is something else", doing("create")))),
        }
        mkfifo(path, Mode::from_bits_truncate(0o660)).map_err(|errno| Error::io(doing("create"), errno))?;
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(path)
            .map_err(|error| {
                remove(path);
                Error::io(doing("open"), error)
            })?;
        Ok(Fifo { file, path: path.to_owned(), grammar, lines: Lines::new(LINE_MAX), bad: 0 })
    }

    /// Where the fifo is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads at most 4 KiB of what has been written, and returns what it asks for.
    ///
    /// Bad lines are skipped and counted, with a warning each time the count has doubled.
    ///
    /// # Errors
    ///
    /// Those of read(2), which mean that no more can be read ever.
    pub fn turn(&mut self) -> io::Result<Wishes> {
        let mut wishes = Wishes::default();
        let mut buf = [0; READ];
        for _ in 0..READS {
            match self.file.read(&mut buf) {
                Ok(read) => self.take(&buf[..read], &mut wishes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(wishes),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        wishes.more = true;
        Ok(wishes)
    }

    fn take(&mut self, input: &[u8], wishes: &mut Wishes) {
        let Fifo { path, grammar, lines, bad, .. } = self;
        lines.push(input, |line| {
            let command = match line {
                Line::Text(text) => grammar(text),
                Line::TooLong => Err(Bad::Length),
            };
            match command {
                Ok(Command::Resize(size)) => wishes.resize = Some(size),
                Ok(Command::Reopen) => wishes.reopen = true,
                Err(why) => {
                    *bad += 1;
                    if bad.is_power_of_two() {
                        log::warn!("skip a line of {} ({bad} so far): {}", path.display(), why.text());
                    }
                }
            }
        });
    }
}

impl AsFd for Fifo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn resize(rows: u16, cols: u16) -> Result<Command, Bad> {
        Ok(Command::Resize(Size { rows, cols }))
    }

    #[test]
    fn ctl_lines() {
        let table: [(&[u8], Result<Command, Bad>); 31] = [
            (b"1 24 80", resize(24, 80)),
            (b"  1\t24 \x0b\x0c 80 \r", resize(24, 80)),
            (b"01 0024 00000000000000000000000080", resize(24, 80)),
            (b"1 24 80 and more 0x1 -3", resize(24, 80)),
            (b"1 24 80 \0", resize(24, 80)),
            (b"1 0 0", resize(0, 0)),
            (b"1 1000 1000", resize(1000, 1000)),
            (b"+1 +24 -0", resize(24, 0)),
            (b"2 0 0", Ok(Command::Reopen)),
            (b"2 7 1000 x", Ok(Command::Reopen)),
            (b"1 1001 80", Err(Bad::Range)),
            (b"1 24 -1", Err(Bad::Range)),
            (b"1 65536 80", Err(Bad::Range)),
            (b"1 24 18446744073709551616", Err(Bad::Range)),
            (b"2 0 1001", Err(Bad::Range)),
            (b"0 24 80", Err(Bad::Command)),
            (b"3 24 80", Err(Bad::Command)),
            (b"-1 24 80", Err(Bad::Command)),
            (b"4294967297 24 80", Err(Bad::Command)),
            (b"", Err(Bad::Numbers)),
            (b"   ", Err(Bad::Numbers)),
            (b"1 24", Err(Bad::Numbers)),
            (b"2", Err(Bad::Numbers)),
            (b"1 0x18 80", Err(Bad::Numbers)),
            (b"1 24 0x50", Err(Bad::Numbers)),
            (b"1 24.0 80", Err(Bad::Numbers)),
            (b"1,24,80", Err(Bad::Numbers)),
            (b"1 24 80\0", Err(Bad::Numbers)),
            (b"\x001 24 80", Err(Bad::Numbers)),
            (b"1 - +", Err(Bad::Numbers)),
            (b"1 --2 80", Err(Bad::Numbers)),
        ];
        for (line, expected) in table {
            assert_eq!(ctl(line), expected, "{:?}", line.escape_ascii().to_string());
        }
    }

    #[test]
    fn winsz_lines() {
        let table: [(&[u8], Result<Command, Bad>); 5] = [
            (b"24 80", resize(24, 80)),
            (b" 024 080 7", resize(24, 80)),
            (b"24", Err(Bad::Numbers)),
            (b"24 1001", Err(Bad::Range)),
            (b"-24 80", Err(Bad::Range)),
        ];
        for (line, expected) in table {
            assert_eq!(winsz(line), expected, "{:?}", line.escape_ascii().to_string());
        }
    }

    proptest! {
        #[test]
        fn sizes_stay_in_range(line in "[0-9+ -]{0,24}") {
            for command in [ctl(line.as_bytes()), winsz(line.as_bytes())] {
                if let Ok(Command::Resize(size)) = command {
                    prop_assert!(size.rows <= 1000 && size.cols <= 1000);
                }
            }
        }

        #[test]
        fn any_bytes_are_survived(line in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (ctl(&line), winsz(&line));
        }
    }

    fn writer(path: &Path) -> File {
        File::options().write(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
    }

    #[test]
    fn lines_in_pieces_and_in_heaps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctl");
        let mut fifo = Fifo::create(&path, ctl).unwrap();
        assert_eq!(fifo.turn().unwrap(), Wishes::default());

        writer(&path).write_all(b"1 24").unwrap();
        assert_eq!(fifo.turn().unwrap(), Wishes::default());
        writer(&path).write_all(b" 80\nnonsense\n1 25 81\n2 0 0\n2 0 0\n1 9").unwrap();
        let size = |rows, cols| Some(Size { rows, cols });
        assert_eq!(fifo.turn().unwrap(), Wishes { resize: size(25, 81), reopen: true, more: false });
        // The rejected line, which came in pieces, does not spoil the next one.
        writer(&path).write_all(b"9999 1\n1 30 90\n").unwrap();
        assert_eq!(fifo.turn().unwrap(), Wishes { resize: size(30, 90), reopen: false, more: false });
        assert_eq!(fifo.bad, 2);
    }

    #[test]
    fn a_flood_takes_several_turns_and_bounded_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("winsz");
        let mut fifo = Fifo::create(&path, winsz).unwrap();
        writer(&path).write_all(&[b'7'; 10_000]).unwrap();
        writer(&path).write_all(b"\n24 80\n").unwrap();
        let mut turns = 1;
        let mut last = fifo.turn().unwrap();
        while last.more {
            turns += 1;
            last = fifo.turn().unwrap();
        }
        assert_eq!(last.resize, Some(Size { rows: 24, cols: 80 }));
        assert_eq!(turns, 3);
        assert_eq!(fifo.bad, 1);
    }

    #[test]
    fn only_a_fifo_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctl");
        drop(Fifo::create(&path, ctl).unwrap());
        let old = fs::metadata(&path).unwrap();
        // Held open, the old one keeps its inode number.
        let held = File::options().read(true).write(true).open(&path).unwrap();
        let fifo = Fifo::create(&path, ctl).unwrap();
        let new = fs::metadata(&path).unwrap();
        assert_ne!(new.ino(), old.ino());
        assert!(new.file_type().is_fifo());
        assert_eq!(new.mode() & 0o777 & !0o660, 0);
        drop((fifo, held));

        let target = dir.path().join("target");
        let other = dir.path().join("other");
        mkfifo(&target, Mode::S_IRWXU).unwrap();
        symlink(&target, &other).unwrap();
        let error = Fifo::create(&other, ctl).unwrap_err();
        assert_eq!(
            error.text(),
            format!("Failed to create fifo {}: there is something else", other.display())
        );
        assert!(target.exists());
    }
}
