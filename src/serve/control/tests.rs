use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::*;

/// A client, its number, and what keeps its directory.
fn client() -> (Control, ControlId, UnixStream, tempfile::TempDir) {
    let base = tempfile::tempdir().unwrap();
    let mut control = Control::open(&base.path().join("id")).unwrap();
    let stream = UnixStream::connect(base.path().join("id").join(SOCKET_FILE)).unwrap();
    let Some(Accepted::Client(id)) = control.accept().unwrap() else { panic!("no client") };
    (control, id, stream, base)
}

#[test]
fn descriptors_come_with_the_first_byte_of_their_line() {
    let (mut control, id, mut stream, _base) = client();
    // More than the socket takes at once.
    let long = vec![b'x'; 3 * LINE_MAX];
    let (mut reader, writer) = std::io::pipe().unwrap();
    control.send(id, b"before\n".to_vec(), Vec::new());
    control.send(id, long.clone(), vec![writer.into()]);
    control.send(id, b"after\n".to_vec(), Vec::new());
    let mut before = [0; 7];
    stream.read_exact(&mut before).unwrap();
    let mut writer = std::io::PipeWriter::from(socket::receive_fd(stream.as_fd()).unwrap());
    let mut heard = Vec::new();
    stream.set_nonblocking(true).unwrap();
    while !heard.ends_with(b"after\n") {
        let _ = stream.read_to_end(&mut heard);
        control.flush(id);
    }
    assert_eq!(before, *b"before\n");
    assert!(long.ends_with(&heard[..heard.len() - 6]), "{} bytes", heard.len());
    assert_eq!(control.load(), (1, 0, 0));
    // This end has closed its own: the one that came is the last.
    writer.write_all(b"through").unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
}

#[test]
fn few_descriptors_wait_for_a_client_that_does_not_read() {
    let (mut control, id, _stream, _base) = client();
    while control.load().1 == 0 {
        control.send(id, vec![b'x'; 1000], Vec::new());
    }
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut sets = 0;
    while control.ended().is_none() {
        let set = (0..5).map(|_| writer.try_clone().unwrap().into()).collect();
        control.send(id, b"x\n".to_vec(), set);
        sets += 1;
    }
    assert_eq!(sets, 4);
    let queued = control.load().1;
    assert_eq!(control.ended(), Some((id, Ended::TooSlow(queued))));
    control.remove(id);
    drop(writer);
    assert_eq!(reader.read(&mut [0]).unwrap(), 0, "one is left open");
}

#[test]
fn a_socket_of_somebody_else_stays_even_with_the_same_inode_number() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("id");
    let first = Control::open(&dir).unwrap();
    // Time goes in steps of some milliseconds here.
    let second = loop {
        let second = Control::open(&dir).unwrap();
        if second.mark != first.mark {
            break second;
        }
    };
    first.remove_all();
    assert!(dir.join(SOCKET_FILE).exists());
    fs::write(dir.join(STATE_FILE), "{}").unwrap();
    second.remove_socket();
    assert!(!dir.join(SOCKET_FILE).exists() && dir.join(STATE_FILE).exists());
    let third = Control::open(&dir).unwrap();
    third.remove_all();
    assert!(!dir.exists());
}

#[test]
fn a_last_line_comes_behind_the_whole_of_the_one_before() {
    // Lines of which some reach the client only in part, and many lines in one piece.
    let short = b"0123456789\n".repeat(20_000);
    let long = [vec![b'x'; LINE_MAX], vec![b'\n']].concat();
    for line in [short, long, b"a line\n".to_vec()] {
        let (mut control, id, mut stream, _base) = client();
        while control.ended().is_none() {
            control.send(id, line.clone(), Vec::new());
        }
        let queued = control.load().1;
        let told = control.take_leave(id, b"farewell\n");
        assert!(told <= LINE_MAX && told <= queued);
        drop(control.remove(id));
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        let heard = heard.strip_suffix(b"farewell\n").expect("the last line");
        let line = line.split_inclusive(|&byte| byte == b'\n').next().unwrap();
        assert!(heard.chunks(line.len()).all(|heard| heard == line), "a torn line");
    }
}

#[test]
fn who_sends_nothing_more_is_not_gone() {
    let (mut control, id, mut stream, _base) = client();
    stream.write_all(b"one\ntwo").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(control.read(id), Heard::More);
    assert_eq!(control.next_line(id), Some(Line::Text(b"one")));
    assert_eq!(control.next_line(id), None);
    assert_eq!(control.half_closed().count(), 0);
    assert_eq!(control.read(id), Heard::HalfEnd { torn: true });
    assert_eq!(control.read(id), Heard::Nothing);
    assert_eq!(control.next_line(id), None);
    assert_eq!(control.half_closed().collect::<Vec<_>>(), [id]);
    control.hang_up(id);
    assert_eq!(control.read(id), Heard::End);
}
