//! The pump, while those that it serves are behind.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socketpair};

use super::outbox::PARTING_LIMIT;
use super::{Attachment, ChannelId, Junction, Kind, Pump, Turn};
use crate::plan::{FileLog, Identity, JournalLog, LogPlan, Stream};
use crate::sink::Sinks;
use crate::sys::fds::set_nonblocking;

const WORDS: &[u8] = b"what the runtime said\n";

/// A pump with both logs in `dir`, and the writing ends of its streams.
struct Rig {
    pump: Pump,
    sinks: Sinks,
    journald: UnixDatagram,
    stdout: std::io::PipeWriter,
    stderr: std::io::PipeWriter,
}

impl Rig {
    fn new(dir: &Path) -> Rig {
        let socket = dir.join("socket");
        let journald = UnixDatagram::bind(&socket).unwrap();
        journald.set_nonblocking(true).unwrap();
        let file = FileLog {
            path: dir.join("log"),
            size_max: None,
            global_max: None,
            keep: None,
            allowed_dirs: Vec::new(),
            sync: false,
        };
        let journal =
            JournalLog { tag: None, labels: Vec::new(), mark_partial: true, priority_prefix: false };
        let plan = LogPlan { file: Some(file), journal: Some(journal), ..LogPlan::default() };
        let identity = Identity { id: "0123456789abcdef".to_owned(), uuid: None, name: None };
        let sinks = Sinks::open_at(&plan, &identity, &socket).unwrap();
        let mut pump = Pump::default();
        let [stdout, stderr] = [Stream::Stdout, Stream::Stderr].map(|stream| {
            let (read, write) = std::io::pipe().unwrap();
            set_nonblocking(&read).unwrap();
            pump.add(stream, OwnedFd::from(read), false);
            write
        });
        Rig { pump, sinks, journald, stdout, stderr }
    }

    /// Reads and passes on one chunk, which must be there.
    fn chunk(&mut self, stream: Stream) {
        assert!(matches!(self.pump.read(stream, &self.sinks), Turn::Chunk));
        self.pump.pass_on(stream, &mut self.sinks);
    }

    /// The runtime writes to stderr while the journal takes nothing; then the launch has succeeded.
    fn launch_while_the_journal_is_full(&mut self) {
        while !self.sinks.blocked() {
            self.stdout.write_all(b"output\n").unwrap();
            self.chunk(Stream::Stdout);
        }
        self.launch();
    }

    fn launch(&mut self) {
        self.stderr.write_all(WORDS).unwrap();
        self.chunk(Stream::Stderr);
        self.pump.release_stderr(&mut self.sinks);
    }

    /// A client whose queue is full, and its other side.
    fn fill_a_client(&mut self) -> (ChannelId, OwnedFd) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        let id = 0;
        self.pump.clients.add(id, Attachment { number: 0, client: None }, Kind::Packets, ours);
        let line = [&[b'x'; 8191][..], b"\n"].concat();
        while !self.pump.clients.full() {
            self.stdout.write_all(&line).unwrap();
            self.chunk(Stream::Stdout);
            while self.journald.recv(&mut [0; 16]).is_ok() {}
        }
        (id, theirs)
    }

    /// Takes all that is in the journal's queue, and says whether the words were among it.
    fn journal_hears_the_words(&self) -> bool {
        let (mut entry, mut heard) = ([0; 4096], false);
        while let Ok(size) = self.journald.recv(&mut entry) {
            heard |= entry[..size].windows(WORDS.len()).any(|part| part == WORDS);
        }
        heard
    }

    fn lost(&self) -> (u64, u64) {
        let tally = self.sinks.counts(Stream::Stderr);
        (tally.file.unwrap().lost().bytes, tally.journal.unwrap().lost().bytes)
    }
}

/// How often the words are in the log file.
fn in_the_file(dir: &Path) -> usize {
    let log = std::fs::read(dir.join("log")).unwrap();
    log.windows(WORDS.len()).filter(|part| *part == WORDS).count()
}

#[test]
fn what_the_runtime_said_waits_for_a_journal_that_is_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path());
    rig.launch_while_the_journal_is_full();
    rig.stderr.write_all(b"later\n").unwrap();
    assert!(matches!(rig.pump.read(Stream::Stderr, &rig.sinks), Turn::Dry), "read past what is held back");
    let mut heard = false;
    while rig.pump.resume(&mut rig.sinks).is_empty() {
        heard |= rig.journal_hears_the_words();
        rig.sinks.turn(Instant::now());
    }
    rig.chunk(Stream::Stderr);
    assert!(rig.journal_hears_the_words() || heard);
    assert_eq!((in_the_file(dir.path()), rig.lost()), (1, (0, 0)));
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.ends_with("stderr F later\n"), "out of order");
}

#[test]
fn what_the_runtime_said_is_logged_even_if_the_container_ends_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path());
    rig.launch_while_the_journal_is_full();
    rig.pump.begin_drain();
    assert!(!rig.pump.drained(&rig.sinks));
    rig.pump.end_drain(&mut rig.sinks);
    assert_eq!((in_the_file(dir.path()), rig.lost()), (1, (0, WORDS.len() as u64)));
}

#[test]
fn what_the_runtime_said_waits_for_a_client_that_is_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path());
    let (id, theirs) = rig.fill_a_client();
    rig.launch();
    assert_eq!(in_the_file(dir.path()), 0, "passed on while a client is behind");
    let (mut packet, mut heard) = ([0; 9000], Vec::new());
    let mut receive = |heard: &mut Vec<u8>| {
        while let Ok(size) = recv(theirs.as_fd().as_raw_fd(), &mut packet, MsgFlags::empty()) {
            if packet[0] == 3 {
                heard.extend_from_slice(&packet[1..size]);
            }
        }
    };
    while !rig.pump.clients.settled() || heard.is_empty() {
        receive(&mut heard);
        rig.pump.clients.flush(id);
        rig.pump.resume(&mut rig.sinks);
    }
    assert_eq!((&heard[..], in_the_file(dir.path()), rig.lost()), (WORDS, 1, (0, 0)));
}

#[test]
fn who_made_the_container_wait_is_not_dropped_after_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path());
    let (_, _theirs) = rig.fill_a_client();
    let due = rig.pump.clients.deadline().expect("it is waited for");
    rig.pump.begin_drain();
    assert!(rig.pump.clients.retire(due).is_empty());
    let recorded = due + Duration::from_secs(1);
    assert!(rig.pump.clients.part(recorded).is_empty());
    let limit = recorded + PARTING_LIMIT;
    assert!(rig.pump.clients.retire(limit - Duration::from_secs(1)).is_empty());
    assert_eq!(rig.pump.clients.retire(limit).len(), 1);
}

#[test]
fn a_stream_is_joined_where_the_clients_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(dir.path());
    rig.pump.keep_replays(8);
    assert_eq!(rig.pump.junction(Stream::Stdout, 8), Junction { passed: 0, last: [&[]; 2], live: true });
    rig.stdout.write_all(b"0123456789").unwrap();
    rig.chunk(Stream::Stdout);
    let junction = rig.pump.junction(Stream::Stdout, 4);
    assert_eq!((junction.passed, junction.last.concat()), (10, b"6789".to_vec()));
    // What is held back has not gone by, even at the end of the stream.
    rig.stderr.write_all(WORDS).unwrap();
    rig.chunk(Stream::Stderr);
    let Rig { pump, sinks, stderr, .. } = &mut rig;
    drop(std::mem::replace(stderr, std::io::pipe().unwrap().1));
    assert!(matches!(pump.read(Stream::Stderr, sinks), Turn::Ended(_)));
    assert_eq!(pump.junction(Stream::Stderr, 8), Junction { passed: 0, last: [&[]; 2], live: true });
    pump.release_stderr(sinks);
    let junction = pump.junction(Stream::Stderr, 100);
    assert_eq!((junction.passed, junction.live), (WORDS.len() as u64, false));
    assert_eq!(junction.last.concat(), WORDS[WORDS.len() - 8..]);
    pump.begin_drain();
    assert!(pump.junction(Stream::Stdout, 0).live);
    pump.end_drain(sinks);
    assert!(!pump.junction(Stream::Stdout, 0).live);
}
