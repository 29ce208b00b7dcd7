//! The attach socket.

use crate::compare::Subject;
use conward_testkit::{Client, Heard, Launch, PATIENCE, Place, Running, Script, Step};

/// A container that was started with a client attached.
fn with_client<'a>(place: &'a Place, steps: Vec<Step>, words: &[&str]) -> (Running<'a>, Client) {
    place.script(&Script::of([vec![Step::AwaitStart], steps].concat()));
    let running = Launch::create(place).args(words).start().created();
    let client = running.attach();
    place.start_container();
    (running, client)
}

fn shown(heard: &Heard) -> String {
    format!("{} | {} | {:?}", heard.stdout.escape_ascii(), heard.stderr.escape_ascii(), heard.ending)
}

pub fn packets(subject: &mut Subject) {
    let place = subject.place();
    let steps = vec![Step::out("one"), Step::EchoLine, Step::err("two")];
    let (_running, client) = with_client(&place, steps, &["-i"]);
    subject.note("first", format!("{:?}", client.packet(PATIENCE)));
    client.send(b"line\n");
    subject.note("second", format!("{:?}", client.packet(PATIENCE)));
    subject.note("third", format!("{:?}", client.packet(PATIENCE)));
    subject.note("end", format!("{:?}", client.packet(PATIENCE)));
}

pub fn half_close(subject: &mut Subject) {
    for words in [&["-i"][..], &["-t"], &[]] {
        let place = subject.place();
        let mut gate = place.gate("gate");
        let last = if words == ["-i"] { Step::Echo } else { Step::Await(gate.path().to_owned()) };
        let (_running, client) =
            with_client(&place, vec![Step::out("before "), last, Step::out("after")], words);
        client.read_until("before ");
        client.shut_write();
        gate.open();
        subject.note(&format!("with {words:?}"), shown(&client.read_to_end()));
    }
}

pub fn empty_packet(subject: &mut Subject) {
    let place = subject.place();
    let (_running, client) = with_client(&place, vec![Step::Echo, Step::out("after")], &["-i"]);
    client.send(b"x");
    client.read_until("x");
    client.send(b"");
    subject.note("heard", shown(&client.read_to_end()));
}

pub fn unread_input(subject: &mut Subject) {
    let place = subject.place();
    let mut gate = place.gate("gate");
    let steps = vec![Step::Await(gate.path().to_owned()), Step::out("bye")];
    let (_running, client) = with_client(&place, steps, &["-i"]);
    for _ in 0..4 {
        client.send(&[b'x'; 32 << 10]);
    }
    gate.open();
    subject.note("heard", shown(&client.read_to_end()));
}

pub fn two_clients(subject: &mut Subject) {
    let place = subject.place();
    let mut gate = place.gate("gate");
    let steps = vec![Step::EchoLine, Step::EchoLine, Step::Await(gate.path().to_owned()), Step::out("end")];
    let (running, first) = with_client(&place, steps, &["-i"]);
    first.send(b"a\n");
    first.read_until("a\n");
    let second = running.attach();
    second.send(b"b\n");
    first.read_until("b\n");
    subject.note("second hears", second.read_until("b\n").escape_ascii());
    second.shut_write();
    gate.open();
    subject.note("first", shown(&first.read_to_end()));
    subject.note("second", shown(&second.read_to_end()));
}

pub fn stdin_left_open(subject: &mut Subject) {
    let place = subject.place();
    let steps = vec![Step::EchoLine, Step::EchoLine];
    let (running, first) = with_client(&place, steps, &["-i", "--leave-stdin-open"]);
    first.send(b"a\n");
    first.shut_write();
    first.read_until("a\n");
    let second = running.attach();
    second.send(b"b\n");
    subject.note("first", shown(&first.read_to_end()));
    subject.note("second", shown(&second.read_to_end()));
}
