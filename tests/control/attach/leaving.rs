//! Clients that leave, that do not read, or that lose what they were given.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;

use conward_protocol::body::Descriptor::{Stdin as Input, Stdout};
use conward_protocol::limits::ATTACHMENTS_MAX;
use conward_protocol::request::{Stdin, Stream};
use conward_protocol::{Cause, ErrorCode, Op, Request, What};
use conward_testkit::{Pattern, Running, Script, Step, Sum, To, descriptors, joined, wait_until};
use nix::sys::socket::{Shutdown, shutdown};

use super::{
    Streams, attach, await_event, await_gone, both, manager, refused, rest, stats, watcher, with_replay,
    writer,
};
use crate::client::{Client, connect};
use crate::{created, launch, place};

#[test]
fn closing_the_descriptors_detaches() {
    let place = place();
    let mut container = created(&place);
    let (mut client, mut watcher) = (manager(&place), watcher(&place));
    let by = client.greeting().client;
    let streams = attach(&mut client, with_replay(1));
    let cause = await_event(&mut watcher, |event| match &event.what {
        What::ClientAttached { attachment, streams: heard, stdin, exec: None } => {
            assert_eq!((*attachment, heard.as_slice()), (streams.number, Stream::ALL));
            assert_eq!(*stdin, Stdin::None);
            Some(event.cause.clone())
        }
        _ => None,
    });
    assert_eq!(cause, Cause::Client { client: by, op: Some(Op::Attach) });
    assert_eq!(stats(&mut client).attachments, 1);
    // A duplicate is as good as the original; half of them is still an attachment.
    let Streams { number, descriptors: mut kept, .. } = streams;
    let twin = kept[0].1.try_clone().expect("a duplicate");
    kept.truncate(1);
    drop(kept);
    assert_eq!(stats(&mut client).attachments, 1);
    drop(client);
    drop(twin);
    let cause = await_event(&mut watcher, |event| match event.what {
        What::ClientDetached { attachment } if attachment == number => Some(event.cause.clone()),
        _ => None,
    });
    assert_eq!(cause, Cause::Client { client: by, op: None });
    assert_eq!(stats(&mut watcher).attachments, 0);
    container.client.ok("kill KILL");
    container.end();
}

#[test]
fn clients_of_the_attach_socket_are_told_of_too() {
    let place = place();
    let mut container = created(&place);
    let mut watcher = watcher(&place);
    let legacy = container.running.attach();
    let number = await_event(&mut watcher, |event| match event.what {
        What::ClientAttached { attachment, .. } => {
            assert_eq!(event.cause, Cause::Caller);
            Some(attachment)
        }
        _ => None,
    });
    drop(legacy);
    let cause = await_event(&mut watcher, |event| match event.what {
        What::ClientDetached { attachment } if attachment == number => Some(event.cause.clone()),
        _ => None,
    });
    assert_eq!(cause, Cause::Caller);
    container.client.ok("kill KILL");
    container.end();
}

#[test]
fn who_reads_no_more_on_one_side_keeps_the_other() {
    let place = place();
    let mut gate = place.gate("gate");
    let out = Pattern { seed: 41, bytes: 6 << 20, line: 80 };
    let err = Pattern { seed: 42, bytes: 1 << 20, line: 80 };
    place.script(&Script::of([
        Step::AwaitStart,
        Step::Generate(To::Stdout, out),
        Step::Await(gate.path().into()),
        Step::Generate(To::Stderr, err),
    ]));
    let mut running = launch(&place).start().created();
    let mut streams = attach(&mut manager(&place), both());
    let stdout = streams.take(Stdout);
    shutdown(stdout.as_raw_fd(), Shutdown::Read).expect("shutdown");
    place.start_container();
    gate.open();
    let (_, stderr) = streams.descriptors.remove(0);
    assert_eq!(Sum::of(&rest(&stderr.into())), Sum::of(&err.bytes()));
    drop(stdout);
    assert_eq!(running.status(), 0);
}

/// The container waits for it no longer than a few seconds, and whoever watches hears how much it lost.
#[test]
fn who_does_not_read_is_dropped_and_told_of() {
    let place = place();
    let pattern = Pattern { seed: 43, bytes: 8 << 20, line: 500 };
    let mut gate = place.gate("gate");
    let steps = [Step::AwaitStart, Step::Generate(To::Stdout, pattern), Step::Await(gate.path().into())];
    place.script(&Script::of(steps));
    let mut running = launch(&place).args(["-i", "--leave-stdin-open"]).start().created();
    let (mut client, mut watcher) = (manager(&place), watcher(&place));
    let mut deaf = attach(&mut client, writer(Stdin::Once));
    let mut reader = attach(&mut client, both());
    place.start_container();
    let stdout = reader.take(Stdout);
    let reader = std::thread::spawn(move || Sum::of(&rest(&stdout)));
    let lost = await_gone(&mut watcher, deaf.number).expect("it was dropped");
    let heard = rest(&deaf.take(Stdout));
    let text = pattern.bytes();
    assert!(text.starts_with(&heard) && lost > 0 && heard.len() + lost as usize <= text.len());
    // What waits is bounded by what it costs, which is a little more than its bytes.
    assert!(lost as usize >= (4 << 20) - (64 << 10), "dropped for {lost} bytes");
    // It has not closed its input, so the container's has not ended: another may write.
    let error = deaf.take(Input).write_all(b"x").expect_err("it is closed");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    attach(&mut client, writer(Stdin::Once));
    assert_eq!(stats(&mut client).clients_dropped, 1);
    gate.open();
    assert_eq!(running.status(), 0);
    assert_eq!(reader.join().expect("the reader"), Sum::of(&text));
    assert_eq!(Sum::of(&joined(&place.log_records(), "stdout")), Sum::of(&text));
}

#[test]
fn who_reads_lines_without_descriptors_detaches_by_that() {
    let place = place();
    let mut container = created(&place);
    let mut watcher = watcher(&place);
    let number = container.client.ok("attach replay=5")["attachment"].as_u64().expect("a number");
    assert_eq!(await_gone(&mut watcher, number), None);
    container.client.ok("kill KILL");
    container.end();
}

#[test]
fn one_attachment_too_many_is_busy() {
    let place = place();
    let mut container = created(&place);
    let (mut client, mut watcher) = (manager(&place), watcher(&place));
    let mut held: Vec<Streams> = (0..ATTACHMENTS_MAX).map(|_| attach(&mut client, both())).collect();
    assert_eq!(refused(&mut client, both()), ErrorCode::Busy);
    // Those that ask nobody are not concerned.
    let legacy = container.running.attach();
    let number = held.pop().expect("an attachment").number;
    await_gone(&mut watcher, number);
    attach(&mut client, both());
    drop(legacy);
    container.client.ok("kill KILL");
    container.end();
}

fn count(running: &mut Running<'_>) -> usize {
    descriptors(running.monitor().pid()).len()
}

#[test]
fn who_asks_and_does_not_read_costs_few_descriptors() {
    let place = place();
    let mut container = created(&place);
    container.client.ok("state");
    let before = count(&mut container.running);
    let mut deaf = Client::connect(&place);
    let mut watcher = watcher(&place);
    // Its answers fill its socket, and then it asks for descriptors.
    deaf.send("debug\nstate\n".repeat(400));
    let asked = "attach replay=10\n".repeat(20);
    deaf.send(&asked);
    let lost = await_event(&mut watcher, |event| match event.what {
        What::ClientDropped { client: Some(client), lost, .. } if client == deaf.greeting.client => {
            Some(lost)
        }
        _ => None,
    });
    assert!(lost > 0);
    drop(watcher);
    drop(deaf);
    wait_until("its descriptors are closed", || count(&mut container.running) == before);
    container.client.ok("kill KILL");
    container.end();
}

#[test]
fn nothing_of_them_stays() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::Flood(To::Stdout, b"flood\n".repeat(100))]));
    let mut running = launch(&place).args(["-i", "--leave-stdin-open"]).start().created();
    let mut client = manager(&place);
    let before = count(&mut running);
    place.start_container();
    for round in 0..300 {
        let request = if round % 3 == 0 { writer(Stdin::Shared) } else { with_replay(100) };
        let line = "attach stdin=shared replay=100\n";
        match round % 6 {
            // It asks and goes, at any moment before, while or after it is answered.
            0 | 1 => {
                let mut socket = connect(&place).expect("a connection");
                socket.write_all(line.repeat(1 + round % 4).as_bytes()).expect("a request");
                if round % 4 == 1 {
                    let _ = socket.read(&mut [0; 50]);
                }
            }
            2 => drop(attach(&mut client, request)),
            // Some at once, that are closed one by one.
            3 => drop([(); 4].map(|()| attach(&mut client, both()))),
            4 => {
                let mut streams = attach(&mut client, request);
                streams.take(Stdout).read_exact(&mut [0; 100]).expect("output");
            }
            _ => {
                let mut streams = attach(&mut client, writer(Stdin::Shared));
                streams.take(Input).write_all(b"unread").expect("room");
            }
        }
    }
    client.call(Request::State).expect("it is well");
    wait_until("all is closed", || count(&mut running) == before);
    assert_eq!(stats(&mut client).attachments, 0);
    let kill = conward_protocol::request::Kill {
        signal: conward_protocol::Signal::parse("KILL").expect("a signal"),
        all: false,
        exec: None,
    };
    client.call(Request::Kill(kill)).expect("a signal");
    running.status();
}
