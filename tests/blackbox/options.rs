//! Options together.

use crate::place;
use conward_testkit::{Container, Launch, PidFile, Script, Step, joined};

/// Options that may stand together in any number.
const OPTIONS: [&[&str]; 21] = [
    &["-t"],
    &["-i"],
    &["--leave-stdin-open"],
    &["-s"],
    &["--no-pivot"],
    &["--no-new-keyring"],
    &["--log-size-max", "100000"],
    &["--log-global-size-max", "1000000"],
    &["--log-rotate"],
    &["--log-max-files", "3"],
    &["--no-sync-log"],
    &["-l", "journald"],
    &["-l", "none"],
    &["--no-container-partial-message"],
    &["--log-level", "debug"],
    &["--syslog"],
    &["--timeout", "1000"],
    &["--replace-listen-pid"],
    &["--exit-delay", "0"],
    &["--runtime-arg", "--debug"],
    &["--runtime-opt", "--all"],
];

#[test]
fn whatever_is_asked_for_a_container_lives_and_ends() {
    // A fixed walk through the combinations (a Weyl sequence), and all of them at once.
    let chosen = (1..60u32).map(|round| round.wrapping_mul(0x9e37_79b9) >> 8).chain([u32::MAX]);
    for bits in chosen {
        let place = place();
        place.script(&Script::of([Step::AwaitStart, Step::out("hello\n"), Step::Exit(3)]));
        let words: Vec<&str> = OPTIONS
            .iter()
            .enumerate()
            .filter(|(number, _)| bits >> number & 1 == 1)
            .flat_map(|(_, words)| words.iter().copied())
            .collect();
        let mut running = Launch::create(&place).args(&words).start();
        running.go();
        let message = running.message();
        assert!(message.number > 0, "{words:?}: {message:?}");
        place.start_container();
        assert_eq!(running.status(), 3, "{words:?}");
        assert_eq!(place.exit_file().as_deref(), Some("3"), "{words:?}");
        let logged = joined(&place.log_records(), "stdout");
        assert_eq!(logged.trim_ascii_end(), b"hello", "{words:?}");
    }
}

#[test]
fn however_short_its_life_its_output_and_status_are_kept() {
    for round in 0..120 {
        let place = place();
        let container = if round & 1 == 1 { Container::Child } else { Container::Orphan };
        let pid_file = if round & 2 == 2 { PidFile::AfterExit } else { PidFile::Written };
        place.script(&Script { container, pid_file, ..Script::of([Step::out("x"), Step::Exit(3)]) });
        let launch = Launch::create(&place).without_start();
        let mut running = if round & 4 == 4 { launch.arg("-t") } else { launch }.start();
        running.pid();
        assert_eq!(running.status(), 3, "round {round}");
        assert_eq!(place.exit_file().as_deref(), Some("3"), "round {round}");
        assert_eq!(joined(&place.log_records(), "stdout"), b"x", "round {round}");
    }
}
