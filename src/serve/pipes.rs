//! The messages of the caller's sync and attach pipes.
//!
//! A message is one JSON object on one line, written with one write(2): callers hand over
//! SEQPACKET sockets, stream sockets and plain pipes alike.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

use crate::plan::ReportForm;

/// Most bytes of a message, its newline included: Podman reads SEQPACKET messages through a buffer
/// of this size and would find the rest of a longer one missing. It is also PIPE_BUF, below which
/// pipe(7) promises that a write is not split.
pub const MESSAGE_MAX: usize = 4096;

/// What follows the text of a message.
const TAIL: &str = "\"}\n";

/// `{"KEY": NUMBER}` or `{"KEY": NUMBER, "message": "TEXT"}`, and a newline.
///
/// The text ends at its first NUL, and an empty one is left out. Bytes that are not UTF-8 become
/// U+FFFD. At [`MESSAGE_MAX`] the end of the text is cut off, between two characters.
pub fn encode(form: ReportForm, number: i32, text: Option<&[u8]>) -> Vec<u8> {
    let key = match form {
        ReportForm::Pid => "pid",
        ReportForm::ExitCode => "exit_code",
        ReportForm::Data => "data",
    };
    let text = text.and_then(|text| text.split(|&byte| byte == 0).next()).unwrap_or_default();
    if text.is_empty() {
        return format!("{{\"{key}\": {number}}}\n").into_bytes();
    }
    let mut line = format!("{{\"{key}\": {number}, \"message\": \"");
    push_escaped(&mut line, text, MESSAGE_MAX - TAIL.len());
    line.push_str(TAIL);
    line.into_bytes()
}

/// Writes a message with one write(2), without waiting for the reader.
///
/// # Errors
///
/// `WouldBlock` if the reader has left so much unread that the message does not fit, `WriteZero` if
/// only a part of it was taken, `BrokenPipe` if there is no reader, and the others of write(2).
/// After none of them does it help to write again.
pub fn send(pipe: impl AsFd, message: &[u8]) -> io::Result<()> {
    // The descriptor is shared with the caller, so it cannot be made non-blocking. But no one else
    // writes to it: what poll(2) finds room for still has room a moment later.
    let mut ready = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
    if uninterrupted(|| poll(&mut ready, PollTimeout::ZERO))? == 0 {
        return Err(Errno::EAGAIN.into());
    }
    match uninterrupted(|| write(&pipe, message)) {
        // A reader that left earlier messages unread when it closed its socket is gone just so.
        Err(Errno::ECONNRESET) => Err(Errno::EPIPE.into()),
        Err(errno) => Err(errno.into()),
        Ok(taken) if taken == message.len() => Ok(()),
        Ok(taken) => {
            let text = format!("{taken} of {} bytes were taken", message.len());
            Err(io::Error::new(io::ErrorKind::WriteZero, text))
        }
    }
}

/// Calls again what a signal has interrupted.
fn uninterrupted<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Appends as much of `text` to `line` as fits into `max` bytes, escaped as the reference does it:
/// `/` and DEL too, though JSON does not ask for that.
fn push_escaped(line: &mut String, text: &[u8], max: usize) {
    let mut escape = String::with_capacity(6);
    for chunk in text.utf8_chunks() {
        let replacement = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        for character in chunk.valid().chars().chain(replacement) {
            escape.clear();
            match character {
                '\\' | '"' | '/' => escape.extend(['\\', character]),
                '\n' => escape.push_str("\\n"),
                '\r' => escape.push_str("\\r"),
                '\t' => escape.push_str("\\t"),
                '\x08' => escape.push_str("\\b"),
                '\x0c' => escape.push_str("\\f"),
                '\0'..' ' | '\x7f' => escape.push_str(&format!("\\u{:04x}", u32::from(character))),
                _ => escape.push(character),
            }
            if line.len() + escape.len() > max {
                return;
            }
            line.push_str(&escape);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socketpair};
    use nix::unistd::{pipe, read};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::os::fd::AsRawFd;

    fn line(form: ReportForm, number: i32, text: Option<&[u8]>) -> String {
        String::from_utf8(encode(form, number, text)).unwrap()
    }

    #[test]
    fn golden() {
        use ReportForm::{Data, ExitCode, Pid};
        let table: [(ReportForm, i32, Option<&[u8]>, &str); 12] = [
            (Pid, 4711, None, "{\"pid\": 4711}\n"),
            (Data, 0, None, "{\"data\": 0}\n"),
            (ExitCode, 137, None, "{\"exit_code\": 137}\n"),
            (
                ExitCode,
                -1,
                Some(b"command timed out"),
                "{\"exit_code\": -1, \"message\": \"command timed out\"}\n",
            ),
            (Pid, -1, Some(b""), "{\"pid\": -1}\n"),
            (Pid, -1, Some(b"\0gone"), "{\"pid\": -1}\n"),
            (Data, -1, Some(b"kept\0gone"), "{\"data\": -1, \"message\": \"kept\"}\n"),
            (Data, -1, Some(b"\\ \" /\n"), "{\"data\": -1, \"message\": \"\\\\ \\\" \\/\\n\"}\n"),
            (Data, -1, Some(b"\r\t\x08\x0c"), "{\"data\": -1, \"message\": \"\\r\\t\\b\\f\"}\n"),
            (Data, -1, Some(b"\x01\x1b\x7f"), "{\"data\": -1, \"message\": \"\\u0001\\u001b\\u007f\"}\n"),
            (Data, -1, Some("äöü€😀".as_bytes()), "{\"data\": -1, \"message\": \"äöü€😀\"}\n"),
            (Data, -1, Some(b"a\xffb\xe2\x82"), "{\"data\": -1, \"message\": \"a\u{fffd}b\u{fffd}\"}\n"),
        ];
        for (form, number, text, expected) in table {
            assert_eq!(line(form, number, text), expected);
        }
    }

    #[test]
    fn the_end_is_cut_between_characters() {
        // The frame `{"pid": -1, "message": "` … `"}` and the newline take 27 bytes.
        for (unit, escaped) in [("x", 1), ("\n", 2), ("\u{1}", 6), ("€", 3), ("😀", 4)] {
            let text = unit.repeat(MESSAGE_MAX);
            let encoded = line(ReportForm::Pid, -1, Some(text.as_bytes()));
            let fitting = (MESSAGE_MAX - 27) / escaped;
            assert_eq!(encoded.len(), 27 + fitting * escaped, "{unit:?}");
            let parsed: Value = serde_json::from_str(&encoded).unwrap();
            assert_eq!(parsed, json!({"pid": -1, "message": unit.repeat(fitting)}));
        }
    }

    proptest! {
        #[test]
        fn always_json_within_the_bound(
            number: i32,
            piece in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(0xe2), 1u8..32], 0..40),
            times in 0usize..200,
        ) {
            let text = piece.repeat(times);
            let encoded = encode(ReportForm::ExitCode, number, Some(&text));
            prop_assert!(encoded.len() <= MESSAGE_MAX);
            prop_assert_eq!(encoded.iter().position(|&b| b == b'\n'), Some(encoded.len() - 1));
            let parsed: Value = serde_json::from_slice(&encoded).unwrap();
            prop_assert_eq!(&parsed["exit_code"], &json!(number));
            let head = text.split(|&b| b == 0).next().unwrap();
            let message = parsed.get("message").map_or("", |message| message.as_str().unwrap());
            prop_assert!(String::from_utf8_lossy(head).starts_with(message));
            prop_assert_eq!(message.is_empty(), head.is_empty());
        }
    }

    #[test]
    fn one_message_a_packet_and_no_waiting() {
        // The sockets block, as a caller's do: a wait would hang the test.
        let (here, there) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        send(&here, b"first\n").unwrap();
        send(&here, b"second\n").unwrap();
        let mut buf = [0; 64];
        assert_eq!(recv(there.as_raw_fd(), &mut buf, MsgFlags::empty()), Ok(6));
        assert_eq!(recv(there.as_raw_fd(), &mut buf, MsgFlags::empty()), Ok(7));
        let full = (0..100_000).find_map(|_| send(&here, &[b'x'; MESSAGE_MAX]).err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        drop(there);
        assert_eq!(send(&here, b"x\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn plain_pipes_too() {
        let (reader, writer) = pipe().unwrap();
        let full = (0..1000).find_map(|_| send(&writer, &[b'x'; MESSAGE_MAX]).err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(read(&reader, &mut [0; MESSAGE_MAX]).unwrap(), MESSAGE_MAX);
        send(&writer, &[b'x'; MESSAGE_MAX]).unwrap();
        drop(reader);
        assert_eq!(send(&writer, b"x\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
