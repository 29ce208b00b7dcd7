//! Others are killed, at any moment: the launcher, the exit command, attached clients. Seeded, so that a
//! moment that was wrong can be had again.

use std::fs;
use std::time::{Duration, Instant};

use conward_testkit::{
    Client, Launch, PATIENCE, Place, Process, Script, Step, conward, wait_for, wait_until,
};
use nix::sys::signal::Signal;

/// Where the moments come from: `CONWARD_SEED`, else always the same.
fn seed() -> u64 {
    std::env::var("CONWARD_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121)
}

/// Numbers without an order (Marsaglia, "Xorshift RNGs", 2003).
struct Moments(u64);

impl Moments {
    /// The next one, below `bound`.
    fn next(&mut self, bound: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound.as_nanos()).expect("a short time");
        Duration::from_nanos(self.0 % bound)
    }
}

/// Lets that time pass, to a precision that a sleep does not have.
fn pass(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

fn create(place: &Place) -> Launch<'_> {
    place.script(&Script::of([Step::AwaitStart, Step::out("a line\n"), Step::Exit(7)]));
    Launch::create(place).arg("--control-dir").arg(place.path("control")).exit_command("hook.json")
}

/// A launcher that is killed leaves a supervisor that goes on, with a pid file; or none at all, and nothing
/// that it has made. A caller that was told a pid can rely on the rest.
#[test]
fn the_launcher() {
    let mut moments = Moments(seed());
    let mut told = 0;
    for round in 0..60 {
        let place = Place::new(conward());
        let mut running = create(&place).start();
        running.go();
        pass(moments.next(Duration::from_millis(8)));
        running.kill_launcher(Signal::SIGKILL);
        let launched = running.launched();
        let message = running.next_message(|| place.processes().is_empty());
        if let Some(message) = message {
            told += 1;
            assert!(message.number > 0, "round {round}: {message:?}");
            let pid = fs::read_to_string(place.path("conmon.pid")).expect("pid file of the supervisor");
            let mut supervisor = Process::open(pid.parse().expect("a pid")).expect("a supervisor");
            place.start_container();
            let status = if launched.status == 0 { running.status() } else { supervisor.status() };
            assert_eq!(status, 7, "round {round}");
            assert_eq!(place.exit_file().as_deref(), Some("7"), "round {round}");
            assert!(place.path("hook.json").exists(), "round {round}");
        } else {
            assert_eq!(launched.status, 128 + 9, "round {round}: {launched:?}");
            wait_until("nothing runs", || place.processes().is_empty());
            assert_eq!(place.exit_file(), None, "round {round}");
        }
    }
    // Both must come to pass, or the moments are no good.
    assert!(told > 0, "never late enough");
    println!("{told} of 60 came after the supervisor was in place");
}

/// An exit command that is killed changes no status, and the supervisor ends.
#[test]
fn the_exit_command() {
    let mut moments = Moments(seed());
    for round in 0..30 {
        let place = Place::new(conward());
        let gate = place.gate("gate");
        place.script(&Script::of([Step::AwaitStart, Step::Exit(7)]));
        let mut running = Launch::create(&place).gated_exit_command("hook.json", &gate).start().created();
        let supervisor = running.monitor().pid();
        place.start_container();
        let hook = wait_for("the exit command", PATIENCE, || conward_testkit::children(supervisor).pop());
        pass(moments.next(Duration::from_millis(3)));
        // It may be the container, which is about to be reaped.
        let hook = Process::open(hook);
        if place.exit_file().is_some() {
            hook.map(|hook| hook.kill(Signal::SIGKILL));
        }
        wait_until("the exit file", || place.exit_file().is_some());
        conward_testkit::children(supervisor).into_iter().filter_map(Process::open).for_each(|hook| {
            hook.kill(Signal::SIGKILL);
        });
        // One that came after all of this is let go.
        let mut gate = gate;
        gate.open();
        assert_eq!(running.status(), 7, "round {round}");
        assert_eq!(place.persist_exit().as_deref(), Some("7"), "round {round}");
    }
}

/// Attached clients that vanish, however much they owe or are owed, cost the container and the log nothing.
#[test]
fn clients() {
    let mut moments = Moments(seed());
    let place = Place::new(conward());
    let gate = place.gate("gate");
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    let lines = 20_000;
    place.script(&Script::of([
        Step::AwaitStart,
        Step::out(&line.repeat(lines)),
        Step::Touch(place.path("written")),
        Step::Await(gate.path().to_owned()),
        Step::Exit(7),
    ]));
    let mut running = Launch::create(&place).arg("-i").start().created();
    place.start_container();
    let path = place.bundle().join("attach");
    for _ in 0..200 {
        let client = Client::connect(&path);
        client.try_send(b"typed\n");
        pass(moments.next(Duration::from_micros(500)));
        // What a kill does to it: the kernel closes the connection, with everything unread in it.
        drop(client);
    }
    place.await_file("written");
    let mut gate = gate;
    gate.open();
    assert_eq!(running.status(), 7);
    let log = conward_testkit::joined(&place.log_records(), "stdout");
    assert_eq!(log.len(), lines * line.len());
    assert!(log == line.repeat(lines).into_bytes(), "the log is not what was written");
}
