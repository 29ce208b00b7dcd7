//! Streams as descriptors, with a runtime that sets them up as a real one does.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use conward_protocol::body::{Attached, Descriptor};
use conward_protocol::client::Client;
use conward_protocol::request::{Attach, Resize, Stdin, Stream};
use conward_protocol::{Body, Request};
use conward_testkit::read_to_end;
use conward_testkit::runc::{Container, LIMIT, Supervisor};

fn created(container: &Container, options: &[&str]) -> (Supervisor, Client) {
    let control = container.path("control");
    let dir = control.display().to_string();
    let mut supervisor = container.create(&[options, &["--control-dir", &dir]].concat());
    supervisor.pid();
    let client = Client::connect(&control.join(&container.id).join("control.sock")).expect("a greeting");
    client.set_timeout(Some(LIMIT)).expect("a time limit");
    (supervisor, client)
}

fn attach(client: &mut Client, stdin: Stdin, replay: Option<u64>) -> (Attached, Vec<File>) {
    let streams = Stream::ALL.to_vec();
    let answer =
        client.call(Request::Attach(Attach { streams, stdin, replay, exec: None })).expect("streams");
    let Body::Attached(attached) = answer.body else { panic!("{:?}", answer.body) };
    let files = answer.descriptors.into_iter().map(|(_, fd): (Descriptor, OwnedFd)| File::from(fd));
    (attached, files.collect())
}

#[test]
fn a_program_reads_and_writes_them() {
    let container = Container::new(&["sh", "-c", "cat; echo done >&2; exit 3"]);
    let (_supervisor, mut client) = created(&container, &["-i", "--leave-stdin-open"]);
    let (attached, mut files) = attach(&mut client, Stdin::Once, None);
    assert_eq!(attached.descriptors, Descriptor::ALL[..3]);
    client.call(Request::Start).expect("a start");
    let (mut stdin, text) = (files.remove(0), b"0123456789abcde\n".repeat(1 << 16));
    let sender = std::thread::spawn({
        let text = text.clone();
        move || stdin.write_all(&text).expect("input is taken")
    });
    assert!(read_to_end(&files[0], LIMIT, "stdout") == text);
    sender.join().expect("the sender");
    assert_eq!(read_to_end(&files[1], LIMIT, "stderr"), b"done\n");
    assert_eq!(container.exit_file(), "3");
}

#[test]
fn numbers_are_counted_without_a_gap() {
    let script = "i=0; while [ $i -lt 60000 ]; do echo $i; i=$((i+1)); done; sleep 1000";
    let container = Container::new(&["sh", "-c", script]);
    let (_supervisor, mut client) = created(&container, &[]);
    client.call(Request::Start).expect("a start");
    let text: Vec<u8> = (0..60_000).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let mut from = 0;
    let mut held = Vec::new();
    // The last one comes when nothing is written any more.
    while from < text.len() {
        let (attached, mut files) = attach(&mut client, Stdin::None, Some(10_000));
        let joined = attached.streams[0];
        from = usize::try_from(joined.live_from).expect("a size");
        let mut replay = Vec::new();
        files[2].read_to_end(&mut replay).expect("a replay");
        assert_eq!(replay.len(), from.min(10_000));
        assert!(text[..from].ends_with(&replay), "before {from}");
        held.push((from, files.remove(0)));
        held.truncate(20);
        std::thread::sleep(Duration::from_millis(1));
    }
    for (from, mut stdout) in held {
        let mut live = vec![0; text.len() - from];
        stdout.read_exact(&mut live).expect("the rest");
        assert!(live == text[from..], "from {from} on");
    }
    container.runc(&["kill", &container.id, "KILL"]);
    assert_eq!(container.exit_file(), "137");
}

#[test]
fn a_terminal_is_one_stream_both_ways() {
    let container = Container::on_terminal(&["sh", "-c", "read line; stty size; echo \"got $line\"; exit 4"]);
    let (_supervisor, mut client) = created(&container, &["-t", "-i"]);
    let (attached, mut files) = attach(&mut client, Stdin::Shared, Some(100));
    let names = [Descriptor::Stdin, Descriptor::Stdout, Descriptor::ReplayStdout];
    assert_eq!(attached.descriptors, names);
    client.call(Request::Resize(Resize { rows: 33, cols: 77, exec: None })).expect("a size");
    client.call(Request::Start).expect("a start");
    files[0].write_all(b"words\n").expect("input is taken");
    let heard = String::from_utf8(read_to_end(&files[1], LIMIT, "the terminal")).expect("text");
    assert!(heard.contains("33 77\r\n") && heard.contains("got words\r\n"), "{heard:?}");
    assert_eq!(container.exit_file(), "4");
}
