//! A supervisor with nothing to do does nothing.

use crate::place;
use conward_testkit::{Footprint, Gate, Launch, Place, Running, Script, Step, To, wait_until};

/// A started container that did these steps and then waits for the gate.
fn waiting<'a>(place: &'a Place, mut steps: Vec<Step>, args: &[&str]) -> (Running<'a>, Gate) {
    let gate = place.gate("gate");
    steps.insert(0, Step::AwaitStart);
    steps.extend([Step::Touch(place.path("there")), Step::Await(gate.path().to_owned())]);
    place.script(&Script::of(steps));
    let running = Launch::create(place).args(args).start().created();
    place.start_container();
    place.await_file("there");
    (running, gate)
}

#[test]
fn beside_an_idle_container() {
    for args in [&[][..], &["-i"], &["-t"]] {
        let place = place();
        let (mut running, mut gate) = waiting(&place, vec![], args);
        running.monitor().must_be_quiet();
        gate.open();
    }
}

/// Of buffers for much output only the pages count that little output needs.
#[test]
fn a_line_of_output_takes_little_memory_for_good() {
    let place = place();
    let gate = place.gate("gate");
    place.script(&Script::of([Step::AwaitStart, Step::out("a line\n"), Step::Await(gate.path().to_owned())]));
    let mut running = Launch::create(&place).start().created();
    let supervisor = running.monitor().pid();
    let before = Footprint::of(supervisor).private_kb;
    place.start_container();
    wait_until("the line is logged", || place.log_records().len() == 1);
    let after = Footprint::of(supervisor).private_kb;
    assert!(after <= before + 48, "from {before} kB to {after} kB");
    let mut gate = gate;
    gate.open();
    assert_eq!(running.status(), 0);
}

#[test]
fn after_the_end_of_both_streams() {
    let place = place();
    let (mut running, mut gate) =
        waiting(&place, vec![Step::Close(To::Stdout), Step::Close(To::Stderr)], &[]);
    running.monitor().must_be_quiet();
    gate.open();
    assert_eq!(running.status(), 0);
}

#[test]
fn after_a_client_closed_its_input() {
    for args in [&[][..], &["-i"], &["-t"], &["-t", "-i"], &["-i", "--leave-stdin-open"]] {
        let place = place();
        let (mut running, mut gate) = waiting(&place, vec![], args);
        let client = running.attach();
        client.shut_write();
        running.monitor().must_be_quiet();
        drop(client);
        running.monitor().must_be_quiet();
        gate.open();
    }
}

#[test]
fn when_the_container_closed_its_stdin_and_a_client_still_talks() {
    let place = place();
    let (mut running, mut gate) = waiting(&place, vec![Step::Close(To::Stdin)], &["-i"]);
    let client = running.attach();
    for _ in 0..20 {
        client.send(&[b'x'; 20_000]);
    }
    running.monitor().must_be_quiet();
    gate.open();
    assert_eq!(running.status(), 0);
}

#[test]
fn when_nobody_reads_the_terminals_input() {
    let place = place();
    let (mut running, mut gate) = waiting(&place, vec![], &["-t", "-i"]);
    let client = running.attach();
    // A terminal in canonical mode takes 4095 bytes of a line (termios(3)).
    for _ in 0..8 {
        client.send(&[b'x'; 3000]);
    }
    running.monitor().must_be_quiet();
    gate.open();
    drop(client);
    assert_eq!(running.status(), 0);
}

#[test]
fn when_the_runtime_hangs() {
    let place = place();
    let mut gate = place.gate("gate");
    let before = vec![Step::Touch(place.path("there")), Step::Await(gate.path().to_owned())];
    place.script(&Script { before, ..Script::default() });
    let mut running = Launch::create(&place).start();
    running.go();
    place.await_file("there");
    running.monitor().must_be_quiet();
    gate.open();
    running.pid();
}

#[test]
fn when_the_caller_has_gone() {
    let place = place();
    let (mut running, mut gate) = waiting(&place, vec![], &[]);
    running.hang_up_sync();
    running.monitor().must_be_quiet();
    gate.open();
    wait_until("it ends", || place.exit_file().is_some());
}
