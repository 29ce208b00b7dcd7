//! Clients that are slow, silent or gone, and what they may cost the others.

use crate::place;
use conward_testkit::{Launch, PATIENCE, Pattern, Script, Step, To, descriptors, wait_until};
use std::time::Duration;

#[test]
fn one_that_reads_no_more_after_the_end_is_not_waited_for() {
    let place = place();
    let pattern = Pattern { seed: 70, bytes: 2 << 20, line: 500 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern), Step::Exit(3)]));
    let mut running = Launch::create(&place).exit_command("hook.json").start().created();
    let client = running.attach();
    place.start_container();
    place.await_file("hook.json");
    assert!(!running.monitor().ended_within(Duration::from_millis(100)), "nobody was behind");
    client.shut_read();
    // What is in the socket already can be read, which makes room for more.
    assert!(client.read_to_end().stdout.len() < pattern.bytes as usize);
    // It still has the connection.
    assert!(running.monitor().ended_within(PATIENCE), "it waits for nobody");
    drop(client);
    assert_eq!(running.status(), 3);
}

#[test]
fn input_of_those_that_have_gone_holds_a_few_descriptors_at_most() {
    let place = place();
    let mut gate = place.gate("gate");
    place.script(&Script::of([Step::AwaitStart, Step::Await(gate.path().to_owned())]));
    let mut running = Launch::create(&place).args(["-i", "--leave-stdin-open"]).start().created();
    place.start_container();
    let pid = running.monitor().pid();
    let before = descriptors(pid).len();
    // More than the pipe and the supervisor hold: nobody's input is read from here on.
    let talker = running.attach();
    (0..8).for_each(|_| talker.send(&[b'x'; 20_000]));
    for round in 0..4 {
        let clients = [(); 25].map(|()| running.attach());
        clients.iter().for_each(|client| client.send(b"me too"));
        wait_until("all are accepted", || descriptors(pid).len() >= before + 26);
        drop(clients);
        wait_until(&format!("round {round} has gone"), || descriptors(pid).len() <= before + 1 + 16);
    }
    drop(talker);
    gate.open();
    assert_eq!(running.status(), 0);
}

#[test]
fn one_that_goes_on_sending_after_an_empty_packet_is_told() {
    for stdin in [&["-i"][..], &["-i", "--leave-stdin-open"], &[]] {
        let place = place();
        let mut gate = place.gate("gate");
        place.script(&Script::of([
            Step::AwaitStart,
            Step::Await(gate.path().to_owned()),
            Step::out("still heard\n"),
        ]));
        let mut running = Launch::create(&place).args(stdin).start().created();
        place.start_container();
        let client = running.attach();
        client.send(b"");
        wait_until("it is told", || !client.try_send(b"more"));
        gate.open();
        assert_eq!(client.read_to_end().stdout, b"still heard\n", "{stdin:?}");
        assert_eq!(running.status(), 0);
    }
}
