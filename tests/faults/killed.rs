//! Others are killed, at any moment: the launcher, hooks, the exit command, clients, the manager. Seeded, so that a
//! moment that was wrong can be had again.

mod callers;
mod hooks;

use std::fs;
use std::time::{Duration, Instant};

use conward_testkit::{Launch, Place, Process, Script, Step, conward, wait_until};
use nix::sys::signal::Signal;

/// How often each is killed: five times as often with `CONWARD_FAULTS=all`.
fn rounds(few: usize) -> std::ops::Range<usize> {
    0..if std::env::var("CONWARD_FAULTS").is_ok_and(|wanted| wanted == "all") { few * 5 } else { few }
}

/// Numbers without an order (Marsaglia, "Xorshift RNGs", 2003).
struct Moments(u64);

impl Moments {
    /// They come from `CONWARD_SEED`, else are always the same.
    fn new() -> Moments {
        let given = std::env::var("CONWARD_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or(20_261_121);
        println!("CONWARD_SEED={seed}");
        Moments(seed)
    }

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
    Launch::create(place).control().exit_command("hook.json")
}

/// A launcher that is killed leaves a supervisor that goes on, with a pid file; or none at all, and nothing
/// that it has made. A caller that was told a pid can rely on the rest.
#[test]
fn the_launcher() {
    let mut moments = Moments::new();
    let mut told = 0;
    let rounds = rounds(60);
    for round in rounds.clone() {
        let place = Place::new(conward());
        let mut running = create(&place).start();
        running.go();
        pass(moments.next(Duration::from_millis(8)));
        running.kill_launcher(Signal::SIGKILL);
        let launched = running.launched();
        let message = running.next_message(|| place.is_deserted());
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
            wait_until("nothing runs", || place.is_deserted());
            assert_eq!(place.exit_file(), None, "round {round}");
        }
    }
    // Both must come to pass, or the moments are no good.
    assert!(told > 0, "never late enough");
    println!("{told} of {} came after the supervisor was in place", rounds.len());
}
