//! The streams of exec sessions.

use std::io::Write;

use conward_protocol::body::Descriptor::{Stderr, Stdin as Input, Stdout};
use conward_protocol::client::{Client, Error};
use conward_protocol::request::{Attach, CloseStdin, Exec, Stdin, Stream, Wait};
use conward_protocol::{Body, Cause, ErrorCode, Exit, Op, Request, What};
use conward_testkit::{Pattern, PidFile, Script, Step, To, descriptors, wait_until};

use super::{Streams, attach, await_event, await_gone, both, manager, refused, rest, stats, watcher};
use crate::exec::{exec, named, on_terminal, running};
use crate::place;

/// One whose streams are asked for.
fn heard(exec: Exec, stdin: Stdin) -> Exec {
    Exec { streams: Stream::ALL.to_vec(), stdin, ..exec }
}

fn start(client: &mut Client, exec: Exec) -> (String, Streams) {
    let answer = client.call(Request::Exec(exec)).expect("a session");
    let Body::ExecStarted(started) = answer.body else { panic!("{:?}", answer.body) };
    let names: Vec<_> = answer.descriptors.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, started.descriptors);
    let number = started.attachment.expect("an attachment");
    (started.exec, Streams { number, joined: Vec::new(), descriptors: answer.descriptors })
}

fn exit(client: &mut Client, name: &str) -> Option<Exit> {
    let stage = conward_protocol::request::Stage::Exited;
    match client.call(Request::Wait(Wait { stage, exec: Some(name.to_owned()) })).expect("an end").body {
        Body::Waited(waited) => waited.exit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn output_is_heard_from_its_first_byte_to_its_last() {
    let place = place();
    let container = running(&place);
    let (mut client, mut watcher) = (manager(&place), watcher(&place));
    let me = client.greeting().client;
    for (pid_file, bytes) in [(PidFile::Written, 3 << 20), (PidFile::Written, 0), (PidFile::AfterExit, 100)] {
        let pattern = Pattern { seed: bytes, bytes, line: 500 };
        let script = Script::of([Step::Generate(To::Stdout, pattern), Step::err("end"), Step::Exit(3)]);
        let (name, mut streams) = start(&mut client, heard(exec(Script { pid_file, ..script }), Stdin::None));
        assert_eq!(streams.names(), ["stdout", "stderr"]);
        assert!(rest(&streams.take(Stdout)) == pattern.bytes());
        assert_eq!(rest(&streams.take(Stderr)), b"end");
        assert_eq!(exit(&mut client, &name), Some(Exit::Code(3)));
        // Everybody else hears of it too.
        let (number, cause) = await_event(&mut watcher, |event| match &event.what {
            What::ClientAttached { attachment, exec: Some(exec), streams, stdin: Stdin::None } => {
                assert_eq!((exec, &streams[..]), (&name, Stream::ALL));
                Some((*attachment, event.cause.clone()))
            }
            _ => None,
        });
        assert_eq!((number, cause), (streams.number, Cause::Client { client: me, op: Some(Op::Exec) }));
        assert_eq!(await_gone(&mut watcher, number), None);
    }
    container.end();
}

#[test]
fn input_goes_in_and_its_end_ends_it() {
    let place = place();
    let container = running(&place);
    let (mut client, mut watcher) = (manager(&place), watcher(&place));
    let pattern = Pattern { seed: 7, bytes: 1 << 20, line: 80 };
    let (name, mut streams) = start(&mut client, heard(exec(Script::of([Step::Echo])), Stdin::Once));
    assert_eq!(streams.names(), ["stdin", "stdout", "stderr"]);
    let mut input = streams.take(Input);
    let sender = std::thread::spawn(move || input.write_all(&pattern.bytes()).expect("input is taken"));
    assert!(rest(&streams.take(Stdout)) == pattern.bytes());
    sender.join().expect("the sender");
    assert_eq!(exit(&mut client, &name), Some(Exit::Code(0)));
    let closed = |exec: &str| {
        let exec = exec.to_owned();
        move |event: &conward_protocol::Event| {
            let what = What::StdinClosed { exec: Some(exec.clone()) };
            (event.what == what).then(|| event.cause.clone())
        }
    };
    let me = client.greeting().client;
    assert_eq!(await_event(&mut watcher, closed(&name)), Cause::Client { client: me, op: None });

    // A writer beside others does not end it; a request does.
    let (name, mut streams) = start(&mut client, heard(exec(Script::of([Step::Echo])), Stdin::Shared));
    streams.take(Input).write_all(b"first ").expect("input is taken");
    let shared = Attach { streams: vec![], stdin: Stdin::Shared, exec: Some(name.clone()), ..both() };
    let mut second = attach(&mut client, shared.clone());
    assert_eq!(refused(&mut client, Attach { stdin: Stdin::Once, ..shared }), ErrorCode::Busy);
    second.take(Input).write_all(b"second").expect("input is taken");
    await_gone(&mut watcher, second.number);
    client.call(Request::CloseStdin(CloseStdin { exec: Some(name.clone()) })).expect("the end of the input");
    await_event(&mut watcher, closed(&name));
    assert_eq!(rest(&streams.take(Stdout)), b"first second");
    assert_eq!(exit(&mut client, &name), Some(Exit::Code(0)));
    container.end();
}

#[test]
fn a_terminal_is_one_stream_both_ways() {
    let place = place();
    let container = running(&place);
    let mut client = manager(&place);
    let script = Script::of([Step::EchoLine, Step::Exit(5)]);
    let (name, mut streams) = start(&mut client, heard(on_terminal(script), Stdin::Once));
    assert_eq!(streams.names(), ["stdin", "stdout"]);
    streams.take(Input).write_all(b"typed\n").expect("input is taken");
    // What was typed comes back from the terminal, then from the program.
    let shown = String::from_utf8(rest(&streams.take(Stdout))).expect("ASCII").replace('\r', "");
    assert_eq!(shown, "typed\ntyped\n");
    assert_eq!(exit(&mut client, &name), Some(Exit::Code(5)));
    container.end();
}

#[test]
fn others_attach_later_as_long_as_it_runs() {
    let place = place();
    let container = running(&place);
    let mut client = manager(&place);
    let mut gate = place.gate("more");
    let script = Script::of([Step::out("before "), Step::Await(gate.path().to_owned()), Step::out("after")]);
    let (name, mut first) = start(&mut client, heard(named("s", exec(script)), Stdin::None));
    let of_session = || Attach { exec: Some("s".into()), replay: Some(100), ..both() };
    wait_until("it has written", || attach(&mut client, of_session()).live_from(Stream::Stdout) == 7);
    let mut late = attach(&mut client, of_session());
    assert_eq!(late.replay(Stream::Stdout), b"before ");
    gate.open();
    assert_eq!(rest(&late.take(Stdout)), b"after");
    assert_eq!(rest(&first.take(Stdout)), b"before after");
    assert_eq!(exit(&mut client, &name), Some(Exit::Code(0)));
    assert_eq!(refused(&mut client, of_session()), ErrorCode::NotRunning);
    let unknown = Attach { exec: Some("nobody".into()), ..both() };
    assert_eq!(refused(&mut client, unknown), ErrorCode::NoSuchExec);
    container.end();
}

#[test]
fn a_session_that_is_not_started_has_no_streams() {
    let place = place();
    let container = running(&place);
    let (mut client, mut watcher) = (manager(&place), watcher(&place));
    let before = descriptors(container.client.greeting.supervisor).len();
    let on_stderr = Exec { streams: vec![Stream::Stderr], ..on_terminal(Script::of([])) };
    let failing =
        heard(exec(Script::failing([Step::out("lost"), Step::err("no"), Step::Exit(1)])), Stdin::Once);
    for (what, code) in [(failing, ErrorCode::RuntimeFailed), (on_stderr, ErrorCode::BadRequest)] {
        let Err(Error::Refused(failure)) = client.call(Request::Exec(what)) else { panic!("no refusal") };
        assert_eq!(failure.code, code, "{failure:?}");
    }
    let supervisor = container.client.greeting.supervisor;
    wait_until("nothing is left", || descriptors(supervisor).len() == before);
    // Nothing was told of them: the next is the next event.
    let script = Script::of([Step::Exit(0)]);
    let (name, _streams) = start(&mut client, heard(exec(script), Stdin::None));
    await_event(&mut watcher, |event| match &event.what {
        What::ExecStarted { exec, .. } => (*exec == name).then_some(()),
        What::ClientAttached { .. } | What::ClientDetached { .. } => panic!("{event:?}"),
        _ => None,
    });
    container.end();
}

#[test]
fn who_does_not_read_holds_up_no_end_and_nothing_stays() {
    let place = place();
    let container = running(&place);
    let mut client = manager(&place);
    let supervisor = container.client.greeting.supervisor;
    let before = descriptors(supervisor).len();
    // More than fits into a socket, less than may wait.
    let pattern = Pattern { seed: 9, bytes: 700_000, line: 100 };
    let script = Script::of([Step::Generate(To::Stdout, pattern), Step::Exit(4)]);
    let (name, mut streams) = start(&mut client, heard(exec(script), Stdin::None));
    assert_eq!(exit(&mut client, &name), Some(Exit::Code(4)), "the end is told");
    let told = stats(&mut client);
    assert_eq!((told.execs, told.attachments), (0, 1));
    assert!(told.queued > 0);
    assert!(rest(&streams.take(Stdout)) == pattern.bytes(), "it has its time");
    drop(streams);
    wait_until("nothing is left", || descriptors(supervisor).len() == before);
    assert_eq!(stats(&mut client).attachments, 0);
    container.end();
}

#[test]
fn a_reader_that_is_too_far_behind_is_dropped_and_the_session_goes_on() {
    let place = place();
    let container = running(&place);
    let (mut client, mut watcher) = (manager(&place), watcher(&place));
    let script = Script::of([
        Step::Generate(To::Stdout, Pattern { seed: 9, bytes: 8 << 20, line: 100 }),
        Step::Touch(place.path("written")),
        Step::Exit(4),
    ]);
    let (name, streams) = start(&mut client, heard(exec(script), Stdin::None));
    assert!(await_gone(&mut watcher, streams.number).is_some_and(|lost| lost > 0));
    place.await_file("written");
    assert_eq!(exit(&mut client, &name), Some(Exit::Code(4)));
    assert_eq!(stats(&mut client).clients_dropped, 1);
    container.end();
}

#[test]
fn a_client_that_goes_before_the_answer_detaches() {
    let place = place();
    let container = running(&place);
    let mut watcher = watcher(&place);
    let mut gate = place.gate("runtime");
    let before = vec![Step::Touch(place.path("asked")), Step::Await(gate.path().to_owned())];
    let script = Script { before, ..Script::of([Step::Checksum]) };
    let mut lost = crate::client::Client::connect(&place);
    lost.request("lost", Request::Exec(heard(named("s", exec(script)), Stdin::Once)));
    place.await_file("asked");
    drop(lost);
    // That it has gone is noticed before the runtime ends.
    let mut client = manager(&place);
    wait_until("it has gone", || stats(&mut client).clients == 3);
    gate.open();
    // Its end is the end of the input, by which the process ends.
    await_event(&mut watcher, |event| matches!(event.what, What::ExecExited { .. }).then_some(()));
    assert_eq!(exit(&mut client, "s"), Some(Exit::Code(0)));
    container.end();
}
