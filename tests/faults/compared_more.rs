//! More trouble for both, of the kind that users of such programs have reported.

use std::fs;
use std::time::{Duration, Instant};

use conward_testkit::{
    Client, Container, Host, Launch, PATIENCE, Place, Record, Running, Script, Step, state_of, wait_until,
};
use nix::sys::signal::Signal;

use crate::compared::{WATCHED, compare, end, files, launch, run};

/// Whether the end of the container comes to be recorded within the time that it is watched.
fn is_recorded(place: &Place) -> bool {
    let since = Instant::now();
    while place.exit_file().is_none() && since.elapsed() < WATCHED {
        std::thread::sleep(Duration::from_millis(5));
    }
    place.exit_file().is_some()
}

#[test]
fn log_directory_removed() {
    compare("log_directory_removed", |program| {
        let place = Place::new(program.to_owned());
        let gate = place.gate("line");
        fs::create_dir_all(place.path("logs")).expect("a directory");
        let log = place.path("logs/ctr.log");
        let steps =
            [Step::Touch(place.path("begun")), Step::Await(gate.path().to_owned()), Step::out("a line\n")];
        let launch = launch(&place, &steps).arg("-l").arg(format!("k8s-file:{}", log.display()));
        let mut running = launch.start().created();
        place.start_container();
        place.await_file("begun");
        fs::remove_dir_all(place.path("logs")).expect("to remove it");
        // As its rotation would ask for it.
        place.try_ctl(b"2 0 0\n");
        wait_until("it rests", || {
            running.monitor().is_quiet() || running.monitor().ended_within(Duration::ZERO)
        });
        if running.monitor().ended_within(Duration::ZERO) {
            let status = running.status();
            place.end_all();
            return format!("the supervisor ends at once, status {status}");
        }
        fs::write(place.path("line"), "\0").expect("a gate");
        wait_until("the container runs", || place.path("ran").exists());
        end(&place);
        files(&place, &mut running)
    });
}

#[test]
fn journal_that_takes_nothing() {
    compare("journal_that_takes_nothing", |program| {
        let place = Place::new(program.to_owned());
        let host = Host::new(&place);
        let flood = Step::out(&"0123456789abcdef0123456789abcde\n".repeat(20_000));
        place.script(&Script::of([Step::AwaitStart, flood, Step::Exit(7)]));
        let mut running = Launch::create(&place).host(&host).args(["-l", "journald"]).start().created();
        place.start_container();
        let recorded = is_recorded(&place);
        while !running.monitor().ended_within(Duration::from_millis(1)) {
            host.journal(Duration::ZERO);
        }
        let told = if recorded { "ends and is recorded" } else { "stuck until the journal takes more" };
        format!("container {told}, status {}", running.status())
    });
}

/// The caller has given up, as Podman's may, and asks the supervisor to end.
#[test]
fn runtime_hangs_at_create() {
    compare("runtime_hangs_at_create", |program| {
        let place = Place::new(program.to_owned());
        place.script(&Script { record: Some(place.path("asked")), ..Script::failing([Step::Pause]) });
        let mut running = Launch::create(&place).start();
        running.go();
        place.await_file("asked");
        running.kill(Signal::SIGTERM);
        let ended = running.monitor().ended_within(WATCHED);
        let told = match running.next_message(|| true) {
            Some(message) if message.text.as_ref().is_some_and(|text| !text.is_empty()) => "a reason is told",
            Some(_) => "a failure is told without a reason",
            None => "nothing is told",
        };
        if !ended {
            running.kill(Signal::SIGKILL);
        }
        running.status();
        place.end_all();
        format!("{told}, the supervisor {}", if ended { "ends" } else { "does not end" })
    });
}

/// The container is there, but the runtime dies before it says so.
#[test]
fn runtime_killed_after_the_container_was_created() {
    compare("runtime_killed_after_the_container_was_created", |program| {
        let place = Place::new(program.to_owned());
        let script = Script::of([Step::AwaitStart, Step::Exit(7)]);
        place.script(&Script { after: vec![Step::Die(9)], container: Container::Orphan, ..script });
        let mut running = Launch::create(&place).start();
        running.go();
        let since = Instant::now();
        let told = match running.next_message(|| since.elapsed() > WATCHED) {
            Some(message) if message.number > 0 => "a pid is told",
            Some(message) if message.text.as_ref().is_some_and(|text| !text.is_empty()) => "a reason is told",
            Some(_) => "a failure is told without a reason",
            None => "nothing is told as long as that lives",
        };
        let ended =
            running.monitor().ended_within(if told.starts_with('n') { Duration::ZERO } else { PATIENCE });
        let outcome = match ended {
            true => format!("{told}, status {}, {}", running.status(), exit_file(&place)),
            false => told.to_owned(),
        };
        // The container, which nobody has accepted.
        place.start_container();
        running.status();
        place.end_all();
        outcome
    });
}

fn exit_file(place: &Place) -> String {
    place.exit_file().map_or("no exit file".to_owned(), |status| format!("exit file {status}"))
}

/// A client that has typed all it will type says so, and hears the rest.
#[test]
fn stdin_half_closed() {
    compare("stdin_half_closed", |program| {
        let place = Place::new(program.to_owned());
        place.script(&Script::of([Step::AwaitStart, Step::Echo, Step::out("the end\n"), Step::Exit(7)]));
        let mut running = Launch::create(&place).arg("-i").start().created();
        let client = Client::connect(&place.bundle().join("attach"));
        place.start_container();
        client.send(b"typed\n");
        client.shut_write();
        let recorded = is_recorded(&place);
        let heard = recorded && client.read_to_end().stdout.ends_with(b"typed\nthe end\n");
        drop(client);
        if !recorded {
            place.end_all();
        }
        let end = if recorded { "sees the end of its input" } else { "waits for ever" };
        let heard = if heard { "the client hears the rest" } else { "the client does not hear the rest" };
        format!("container {end}, {heard}, status {}", running.status())
    });
}

/// The supervisor is killed: what the caller finds.
#[test]
fn supervisor_killed() {
    compare("supervisor_killed", |program| {
        let place = Place::new(program.to_owned());
        let mut running: Running = launch(&place, &[]).start();
        running.go();
        let container = running.pid();
        run(&place);
        running.kill(Signal::SIGKILL);
        running.status();
        let lives = state_of(container).is_some_and(|state| state != 'Z');
        end(&place);
        wait_until("the container has ended", || state_of(container).is_none_or(|state| state == 'Z'));
        let container = if lives { "goes on" } else { "ends with it" };
        format!("container {container}, {}", exit_file(&place))
    });
}

/// What the supervisor has open, and what its caller left open, in what it starts at the end.
#[test]
fn descriptors_left_open() {
    compare("descriptors_left_open", |program| {
        let place = Place::new(program.to_owned());
        let left = fs::File::open("/dev/null").expect("a descriptor");
        place.script(&Script::of([Step::AwaitStart, Step::Exit(7)]));
        let launch = Launch::create(&place).inherit(left.into()).exit_command("hook.json");
        let mut running = launch.start().created();
        place.start_container();
        let status = running.status();
        let record = Record::read(&place.path("hook.json")).expect("a record");
        let more = record.fds.keys().any(|number| *number > 2);
        format!("{} the exit command, status {status}", if more { "some reach" } else { "none reaches" })
    });
}
