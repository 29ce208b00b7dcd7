//! Output to attached clients.

use crate::place;
use conward_testkit::{
    Client, Ending, Launch, PATIENCE, Pattern, Script, Step, Sum, To, Watch, joined, wait_until,
};

const MIB: u64 = 1 << 20;

#[test]
fn a_client_hears_everything_from_the_start_and_then_the_end() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::out("out\n"), Step::err("err"), Step::Exit(0)]));
    let running = Launch::create(&place).start().created();
    let client = running.attach();
    place.start_container();
    let heard = client.read_to_end();
    assert_eq!((heard.stdout.as_slice(), heard.stderr.as_slice()), (&b"out\n"[..], &b"err"[..]));
    assert_eq!(heard.ending, Ending::Eof);
}

#[test]
fn a_packet_is_a_stream_byte_and_what_was_read() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::out("one"), Step::EchoLine, Step::err("two")]));
    let running = Launch::create(&place).arg("-i").start().created();
    let client = running.attach();
    place.start_container();
    assert_eq!(client.packet(PATIENCE), Some(Ok(b"\x02one".to_vec())));
    client.send(b"x\n");
    assert_eq!(client.packet(PATIENCE), Some(Ok(b"\x02x\n".to_vec())));
    assert_eq!(client.packet(PATIENCE), Some(Ok(b"\x03two".to_vec())));
    assert_eq!(client.packet(PATIENCE), Some(Err(Ending::Eof)));
}

#[test]
fn a_client_may_come_before_the_runtime_has_finished() {
    let place = place();
    let mut gate = place.gate("gate");
    let record = Some(place.path("call.json"));
    let script = Script::of([Step::AwaitStart, Step::out("late")]);
    place.script(&Script { before: vec![Step::Await(gate.path().to_owned())], record, ..script });
    let mut running = Launch::create(&place).start();
    running.go();
    place.await_file("call.json");
    let client = running.attach();
    gate.open();
    running.pid();
    place.start_container();
    assert_eq!(client.read_to_end().stdout, b"late");
}

#[test]
fn all_clients_hear_the_same() {
    let place = place();
    let pattern = Pattern { seed: 5, bytes: MIB, line: 300 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern)]));
    let running = Launch::create(&place).start().created();
    let clients = [(); 3].map(|()| running.attach());
    place.start_container();
    let heard = clients.map(|client| std::thread::spawn(move || client.read_to_end().stdout));
    for stdout in heard {
        assert_eq!(Sum::of(&stdout.join().expect("client")), Sum::of(&pattern.bytes()));
    }
}

#[test]
fn eight_megabytes_arrive_in_the_client_and_in_the_log() {
    let place = place();
    let pattern = Pattern { seed: 6, bytes: 8 * MIB, line: 2000 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern), Step::Exit(5)]));
    let mut running = Launch::create(&place).start().created();
    let client = running.attach();
    place.start_container();
    let heard = client.read_to_end();
    assert_eq!(heard.ending, Ending::Eof);
    let expected = pattern.bytes();
    assert_eq!(Sum::of(&heard.stdout), Sum::of(&expected));
    assert_eq!(running.status(), 5);
    assert_eq!(Sum::of(&joined(&place.log_records(), "stdout")), Sum::of(&expected));
}

#[test]
fn a_client_that_never_reads_harms_nobody_else() {
    let place = place();
    let stdout = Pattern { seed: 7, bytes: 8 * MIB, line: 500 };
    let stderr = Pattern { seed: 8, bytes: MIB, line: 90 };
    let mut gate = place.gate("gate");
    place.script(&Script::of([
        Step::AwaitStart,
        Step::Fork(vec![Step::Generate(To::Stderr, stderr), Step::Touch(place.path("done"))]),
        Step::Generate(To::Stdout, stdout),
        Step::Await(gate.path().to_owned()),
        Step::Exit(5),
    ]));
    let mut running = Launch::create(&place).start().created();
    let (silent, reader) = (running.attach(), running.attach());
    let reader = std::thread::spawn(move || reader.read_to_end());
    place.start_container();
    wait_until("stderr is written", || place.path("done").exists());
    gate.open();
    assert_eq!(running.status(), 5);
    assert_eq!(place.exit_file().as_deref(), Some("5"));
    let records = place.log_records();
    for (stream, pattern) in [("stdout", stdout), ("stderr", stderr)] {
        assert_eq!(Sum::of(&joined(&records, stream)), Sum::of(&pattern.bytes()), "log of {stream}");
    }
    let heard = reader.join().expect("client");
    assert_eq!(Sum::of(&heard.stdout), Sum::of(&stdout.bytes()));
    assert_eq!(Sum::of(&heard.stderr), Sum::of(&stderr.bytes()));
    // What it could have read is in order as far as it goes; then it was dropped.
    let rest = silent.read_to_end();
    assert!(stdout.bytes().starts_with(&rest.stdout));
}

#[test]
fn a_client_that_never_reads_is_enough_alone() {
    let place = place();
    let pattern = Pattern { seed: 9, bytes: 4 * MIB, line: 100 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern), Step::Exit(7)]));
    let mut running = Launch::create(&place).arg("-i").start().created();
    let silent = running.attach();
    place.start_container();
    wait_until("the end is recorded", || place.exit_file().as_deref() == Some("7"));
    assert_eq!(Sum::of(&joined(&place.log_records(), "stdout")), Sum::of(&pattern.bytes()));
    drop(silent);
    assert_eq!(running.status(), 7);
}

#[test]
fn whoever_comes_back_to_reading_finds_the_rest() {
    let place = place();
    let pattern = Pattern { seed: 10, bytes: 2 * MIB, line: 100 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern), Step::Exit(7)]));
    let mut running = Launch::create(&place).start().created();
    let late = running.attach();
    place.start_container();
    wait_until("the end is recorded", || place.exit_file().as_deref() == Some("7"));
    let heard = late.read_to_end();
    assert_eq!(Sum::of(&heard.stdout), Sum::of(&pattern.bytes()));
    assert_eq!(heard.ending, Ending::Eof);
    assert_eq!(running.status(), 7);
}

#[test]
fn clients_come_and_go() {
    let place = place();
    let mut gate = place.gate("gate");
    let wait = Step::Await(gate.path().to_owned());
    place.script(&Script::of([Step::AwaitStart, Step::out("a"), wait, Step::out("b")]));
    let running = Launch::create(&place).start().created();
    let first = running.attach();
    place.start_container();
    first.read_until("a");
    drop(first);
    for _ in 0..50 {
        drop(running.attach());
    }
    let second = running.attach();
    gate.open();
    assert_eq!(second.read_to_end().stdout, b"b");
}

#[test]
fn nothing_is_kept_of_clients_that_went() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::create(&place).arg("-i").arg("--leave-stdin-open").start().created();
    let descriptors = format!("/proc/{}/fd", running.monitor().pid());
    let count = || std::fs::read_dir(&descriptors).expect("descriptors of the supervisor").count();
    let before = count();
    for _ in 0..20 {
        let clients: Vec<Client> = (0..20).map(|_| running.attach()).collect();
        clients.iter().for_each(|client| client.send(b"x"));
    }
    wait_until("the supervisor has let go of its clients", || count() == before);
    place.start_container();
}

#[test]
fn the_connection_ends_when_all_is_said_and_before_the_exit_file() {
    let place = place();
    let mut gate = place.gate("gate");
    place.script(&Script::of([Step::AwaitStart, Step::out("x")]));
    let mut watch = Watch::new(&place, &["exits"]);
    let mut running = Launch::create(&place).gated_exit_command("hook.json", &gate).start().created();
    let client = running.attach();
    place.start_container();
    watch.wait(&place, "+exits/ID");
    // Nothing may come later: the end is in the socket already.
    let none = std::time::Duration::ZERO;
    assert_eq!(client.packet(none), Some(Ok(b"\x02x".to_vec())));
    assert_eq!(client.packet(none), Some(Err(Ending::Eof)));
    place.await_file("hook.json");
    gate.open();
    running.status();
}

#[test]
fn the_socket_is_private_and_goes_with_the_container() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::create(&place).start().created();
    assert_eq!(place.mode("bundle/attach"), "s700");
    assert_eq!((place.mode("bundle/ctl"), place.mode("bundle/winsz")), ("p640".into(), "p640".into()));
    place.start_container();
    running.status();
    assert_eq!(place.mode("bundle/attach"), "-");
    assert!(Client::try_connect(&place.bundle().join("attach")).is_err());
}
