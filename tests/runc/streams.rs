//! Standard streams of real containers: pipes, terminals, input, clients.

use conward_testkit::runc::{Container, LIMIT};
use conward_testkit::wait_for;

/// Text of about `size` bytes in which every line differs.
fn lines(size: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= size {
            break;
        }
        text.push_str(&format!("line {number} of a long text, with something to tell it from the others\n"));
    }
    text
}

#[test]
fn input_of_a_client_reaches_the_container_and_comes_back_whole() {
    let container = Container::new(&["cat"]);
    let _supervisor = container.run(&["-i"]);
    let mut client = container.attach();
    let text = lines(1 << 20);
    client.exchange(text.as_bytes());
    client.end_input();
    client.drain();
    assert!(client.stdout == text.as_bytes(), "{} of {} bytes came back", client.stdout.len(), text.len());
    assert_eq!(container.exit_file(), "0");
    assert!(container.logged("stdout") == text, "the log holds the same text");
}

#[test]
fn both_streams_arrive_and_keep_their_names() {
    let script = "read go; i=0; while [ $i -lt 500 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done";
    let container = Container::new(&["sh", "-c", script]);
    let _supervisor = container.run(&["-i"]);
    let mut clients = [container.attach(), container.attach()];
    clients[0].send(b"go\n");
    let expected = |name: &str| (0..500).map(|i| format!("{name} {i}\n")).collect::<String>();
    for client in &mut clients {
        client.drain();
        assert_eq!(String::from_utf8_lossy(&client.stdout), expected("out"));
        assert_eq!(String::from_utf8_lossy(&client.stderr), expected("err"));
    }
    assert_eq!(container.exit_file(), "0");
    assert_eq!(container.logged("stdout"), expected("out"));
    assert_eq!(container.logged("stderr"), expected("err"));
}

#[test]
fn the_last_words_without_a_newline_are_logged() {
    let container = Container::new(&["sh", "-c", "echo whole; printf unfinished"]);
    let _supervisor = container.run(&[]);
    assert_eq!(container.exit_file(), "0");
    assert_eq!(container.logged("stdout").trim_end(), "whole\nunfinished");
}

#[test]
fn a_client_that_never_reads_does_not_stop_the_log() {
    let container = Container::new(&["sh", "-c", "read go; yes 0123456789 | head -n 300000; exit 5"]);
    let _supervisor = container.run(&["-i"]);
    let idle = container.attach();
    idle.send(b"go\n");
    assert_eq!(container.exit_file(), "5", "the record is written while the client still stands there");
    assert_eq!(container.logged("stdout").len(), 300_000 * 11);
    drop(idle);
}

#[test]
fn a_terminal_has_the_size_that_was_asked_for() {
    let container =
        Container::on_terminal(&["sh", "-c", "stty -echo; echo ready; while read x; do stty size; done"]);
    let mut supervisor = container.create(&["-t"]);
    supervisor.pid();
    // Before the start: engines send the size as soon as they can.
    std::fs::write(container.bundle.path("ctl"), "1 24 80\n").expect("writing to ctl");
    let mut client = container.attach();
    container.start();
    client.expect("ready\r\n");
    for (rows, columns) in [(24, 80), (40, 100), (1000, 1000)] {
        std::fs::write(container.bundle.path("ctl"), format!("1 {rows} {columns}\n"))
            .expect("writing to ctl");
        let size = format!("{rows} {columns}\r\n");
        // The fifo and the socket are not ordered: ask until the answer is the new size.
        wait_for(&format!("size {rows} {columns}"), LIMIT, || {
            client.send(b"\n");
            client.expect("\r\n").ends_with(&size).then_some(())
        });
    }
    client.send(&[4]);
    client.drain();
    assert_eq!(container.exit_file(), "0", "end of input on the terminal ends the shell");
}

#[test]
fn a_terminal_translates_newlines_and_interrupts() {
    let container = Container::on_terminal(&[
        "sh",
        "-c",
        "trap 'echo caught; exit 4' INT; echo a; while :; do sleep 1; done",
    ]);
    let mut supervisor = container.create(&["-t"]);
    supervisor.pid();
    let mut client = container.attach();
    container.start();
    assert_eq!(client.expect("a\r\n"), "a\r\n");
    client.send(&[3]);
    client.expect("caught\r\n");
    client.drain();
    assert_eq!(container.exit_file(), "4");
}

#[test]
fn input_is_kept_open_when_asked() {
    let container = Container::new(&["sh", "-c", "read a; read b; echo $a $b"]);
    let _supervisor = container.run(&["-i", "--leave-stdin-open"]);
    let mut first = container.attach();
    first.send(b"one\n");
    first.end_input();
    let second = container.attach();
    second.send(b"two\n");
    first.drain();
    assert_eq!(String::from_utf8_lossy(&first.stdout), "one two\n");
    assert_eq!(container.exit_file(), "0");
}
