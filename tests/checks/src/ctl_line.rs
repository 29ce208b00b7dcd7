//! What callers write into the fifos `ctl` and `winsz`.

use std::fs::File;
use std::io::Write;

use conward::serve::fifos::{Bad, Command, Fifo, Size, Wishes, ctl, winsz};

/// Bytes that surely fit into a fifo that nobody reads.
const FIFO: usize = 32 * 1024;

/// Most bytes of a line.
const LINE_MAX: usize = 255;

type Grammar = fn(&[u8]) -> Result<Command, Bad>;

/// What numbers mean.
type Meaning = fn(&[i128]) -> Option<Command>;

/// A fifo grants the wishes of the lines that are some, and those only.
pub fn check(input: &[u8]) {
    let input = &input[..input.len().min(FIFO)];
    let grammars: [(&str, Grammar, Meaning); 2] = [("ctl", ctl, in_ctl), ("winsz", winsz, in_winsz)];
    let dir = tempfile::tempdir().expect("a directory");
    for (name, grammar, means) in grammars {
        let lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
        for line in &lines {
            assert_eq!(grammar(line).ok(), means(&numbers(line)), "{name}: {}", line.escape_ascii());
        }
        // What follows the last newline is no line yet.
        let whole = lines[..lines.len() - 1].iter().filter(|line| line.len() <= LINE_MAX);
        let mut wanted = Wishes::default();
        for command in whole.filter_map(|line| means(&numbers(line))) {
            match command {
                Command::Resize(size) => wanted.resize = Some(size),
                Command::Reopen => wanted.reopen = true,
            }
        }
        let path = dir.path().join(name);
        let mut fifo = Fifo::create(&path, grammar).expect("a fifo");
        File::options().write(true).open(&path).and_then(|mut file| file.write_all(input)).expect("room");
        assert_eq!(granted(&mut fifo), wanted);
    }
}

fn granted(fifo: &mut Fifo) -> Wishes {
    let mut all = Wishes::default();
    loop {
        let wishes = fifo.turn().expect("a fifo that can be read");
        all.resize = wishes.resize.or(all.resize);
        all.reopen |= wishes.reopen;
        if !wishes.more {
            return all;
        }
    }
}

/// The numbers at the beginning of a line. One that is far out of any range is still a number.
fn numbers(line: &[u8]) -> Vec<i128> {
    let words = line.split(|byte| b" \t\r\x0b\x0c".contains(byte)).filter(|word| !word.is_empty());
    words.map_while(number).collect()
}

fn number(word: &[u8]) -> Option<i128> {
    let word = std::str::from_utf8(word).ok()?;
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(word.parse().unwrap_or(if word.starts_with('-') { i128::MIN } else { i128::MAX }))
}

fn in_ctl(numbers: &[i128]) -> Option<Command> {
    match numbers {
        [1, size @ ..] => in_winsz(size),
        [2, size @ ..] => in_winsz(size).map(|_| Command::Reopen),
        _ => None,
    }
}

fn in_winsz(numbers: &[i128]) -> Option<Command> {
    match numbers {
        [rows @ 0..=1000, cols @ 0..=1000, ..] => {
            Some(Command::Resize(Size { rows: *rows as u16, cols: *cols as u16 }))
        }
        _ => None,
    }
}
