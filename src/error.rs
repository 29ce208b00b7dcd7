//! What can go wrong, sorted by who must act.
//!
//! The third kind, `Degraded`, has no type: after the container exists nothing may end the
//! supervisor, so such trouble is a diagnostic and a counter, and never travels as an `Err`.

use std::fmt;
use std::io;

/// An error that ends the program. It exits with status 1 for either kind.
#[derive(Debug)]
pub enum Error {
    /// The command line itself cannot be understood: the caller must call differently.
    /// Printed as `conmon: TEXT`, the form that callers of the reference know.
    Usage(String),
    /// The words were understood, but what they ask for cannot be done. Only before the container
    /// exists. Printed as `[conmon:e]: TEXT`.
    Fatal(String),
}

impl Error {
    /// A fatal error from a failed system call: what was being done, to what, and why it failed.
    pub fn io(doing: impl fmt::Display, error: impl Into<io::Error>) -> Error {
        Error::Fatal(format!("{doing}: {}", reason(&error.into())))
    }

    /// The text without the prefix, for a message on the sync pipe.
    pub fn text(&self) -> &str {
        match self {
            Error::Usage(text) | Error::Fatal(text) => text,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(text) => write!(f, "conmon: {text}"),
            Error::Fatal(text) => write!(f, "[conmon:e]: {text}"),
        }
    }
}

impl std::error::Error for Error {}

/// The words of strerror(3), without ` (os error N)` after them: callers match on them.
pub fn reason(error: &io::Error) -> String {
    let mut text = error.to_string();
    if let Some(number) = error.raw_os_error()
        && let Some(words) = text.strip_suffix(&format!(" (os error {number})"))
    {
        text.truncate(words.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::reason;
    use std::io::Error;

    #[test]
    fn reasons_are_in_the_words_of_libc() {
        let table = [
            (libc::EBADF, "Bad file descriptor"),
            (libc::EAGAIN, "Resource temporarily unavailable"),
            (libc::ELOOP, "Too many levels of symbolic links"),
            (libc::EXDEV, "Invalid cross-device link"),
        ];
        for (number, words) in table {
            assert_eq!(reason(&Error::from_raw_os_error(number)), words);
        }
        assert_eq!(reason(&Error::other("no space")), "no space");
    }
}
