//! The exit record.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use conward_protocol::record::{Drops, Oom, Record, SinkCount, StreamCount, VERSION};
use conward_protocol::request::Stream;
use conward_protocol::{Cause, Exit, Op, RECORD_FILE, What};
use conward_testkit::{Place, Script, Step, wait_for, wait_until};
use nix::sys::signal::Signal;

use crate::client::Client;
use crate::{directory, launch, place, started};

/// A script that does this when it is told to.
fn doing(place: &Place, steps: impl Into<Vec<Step>>) -> Script {
    let before = [Step::AwaitStart, Step::Touch(place.path("runs"))];
    Script::of([before.to_vec(), steps.into()].concat())
}

fn file(place: &Place) -> PathBuf {
    directory(place).join(RECORD_FILE)
}

/// The record on disk, which is there.
fn on_disk(place: &Place) -> Record {
    let text = fs::read(file(place)).expect("a record");
    serde_json::from_slice(&text)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&text)))
}

/// The record that `wait` answers with.
fn waited(client: &mut Client) -> Record {
    serde_json::from_value(client.ok("wait recorded")["record"].clone()).expect("a record")
}

#[test]
fn it_says_all_that_was() {
    let place = place();
    let steps = [Step::out("out\nrest"), Step::err("err\n"), Step::Exit(7)];
    let (mut running, mut client) = started(&place, doing(&place, steps), &["--keep-state"]);
    let record = waited(&mut client);
    assert_eq!(record, on_disk(&place), "the same in the answer and on disk");
    assert_eq!((record.version, record.id.as_str()), (VERSION, place.id()));
    assert_eq!((record.exit, record.core_dumped, &record.cause), (Exit::Code(7), false, &Cause::Container));
    assert_eq!(record.oom, Oom::default());
    assert_eq!(record.times, client.state().times);
    let read = |stream, read| StreamCount { stream, read, ended: true };
    assert_eq!(record.streams, [read(Stream::Stdout, 8), read(Stream::Stderr, 4)]);
    let logged = |stream, logged| SinkCount {
        sink: "k8s-file".into(),
        path: Some(place.log().display().to_string()),
        stream,
        logged,
        dropped: 0,
        drops: Drops::default(),
        waiting: 0,
        withheld: 0,
    };
    assert_eq!(record.sinks, [logged(Stream::Stdout, 8), logged(Stream::Stderr, 4)]);
    assert!(record.log_complete && record.hooks.is_empty() && record.teardown.is_none());
    assert_eq!(client.ok("wait exited").get("record"), None, "that stage knows of none");

    assert_eq!(client.state().record.as_deref(), file(&place).to_str());
    assert_eq!(place.mode(file(&place)), "f600");
    client.ok("subscribe 0");
    let told =
        std::iter::from_fn(|| Some(client.event().what)).find(|what| matches!(what, What::Recorded { .. }));
    let path = Some(file(&place).display().to_string());
    assert_eq!(told, Some(What::Recorded { path, error: None }));
    drop(client);
    assert_eq!(running.status(), 7);
}

#[test]
fn it_says_who_has_ended_the_container() {
    let by = |op| Cause::Client { client: 0, op: Some(op) };
    let hangs = [Step::Pause];
    let deaf = [Step::Block(vec![15]), Step::Touch("deaf".into()), Step::Pause];
    type End = fn(&mut Client, &mut conward_testkit::Running);
    type Row<'a> = (&'a [Step], &'a [&'a str], End, Exit, Cause);
    let table: [Row; 8] = [
        (&[Step::Exit(0)], &[], |_, _| {}, Exit::Code(0), Cause::Container),
        (&[Step::Die(9)], &[], |_, _| {}, Exit::Signal(9), Cause::Container),
        (&hangs, &[], |client, _| drop(client.ok("kill KILL")), Exit::Signal(9), by(Op::Kill)),
        (&hangs, &[], |client, _| drop(client.ok("kill HUP all")), Exit::Signal(1), by(Op::Kill)),
        (&hangs, &[], |client, _| drop(client.ok("stop")), Exit::Signal(15), by(Op::Stop)),
        (&deaf, &[], |client, _| drop(client.ok("stop timeout_ms=1")), Exit::Signal(9), Cause::Timeout),
        (
            &hangs,
            &[],
            |_, running| running.kill(Signal::SIGTERM),
            Exit::Signal(15),
            Cause::Signal { signal: conward_protocol::Signal::TERM },
        ),
        (&hangs, &["-T", "1"], |_, _| {}, Exit::TimedOut, Cause::Timeout),
    ];
    for (row, (steps, args, end, exit, cause)) in table.into_iter().enumerate() {
        let place = place();
        let steps: Vec<Step> = steps
            .iter()
            .map(|step| match step {
                Step::Touch(name) => Step::Touch(place.path(name)),
                other => other.clone(),
            })
            .collect();
        let deaf = steps.len() > 1;
        let args = [args, &["--keep-state"]].concat();
        let (mut running, mut client) = started(&place, doing(&place, steps), &args);
        place.await_file("runs");
        if deaf {
            place.await_file("deaf");
        }
        end(&mut client, &mut running);
        let record = waited(&mut client);
        assert_eq!((record.exit, record.cause), (exit, cause), "row {row}");
        drop(client);
        running.status();
    }
}

#[test]
fn it_is_whole_on_disk_before_the_exit_command_and_goes_with_the_directory() {
    let place = place();
    place.script(&doing(&place, [Step::Exit(3)]));
    let copy = place.path("copy");
    let exit_file = place.path("exits").join(place.id());
    let script = format!(
        "test -s {} && grep -q recorded {}/state.json && cp {} {3}.new && mv {3}.new {3}",
        exit_file.display(),
        directory(&place).display(),
        file(&place).display(),
        copy.display()
    );
    let mut running = launch(&place)
        .args(["--exit-command", "/bin/sh", "--exit-command-arg", "-c", "--exit-command-arg", &script])
        .start()
        .created();
    place.start_container();
    assert_eq!(running.status(), 3);
    let seen: Record = serde_json::from_str(&place.await_file("copy")).expect("a whole record");
    assert_eq!(seen.exit, Exit::Code(3));
    assert!(!directory(&place).exists());
}

/// The disk of the control directory is full from before the launch on, so that no space was secured.
#[test]
fn a_record_without_room_is_written_when_there_is_some() {
    for helped in [true, false] {
        let place = place();
        fs::create_dir(place.path("control")).expect("a directory");
        let base = place.path("control").display().to_string();
        place.script(&doing(&place, [Step::Await(place.path("gate")), Step::Exit(7)]));
        let mut gate = place.gate("gate");
        let fill = format!("head -c 16384 /dev/zero >{base}/filler");
        let mounts = format!("mount -t tmpfs -o size=16384,mode=700 full {base}\n{fill}");
        let args = ["--keep-state"];
        let mut running = launch(&place).mounts(&mounts).args(args).start().created();
        let root = PathBuf::from(format!("/proc/{}/root", running.monitor().pid()));
        let base = root.join(base.trim_start_matches('/'));
        place.start_container();
        let mut client = Client::connect_in(&base.join(place.id()));
        let filler = base.join("filler");
        client.ok("subscribe");
        gate.open();
        let told = std::iter::from_fn(|| Some(client.event().what))
            .find(|what| matches!(what, What::Recorded { .. }));
        let Some(What::Recorded { path: None, error: Some(error) }) = told else { panic!("{told:?}") };
        assert!(error.contains("No space left on device"), "{error}");
        assert_eq!(place.exit_file().as_deref(), Some("7"), "one is held up by the other");
        assert_eq!(waited(&mut client).exit, Exit::Code(7), "it is known all the same");
        assert_eq!(client.state().record, None);
        let record = base.join(place.id()).join(RECORD_FILE);
        if helped {
            fs::remove_file(&filler).expect("make room");
            let text = wait_for("the record", Duration::from_secs(10), || fs::read(&record).ok());
            assert_eq!(serde_json::from_slice::<Record>(&text).expect("whole").exit, Exit::Code(7));
            wait_until("its path", || client.state().record.is_some());
        }
        let since = Instant::now();
        drop(client);
        assert_eq!(running.status(), 7);
        assert!(since.elapsed() < Duration::from_secs(10));
    }
}

/// That of an earlier container of the same id is no answer.
#[test]
fn a_former_record_is_kept_until_there_is_another_container() {
    let place = place();
    let (mut running, client) = started(&place, doing(&place, [Step::Exit(3)]), &["--keep-state"]);
    drop(client);
    assert_eq!(running.status(), 3);
    let former = on_disk(&place);
    assert_eq!(former.exit, Exit::Code(3));

    place.script(&Script::failing([Step::err("exists\n"), Step::Exit(1)]));
    let mut running = launch(&place).arg("--keep-state").start();
    running.go();
    running.message();
    assert_eq!(running.status(), 1);
    assert_eq!(on_disk(&place), former, "nothing has come in its place");

    fs::remove_file(place.path("runs")).expect("the former container has run");
    let (mut running, mut client) = started(&place, doing(&place, [Step::Pause]), &["--keep-state"]);
    place.await_file("runs");
    wait_until("the former record is gone", || !file(&place).exists());
    assert_eq!(client.state().record, None);
    client.ok("kill KILL");
    assert_eq!(waited(&mut client).exit, Exit::Signal(9));
    drop(client);
    assert_eq!(running.status(), 137);
}
