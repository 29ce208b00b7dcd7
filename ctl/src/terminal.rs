//! The terminal that we were started on.

use std::io::{self, IsTerminal};
use std::{mem, panic};

use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Keys that leave a container and let it run on, as with Podman.
pub const DETACH_KEYS: &str = "ctrl-p,ctrl-q";

/// How many columns a table may have. `None`: the output is no terminal.
pub fn width() -> Option<usize> {
    let size = io::stdout().is_terminal().then(|| tcgetwinsize(stdout()).ok()).flatten()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Rows and columns of the terminal, if there is one that has a size.
pub fn size() -> Option<(u16, u16)> {
    let size = [stdout(), stdin(), stderr()].into_iter().find_map(|end| tcgetwinsize(end).ok())?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// A terminal that passes every key on. Dropping it makes it what it was, and so does a panic, which in
/// a release build drops nothing.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
    raw: Termios,
}

impl Raw {
    /// Sets standard input to raw. `None`: it is no terminal.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn new() -> io::Result<Option<Raw>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        let (saved, usual) = (before.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |info| {
            set(&saved);
            usual(info);
        }));
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Raw { before, raw }))
    }

    /// Makes it what it was, for a while.
    pub fn suspend(&self) {
        set(&self.before);
    }

    /// Makes it raw again. In the background we are stopped by that until we are in the foreground (SIGTTOU).
    pub fn resume(&self) {
        set(&self.raw);
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        set(&self.before);
    }
}

/// If that fails the terminal is gone.
fn set(how: &Termios) {
    let _ = tcsetattr(stdin(), OptionalActions::Now, how);
}

/// Looks for the keys that detach.
#[derive(Debug, PartialEq, Eq)]
pub struct Keys {
    sequence: Vec<u8>,
    /// The beginning of the sequence, which was typed but not passed on yet.
    held: Vec<u8>,
}

impl Keys {
    /// Reads `ctrl-X` and single characters, divided by commas. Empty: nothing detaches.
    ///
    /// # Errors
    /// What is no key.
    pub fn parse(text: &str) -> Result<Keys, String> {
        let names = text.split(',').filter(|_| !text.is_empty());
        let sequence: Result<Vec<u8>, String> = names.map(key).collect();
        Ok(Keys { sequence: sequence?, held: Vec::new() })
    }

    /// Adds what is to be passed on to `out`. `true`: the sequence is complete, and what comes after
    /// it is dropped.
    pub fn pass(&mut self, typed: &[u8], out: &mut Vec<u8>) -> bool {
        if self.sequence.is_empty() {
            out.extend_from_slice(typed);
            return false;
        }
        for &byte in typed {
            self.held.push(byte);
            while !self.sequence.starts_with(&self.held) {
                out.push(self.held.remove(0));
            }
            if self.held.len() == self.sequence.len() {
                return true;
            }
        }
        false
    }

    /// What was held back, at the end of the input.
    pub fn rest(&mut self) -> Vec<u8> {
        mem::take(&mut self.held)
    }
}

fn key(name: &str) -> Result<u8, String> {
    match (name.strip_prefix("ctrl-").map(str::as_bytes), name.as_bytes()) {
        (Some(&[letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]), _) => Ok(letter & 0x1f),
        (None, &[letter]) => Ok(letter),
        _ => Err(format!("{name:?} is no key: expected a character, or ctrl- and a letter")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Keys, Raw};
    use conward_testkit::terminal::Terminal;
    use std::process::Command;
    use std::time::Duration;

    /// Set where the test below runs on a terminal, to panic there.
    const ON_TERMINAL: &str = "CONWARDCTL_TEST_ON_TERMINAL";

    #[test]
    fn a_panic_restores_the_terminal() {
        if std::env::var_os(ON_TERMINAL).is_some() {
            // As where a panic aborts, nothing is dropped.
            std::mem::forget(Raw::new().expect("a terminal").expect("a terminal"));
            panic!("on purpose");
        }
        let test = std::env::current_exe().expect("the path of the test");
        let name = "terminal::tests::a_panic_restores_the_terminal";
        let script = r#"a=$(stty -g); "$0" --exact "$1"; [ "$a" = "$(stty -g)" ] && echo same; exit 0"#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(test).arg(name).env(ON_TERMINAL, "1");
        let (_, rest) = Terminal::spawn(&shell, 24, 80).finish(Duration::from_secs(20));
        assert!(rest.contains("on purpose") && rest.contains("same"), "{rest:?}");
    }

    #[test]
    fn keys_that_detach() {
        // What is typed in which pieces, what is passed on, and whether it detaches.
        let table: [(&str, &[&str], &str, bool); 7] = [
            ("ctrl-p,ctrl-q", &["ls\r"], "ls\r", false),
            ("ctrl-p,ctrl-q", &["a\x10\x11b"], "a", true),
            ("ctrl-p,ctrl-q", &["\x10", "\x11"], "", true),
            ("ctrl-p,ctrl-q", &["\x10", "x"], "\x10x", false),
            ("ctrl-p,ctrl-q", &["\x10\x10\x11"], "\x10", true),
            ("x,x,y", &["xxxy"], "x", true),
            ("", &["\x10\x11"], "\x10\x11", false),
        ];
        for (keys, pieces, passed, detaches) in table {
            let mut keys = Keys::parse(keys).expect("keys");
            let mut out = Vec::new();
            let found = pieces.iter().any(|piece| keys.pass(piece.as_bytes(), &mut out));
            assert_eq!((String::from_utf8_lossy(&out).as_ref(), found), (passed, detaches), "{pieces:?}");
        }
        let mut keys = Keys::parse("a,b").expect("keys");
        assert!(!keys.pass(b"a", &mut Vec::new()));
        assert_eq!(keys.rest(), b"a");
    }

    #[test]
    fn what_is_no_key() {
        for text in ["ctrl-", "ctrl-1", "ctrl-pq", "ab", ",", "a,"] {
            assert!(Keys::parse(text).is_err(), "{text}");
        }
    }
}
