//! A runtime that goes wrong at `create`, or at the `exec` of CRI-O: the caller is told a pid or a reason, and a
//! process that ran has a true status or an unknown one, never a made-up one.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conward_testkit::{
    Container, Launch, Message, PATIENCE, Pattern, PidFile, Place, Running, Script, Step, To, conward,
    wait_until,
};

/// Processor time that a life may take, in ticks of 10 ms.
const TICKS_MAX: u64 = 60;

/// The two ways to have a process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Create,
    Exec,
}

const VERBS: [Verb; 2] = [Verb::Create, Verb::Exec];

fn start<'a>(place: &'a Place, verb: Verb, script: &Script) -> Running<'a> {
    match verb {
        Verb::Create => {
            place.script(script);
            let mut running = Launch::create(place).exit_command("hook.json").start();
            running.go();
            running
        }
        Verb::Exec => Launch::crio_exec(place, script).start(),
    }
}

/// How it ended: one message, of a failure, with words of it.
fn fails(verb: Verb, script: &Script, words: &str) {
    let place = Place::new(conward());
    let mut running = start(&place, verb, script);
    let Message { number, text, .. } = running.message();
    assert_eq!(number, -1, "{verb:?}: {text:?}");
    assert!(text.as_ref().is_some_and(|text| text.contains(words)), "{verb:?}: {words} is not in {text:?}");
    running.no_more_messages();
    assert_eq!(running.status(), 1, "{verb:?}");
    assert_eq!((place.exit_file(), place.persist_exit()), (None, None), "{verb:?}");
}

/// The runtime has these steps before there is a container, and this pid file.
fn script(before: &[Step], pid_file: PidFile) -> Script {
    Script { before: before.to_vec(), pid_file, container: Container::Absent, ..Script::default() }
}

/// A failure of each kind, with words of both verbs.
#[test]
fn there_is_a_reason() {
    let huge = Step::Generate(To::Stderr, Pattern { seed: 1, bytes: 3 << 20, line: 70 });
    let no_text = Step::Write(To::Stderr, vec![0xff, 0x80, 1, 0x1b, b'w', b'h', b'y']);
    let left = Step::Fork(vec![Step::Flood(To::Stderr, vec![b'x'; 4096])]);
    for verb in VERBS {
        for (before, words) in [
            (vec![Step::Die(9)], "signal 9"),
            (vec![Step::Exit(3)], "exit status 3"),
            (vec![Step::Exit(0)], "pid"),
            (vec![Step::err("no such file\n"), Step::Exit(1)], "no such file"),
            (vec![no_text.clone(), Step::Exit(1)], "\u{fffd}\u{fffd}"),
            (vec![Step::err("first\n"), huge.clone(), Step::Exit(1)], "first"),
            (vec![Step::err("first\n"), left.clone(), Step::Exit(1)], "first"),
        ] {
            fails(verb, &script(&before, PidFile::Absent), words);
        }
    }
}

/// Where it says that all is well, the pid file decides.
#[test]
fn a_pid_file_that_holds_none() {
    let long = "1".repeat(1 << 20);
    for verb in VERBS {
        for text in ["", " \n", "x12", "0", "-7", "12 34", "0x10", "1.5", "\0\u{1}\u{fffd}", &long] {
            fails(verb, &script(&[], PidFile::Text(text.to_owned())), "id file");
        }
        fails(verb, &script(&[], PidFile::Absent), "id file");
    }
}

/// A fifo that nobody writes to, a directory.
#[test]
fn a_pid_file_that_is_no_file() {
    for verb in VERBS {
        let name = if verb == Verb::Create { "pidfile" } else { "exec_pid" };
        for make in ["mkfifo", "mkdir"] {
            let place = Place::new(conward());
            let path = place.path(name).display().to_string();
            let words = ["sh", "-c", &format!("rm -rf {path}; exec {make} {path}")].map(str::to_owned);
            let script = script(&[Step::Become(words.to_vec())], PidFile::Absent);
            let mut running = start(&place, verb, &script);
            let Message { number, text, .. } = running.message();
            assert_eq!(number, -1, "{verb:?}, {make}: {text:?}");
            assert!(text.is_some_and(|text| text.contains(name)), "{verb:?}, {make}");
            assert_eq!(running.status(), 1, "{verb:?}, {make}");
        }
    }
}

/// Ends with the test, however that goes.
struct Stranger(Child);

impl Stranger {
    fn new() -> Stranger {
        Stranger(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat"))
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("wait").is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

/// The pid of a process that has ended, and of which nothing is known: no success, ever.
#[test]
fn the_pid_of_one_that_is_gone() {
    for verb in VERBS {
        let mut gone = Stranger::new();
        let pid = gone.0.id();
        gone.0.kill().and_then(|()| gone.0.wait()).expect("its end");
        let place = Place::new(conward());
        let mut running = start(&place, verb, &script(&[], PidFile::Text(pid.to_string())));
        let message = running.message();
        assert_ne!((message.key.as_str(), message.number), ("exit_code", 0), "{message:?}");
        assert_ne!(running.status(), 0, "{verb:?}");
        assert!(matches!(place.exit_file().as_deref(), None | Some("-1")), "{verb:?}");
    }
}

/// The pid of a process that is nobody's container: it is watched, and not signalled; its end is told, as
/// far as it is known; the process that the runtime has really made ends by itself.
#[test]
fn the_pid_of_a_stranger() {
    for verb in VERBS {
        let mut stranger = Stranger::new();
        let place = Place::new(conward());
        let text = stranger.0.id().to_string();
        let steps = [Step::Touch(place.path("ran")), Step::Exit(0)];
        let script = Script { pid_file: PidFile::Text(text), ..Script::of(steps) };
        let mut running = start(&place, verb, &script);
        if verb == Verb::Create {
            assert_eq!(running.message().number, i64::from(stranger.0.id()));
        }
        place.await_file("ran");
        wait_until("it rests", || running.monitor().is_quiet());
        assert!(stranger.lives(), "{verb:?}: it was killed");
        assert!(!running.monitor().ended_within(Duration::ZERO), "{verb:?}");
        drop(stranger);
        // It was killed, which kernels before 6.15 do not tell.
        if verb == Verb::Exec {
            assert!(matches!(running.message().number, -1 | 137));
        }
        assert_ne!(running.status(), 0, "{verb:?}");
        assert!(matches!(place.exit_file().as_deref(), None | Some("-1" | "137")), "{verb:?}");
    }
}

/// The supervisor's own pid, which it must not watch, nor kill.
#[test]
fn the_pid_of_the_supervisor() {
    for verb in VERBS {
        let place = Place::new(conward());
        let name = if verb == Verb::Create { "pidfile" } else { "exec_pid" };
        let path = place.path(name).display().to_string();
        // The runtime is the supervisor's child.
        let words = ["sh", "-c", &format!("echo $PPID >{path}")].map(str::to_owned);
        let mut running = start(&place, verb, &script(&[Step::Become(words.to_vec())], PidFile::Absent));
        let Message { number, text, .. } = running.message();
        assert_eq!(number, -1, "{verb:?}: {text:?}");
        assert!(text.is_some_and(|text| text.contains(name)), "{verb:?}");
        assert_eq!(running.status(), 1, "{verb:?}");
    }
}

/// It succeeds, whatever it says, and whoever goes on with its pipes.
#[test]
fn done_with_words() {
    let huge =
        [To::Stderr, To::Stdout].map(|to| Step::Generate(to, Pattern { seed: 1, bytes: 3 << 20, line: 70 }));
    let no_text =
        [Step::Write(To::Stderr, vec![0xff, 0x80, 0, 1]), Step::Write(To::Stdout, vec![0xff, 0, 1])];
    for verb in VERBS {
        for before in [&huge[..], &no_text, &[Step::Fork(vec![Step::Pause])]] {
            let place = Place::new(conward());
            let mut gate = place.gate("gate");
            let steps = [Step::Await(gate.path().to_owned()), Step::Exit(7)];
            let script = Script { before: before.to_vec(), ..Script::of(steps) };
            let mut running = start(&place, verb, &script);
            if verb == Verb::Create {
                running.pid();
            }
            wait_until("it rests", || running.monitor().is_quiet());
            gate.open();
            if verb == Verb::Exec {
                assert_eq!(running.message().number, 7, "{before:?}");
            }
            assert!(running.monitor().ended_within(PATIENCE), "{verb:?}");
            assert!(running.monitor().cpu_ticks() <= TICKS_MAX, "{verb:?}: a busy loop");
            assert_eq!(running.status(), 7, "{verb:?}");
            if verb == Verb::Create {
                assert_eq!(place.exit_file().as_deref(), Some("7"));
                assert!(fs::exists(place.path("hook.json")).expect("a file"));
            }
            place.end_all();
        }
    }
}
