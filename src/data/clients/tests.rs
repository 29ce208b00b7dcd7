use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use proptest::prelude::*;

use super::super::outbox::{GRACE, PARTING_LIMIT, PAYLOAD_MAX};
use super::*;

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

fn of(number: u64) -> Attachment {
    Attachment { number, client: None }
}

/// `count` clients of the attach socket, and their other sides.
fn clients(count: usize) -> (Clients, Vec<OwnedFd>) {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let mut clients = Clients::default();
    let add = |id| {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).expect("socketpair");
        clients.add(id, of(id as u64), Kind::Packets, ours);
        theirs
    };
    let others = (0..count).map(add).collect();
    (clients, others)
}

/// One attachment with these channels, numbered from 0, and their other sides.
fn attached<const N: usize>(kinds: [Kind; N]) -> (Clients, [UnixStream; N]) {
    let mut clients = Clients::default();
    let mut id = 0;
    let others = kinds.map(|kind| {
        let (ours, theirs) = kind.pair().expect("a pair");
        clients.add(id, of(7), kind, ours);
        id += 1;
        UnixStream::from(theirs)
    });
    (clients, others)
}

fn offer(clients: &mut Clients, stream: Stream, chunk: &[u8]) {
    clients.offer(&Output { now: Instant::now(), stream, chunk });
}

fn offer_until_full(clients: &mut Clients, now: Instant) {
    let chunk = [b'x'; PAYLOAD_MAX];
    while !clients.full() {
        clients.offer(&Output { now, stream: Stream::Stdout, chunk: &chunk });
    }
}

fn receive_one(other: &OwnedFd) -> bool {
    recv(other.as_raw_fd(), &mut [0; PAYLOAD_MAX + 1], MsgFlags::empty()).is_ok_and(|size| size > 0)
}

fn rest(other: &mut UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    other.read_to_end(&mut all).expect("an end");
    all
}

#[test]
fn all_queues_together_are_bounded() {
    for count in [1, 2, 4, 10, 100, 500] {
        let (mut clients, _others) = clients(count);
        offer_until_full(&mut clients, Instant::now());
        let costs = clients.list.iter().map(|client| client.outbox.cost());
        let (sum, most) = (costs.clone().sum::<usize>(), costs.max().expect("clients"));
        // Each may be beyond its share by one packet.
        let slack = count * 2 * PAYLOAD_MAX;
        assert!(sum <= MEMORY_MAX.max(count * SHARE_MIN) + slack, "{count} clients: {sum} bytes");
        let least = if count <= 4 { QUEUE_MAX } else { SHARE_MIN };
        assert!((least..least.max(MEMORY_MAX / count) + slack).contains(&most), "{count}: {most} bytes");
    }
}

#[test]
fn who_reads_slowly_after_the_end_gets_no_more_time_for_that() {
    let (mut clients, others) = clients(1);
    let recorded = Instant::now();
    offer_until_full(&mut clients, recorded);
    clients.excuse();
    assert!(clients.part(recorded).is_empty());
    let limit = recorded + PARTING_LIMIT;
    for _ in 0..50 {
        assert!(receive_one(&others[0]));
        clients.flush(0);
        assert_eq!(clients.deadline(), Some(limit));
    }
    assert!(clients.retire(limit - Duration::from_millis(1)).is_empty());
    // Whoever has everything is let go before.
    while receive_one(&others[0]) {
        clients.flush(0);
    }
    assert_eq!(clients.retire(recorded).len(), 1);
    assert_eq!(clients.take_gone(), [Gone { of: of(0), why: Why::Ended }]);
}

#[test]
fn who_does_not_read_loses_as_much_as_is_told() {
    for kind in [Kind::Packets, Kind::Output(Stream::Stdout)] {
        let (mut clients, mut others) = attached([kind]);
        let begun = Instant::now();
        let mut offered = 0;
        while !clients.full() {
            offered += 5000;
            clients.offer(&Output { now: begun, stream: Stream::Stdout, chunk: &[b'x'; 5000] });
        }
        assert!(clients.retire(begun + GRACE - Duration::from_millis(1)).is_empty());
        drop(clients.retire(begun + GRACE));
        let gone = clients.take_gone();
        let [Gone { why: Why::Lagged(lost), .. }] = gone[..] else { panic!("{gone:?}") };
        let heard = rest(&mut others[0]).into_iter().filter(|byte| *byte == b'x').count();
        assert_eq!(heard + lost, offered, "{kind:?}");
        assert_eq!(clients.load(), (0, 0, 1));
    }
}

#[test]
fn a_few_of_those_that_have_gone_may_wait_for_their_input_to_be_read() {
    let (mut clients, others) = clients(100);
    for other in others {
        send(other.as_raw_fd(), b"typed", MsgFlags::empty()).expect("room for input");
    }
    for id in 0..100 {
        clients.note_input(id);
        clients.hang_up(id);
    }
    assert_eq!(clients.retire(Instant::now()).len(), 100 - GONE_MAX);
    let lost: Vec<u64> = clients.take_gone().into_iter().map(|gone| gone.of.number).collect();
    assert!(lost.into_iter().eq(0..100 - GONE_MAX as u64), "the longest waiting first");
    assert!(clients.retire(Instant::now()).is_empty());
}

#[test]
fn each_channel_hears_its_stream() {
    let (mut clients, mut others) = attached(STREAMS.map(Kind::Output));
    for round in 0..3 {
        offer(&mut clients, Stream::Stdout, format!("out{round}").as_bytes());
        offer(&mut clients, Stream::Stderr, format!("err{round}").as_bytes());
    }
    // One stream has ended, and then the other.
    clients.end_output(Stream::Stdout);
    assert_eq!(clients.retire(Instant::now()).len(), 1);
    assert_eq!(rest(&mut others[0]), b"out0out1out2");
    assert_eq!((clients.take_gone(), clients.load().0), (vec![], 1));
    offer(&mut clients, Stream::Stderr, b"err3");
    clients.end_output(Stream::Stderr);
    assert_eq!(clients.retire(Instant::now()).len(), 1);
    assert_eq!(rest(&mut others[1]), b"err0err1err2err3");
    assert_eq!(clients.take_gone(), [Gone { of: of(7), why: Why::Ended }]);
}

#[test]
fn a_stream_ends_for_a_client_when_it_has_everything() {
    let (mut clients, [mut other]) = attached([Kind::Output(Stream::Stdout)]);
    offer_until_full(&mut clients, Instant::now());
    clients.end_output(Stream::Stdout);
    assert!(clients.retire(Instant::now()).is_empty());
    let mut buffer = vec![0; 1 << 20];
    while !clients.settled() {
        assert!(other.read(&mut buffer).expect("output") > 0);
        clients.flush(0);
    }
    assert_eq!(clients.retire(Instant::now()).len(), 1);
    rest(&mut other);
}

#[test]
fn what_a_client_sends_the_wrong_way_is_refused() {
    let kinds = [Kind::Output(Stream::Stdout), Kind::Input { once: true }];
    let (mut clients, [mut output, mut input]) = attached(kinds);
    assert_eq!(output.write(b"x").expect_err("no way in").kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(input.read(&mut [0]).expect("an end"), 0);
    offer(&mut clients, Stream::Stdout, b"x");
    drop(clients.part(Instant::now()));
    assert_eq!(rest(&mut output), b"x");
}

#[test]
fn input_ends_as_its_kind_says() {
    for once in [true, false] {
        let kind = Kind::Input { once };
        let (mut clients, [mut other]) = attached([kind]);
        other.write_all(b"typed").expect("room");
        clients.note_input(0);
        let mut buffer = Vec::with_capacity(100);
        assert_eq!(clients.receive(0, &mut buffer), Received::Bytes(5));
        assert_eq!(clients.receive(0, &mut buffer), Received::Nothing);
        assert!(clients.has_writer(once) && !clients.has_writer(!once));
        other.write_all(b"and gone").expect("room");
        drop(other);
        clients.hang_up(0);
        clients.note_input(0);
        assert!(clients.retire(Instant::now()).is_empty(), "what was sent counts");
        assert_eq!(clients.receive(0, &mut buffer), Received::Bytes(8));
        assert_eq!(clients.receive(0, &mut buffer), Received::End(of(7), kind));
        assert_eq!((clients.retire(Instant::now()).len(), buffer.as_slice()), (1, &b"typedand gone"[..]));
        assert_eq!(clients.take_gone(), [Gone { of: of(7), why: Why::Left }]);
    }
}

proptest! {
    /// However chunks come and however they are read, all arrives, in order.
    #[test]
    fn bytes_arrive_whole(
        chunks in prop::collection::vec((1usize..100_000, 0usize..200_000), 1..30),
    ) {
        let (mut clients, [mut other]) = attached([Kind::Output(Stream::Stdout)]);
        other.set_nonblocking(true).expect("non-blocking");
        let (mut sent, mut heard) = (Vec::new(), Vec::new());
        for (size, read) in chunks {
            let chunk: Vec<u8> = (0..size).map(|at| (at + sent.len()) as u8).collect();
            offer(&mut clients, Stream::Stdout, &chunk);
            sent.extend(chunk);
            let mut buffer = vec![0; read];
            if let Ok(count) = other.read(&mut buffer) {
                heard.extend_from_slice(&buffer[..count]);
            }
            clients.flush(0);
            prop_assert!(clients.list[0].outbox.unsent() + heard.len() <= sent.len());
        }
        let mut buffer = vec![0; 100_000];
        while heard.len() < sent.len() {
            let count = other.read(&mut buffer).expect("what was sent");
            heard.extend_from_slice(&buffer[..count]);
            clients.flush(0);
        }
        prop_assert!(heard == sent);
        prop_assert!(clients.settled());
    }
}
