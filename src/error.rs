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

/// The words of glibc's strerror(3), whichever C library the program is built with, without ` (os error N)` after
/// them: callers match on them.
pub fn reason(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else { return error.to_string() };
    if let Some((_, words)) = WORDS.iter().find(|(other, _)| *other == number) {
        return (*words).to_owned();
    }
    let mut text = error.to_string();
    if let Some(words) = text.strip_suffix(&format!(" (os error {number})")) {
        text.truncate(words.len());
    }
    text
}

/// What glibc calls errors for which musl has other words, or none; but for those of streams of old, and of
/// loaders, which come to no supervisor.
const WORDS: [(i32, &str); 34] = [
    (libc::EIO, "Input/output error"),
    (libc::ECHILD, "No child processes"),
    (libc::ENOMEM, "Cannot allocate memory"),
    (libc::EBUSY, "Device or resource busy"),
    (libc::EXDEV, "Invalid cross-device link"),
    (libc::EMFILE, "Too many open files"),
    (libc::ENOTTY, "Inappropriate ioctl for device"),
    (libc::ESPIPE, "Illegal seek"),
    (libc::EDOM, "Numerical argument out of domain"),
    (libc::ERANGE, "Numerical result out of range"),
    (libc::EDEADLOCK, "Resource deadlock avoided"),
    (libc::ENAMETOOLONG, "File name too long"),
    (libc::ELOOP, "Too many levels of symbolic links"),
    (libc::ETIME, "Timer expired"),
    (libc::EOVERFLOW, "Value too large for defined data type"),
    (libc::ENOTSOCK, "Socket operation on non-socket"),
    (libc::EMSGSIZE, "Message too long"),
    (libc::ENOTSUP, "Operation not supported"),
    (libc::EADDRINUSE, "Address already in use"),
    (libc::EADDRNOTAVAIL, "Cannot assign requested address"),
    (libc::ENETUNREACH, "Network is unreachable"),
    (libc::ECONNABORTED, "Software caused connection abort"),
    (libc::ENETRESET, "Network dropped connection on reset"),
    (libc::EISCONN, "Transport endpoint is already connected"),
    (libc::ENOTCONN, "Transport endpoint is not connected"),
    (libc::ESHUTDOWN, "Cannot send after transport endpoint shutdown"),
    (libc::ETOOMANYREFS, "Too many references: cannot splice"),
    (libc::ETIMEDOUT, "Connection timed out"),
    (libc::EHOSTUNREACH, "No route to host"),
    (libc::EINPROGRESS, "Operation now in progress"),
    (libc::EUCLEAN, "Structure needs cleaning"),
    (libc::EDQUOT, "Disk quota exceeded"),
    (libc::EOWNERDEAD, "Owner died"),
    (libc::EHWPOISON, "Memory page has hardware error"),
];

#[cfg(test)]
mod tests {
    use super::{WORDS, reason};
    use std::io::Error;

    #[test]
    fn reasons_are_in_the_words_of_glibc() {
        let table =
            [(libc::EBADF, "Bad file descriptor"), (libc::EAGAIN, "Resource temporarily unavailable")];
        for (number, words) in table.into_iter().chain(WORDS) {
            assert_eq!(reason(&Error::from_raw_os_error(number)), words);
        }
        assert_eq!(reason(&Error::other("no space")), "no space");
    }

    /// Where both can be compared, they are the same.
    #[cfg(target_env = "gnu")]
    #[test]
    fn the_words_are_those_of_this_libc() {
        for (number, words) in WORDS {
            assert_eq!(Error::from_raw_os_error(number).to_string(), format!("{words} (os error {number})"));
        }
    }
}
