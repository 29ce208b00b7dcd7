//! Input from attached clients.

use crate::place;
use conward_testkit::{Client, Ending, Launch, Pattern, Place, Running, Script, Step, Sum};

const INPUT: Pattern = Pattern { seed: 11, bytes: 8 << 20, line: 800 };

/// A started container with stdin, and a client that was there first.
fn with_client<'a>(place: &'a Place, steps: Vec<Step>, args: &[&str]) -> (Running<'a>, Client) {
    place.script(&Script::of([vec![Step::AwaitStart], steps].concat()));
    let running = Launch::create(place).args(args).start().created();
    let client = running.attach();
    place.start_container();
    (running, client)
}

#[test]
fn eight_megabytes_there_and_back() {
    let place = place();
    let (mut running, client) = with_client(&place, vec![Step::Echo, Step::Exit(3)], &["-i"]);
    let heard = client.exchange(&INPUT.bytes(), 32 << 10);
    assert_eq!(Sum::of(&heard.stdout), Sum::of(&INPUT.bytes()));
    assert_eq!(heard.ending, Ending::Eof);
    assert_eq!(running.status(), 3);
}

#[test]
fn eight_megabytes_before_the_first_read() {
    let place = place();
    let (_running, client) = with_client(&place, vec![Step::Checksum], &["-i"]);
    INPUT.bytes().chunks(32 << 10).for_each(|packet| client.send(packet));
    client.shut_write();
    assert_eq!(client.read_to_end().stdout, format!("{}\n", Sum::of(&INPUT.bytes())).into_bytes());
}

#[test]
fn packets_of_every_size() {
    let place = place();
    let (_running, client) = with_client(&place, vec![Step::Echo], &["-i"]);
    let input = Pattern { bytes: 300_000, ..INPUT }.bytes();
    assert_eq!(Sum::of(&client.exchange(&input, 37).stdout), Sum::of(&input));
}

#[test]
fn half_close_ends_the_containers_stdin_and_not_the_output() {
    let place = place();
    let (_running, client) = with_client(&place, vec![Step::Echo, Step::out("after")], &["-i"]);
    client.send(b"before ");
    client.shut_write();
    assert_eq!(client.read_to_end().stdout, b"before after");
}

#[test]
fn so_does_an_empty_packet() {
    let place = place();
    let (_running, client) = with_client(&place, vec![Step::Echo, Step::out("after")], &["-i"]);
    client.send(b"before ");
    client.send(b"");
    assert_eq!(client.read_to_end().stdout, b"before after");
}

#[test]
fn so_does_a_client_that_goes() {
    let place = place();
    let (mut running, client) = with_client(&place, vec![Step::Echo, Step::Exit(9)], &["-i"]);
    client.send(b"last words");
    drop(client);
    assert_eq!(running.status(), 9);
    assert_eq!(place.log_records()[0].content, b"last words");
}

/// Which makes a reset of its end (unix(7)), told before what it has sent.
#[test]
fn nothing_is_lost_of_a_client_that_goes_with_output_unread() {
    let place = place();
    let mut gate = place.gate("gate");
    let steps = vec![Step::out("unread\n"), Step::Await(gate.path().to_owned()), Step::Checksum];
    let (mut running, client) = with_client(&place, steps, &["-i"]);
    // More than the container's stdin and the supervisor's buffer hold together.
    let input = Pattern { bytes: 160 << 10, ..INPUT }.bytes();
    input.chunks(32 << 10).for_each(|packet| client.send(packet));
    client.await_packet();
    drop(client);
    gate.open();
    assert_eq!(running.status(), 0);
    assert_eq!(place.log_records()[1].content, Sum::of(&input).to_string().into_bytes());
}

#[test]
fn stdin_stays_open_on_demand() {
    let place = place();
    let steps = vec![Step::EchoLine, Step::EchoLine, Step::Exit(2)];
    let (mut running, first) = with_client(&place, steps, &["-i", "--leave-stdin-open"]);
    first.send(b"one\n");
    first.shut_write();
    first.read_until("one\n");
    let second = running.attach();
    second.send(b"two\n");
    second.read_until("two\n");
    assert_eq!(running.status(), 2);
}

#[test]
fn the_first_end_of_input_is_everybodys() {
    let place = place();
    let (running, first) = with_client(&place, vec![Step::Echo, Step::out("end")], &["-i"]);
    let second = running.attach();
    second.send(b"x");
    first.read_until("x");
    first.shut_write();
    assert_eq!(first.read_to_end().stdout, b"end");
    assert!(second.read_to_end().stdout.ends_with(b"end"));
}

#[test]
fn an_oversized_packet_is_cut_and_nothing_after_it() {
    let place = place();
    let (_running, client) = with_client(&place, vec![Step::Echo], &["-i"]);
    let packet = vec![b'a'; 40_000];
    client.send(&packet);
    client.send(b"\nend\n");
    client.shut_write();
    let heard = client.read_to_end().stdout;
    let (line, rest) = heard.split_at(heard.len() - 5);
    assert_eq!(rest, b"\nend\n");
    assert!(line.len() >= 32 << 10 && packet.starts_with(line), "{} bytes", line.len());
}

#[test]
fn input_that_nobody_wants_is_dropped_and_the_output_flows() {
    let place = place();
    let mut gate = place.gate("gate");
    let steps = vec![Step::Await(gate.path().to_owned()), Step::out("done")];
    let (_running, client) = with_client(&place, steps, &[]);
    for _ in 0..100 {
        client.send(&[b'x'; 30_000]);
    }
    client.shut_write();
    gate.open();
    let heard = client.read_to_end();
    assert_eq!((heard.stdout.as_slice(), heard.ending), (&b"done"[..], Ending::Eof));
}

#[test]
fn unread_input_does_not_turn_the_end_into_a_reset() {
    let place = place();
    let mut gate = place.gate("gate");
    let steps = vec![Step::Await(gate.path().to_owned()), Step::out("bye"), Step::Exit(0)];
    let (_running, client) = with_client(&place, steps, &["-i"]);
    // More than the container's stdin and the supervisor's buffer hold together.
    for _ in 0..4 {
        client.send(&[b'x'; 32 << 10]);
    }
    gate.open();
    let heard = client.read_to_end();
    assert_eq!((heard.stdout.as_slice(), heard.ending), (&b"bye"[..], Ending::Eof));
}

#[test]
fn a_container_that_does_not_read_holds_its_client_back() {
    let place = place();
    let mut gate = place.gate("gate");
    let steps = vec![Step::Await(gate.path().to_owned()), Step::Checksum];
    let (mut running, client) = with_client(&place, steps, &["-i"]);
    let input = Pattern { bytes: 2 << 20, ..INPUT }.bytes();
    let expected = format!("{}\n", Sum::of(&input));
    let sender = std::thread::spawn(move || client.exchange(&input, 32 << 10));
    let second = running.attach();
    running.monitor().must_be_quiet();
    gate.open();
    assert_eq!(sender.join().expect("client").stdout, expected.as_bytes());
    assert_eq!(second.read_to_end().stdout, expected.as_bytes());
}
