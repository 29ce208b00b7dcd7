//! A runtime that is killed, fails, lies, babbles or hangs, at each verb that it is asked for after `create`.
//! (At `create`: `launching.rs`.) Each of them is answered, and what came of the verb before does not reach
//! the container's end.

use std::fs;

use conward_testkit::{
    Launch, PATIENCE, Pattern, Place, Process, Running, Script, Step, To, children, conward, wait_until,
};
use nix::sys::signal::Signal;

use crate::control::Control;

/// What the runtime is asked for, and by which request. Those of `exec` and `delete` need words of their own.
const VERBS: [(&str, &str); 10] = [
    ("start", "start"),
    ("pause", "pause"),
    ("resume", "resume"),
    ("kill", "kill,\"signal\":\"WINCH\",\"all\":true"),
    ("update", "update,\"resources\":{}"),
    ("ps", "ps"),
    ("events", "stats"),
    ("checkpoint", "checkpoint,\"image\":\"/nonexistent/image\",\"leave_running\":true"),
    ("exec", ""),
    ("delete", "delete,\"force\":true"),
];

/// Verbs whose answer is read.
const READ: [&str; 2] = ["ps", "events"];

/// Processor time that a life may take, in ticks of 10 ms: each reads some megabytes at most.
const TICKS_MAX: u64 = 60;

/// More than is kept of anything that a runtime says.
const HUGE: u64 = 3 << 20;

/// A container and its client, and the verb that goes wrong.
struct Life<'a> {
    place: &'a Place,
    running: Running<'a>,
    client: Control,
    verb: &'static str,
    /// What the runtime does first when it is asked for that.
    steps: Vec<Step>,
}

impl<'a> Life<'a> {
    /// A container that is where the verb makes sense.
    fn before(place: &'a Place, verb: &'static str, steps: Vec<Step>) -> Life<'a> {
        let gate = place.gate("gate");
        let container = [
            Step::AwaitStart,
            Step::Touch(place.path("ran")),
            Step::Await(gate.path().to_owned()),
            Step::Exit(7),
        ];
        place.script(&Script::of(container).at(verb, steps.clone()));
        let launch = Launch::create(place).control();
        let launch = launch.args(["--runtime-arg", "--root", "--runtime-arg"]).arg(place.path("state"));
        let running = launch.exit_command("hook.json").start().created();
        let client = Control::connect(place, PATIENCE).expect("a client");
        let mut life = Life { place, running, client, verb, steps };
        let requests: &[&str] = match verb {
            "start" | "delete" => &[],
            "resume" => &["start", "pause"],
            _ => &["start"],
        };
        for request in requests {
            let answer = life.client.ask(request).expect("an answer");
            assert!(answer.contains("\"ok\""), "{answer}");
            wait_until("the container runs", || place.path("ran").exists());
        }
        life
    }

    /// The request for the verb.
    fn request(&self) -> String {
        let (_, request) = VERBS.into_iter().find(|(verb, _)| *verb == self.verb).expect("a verb");
        match self.verb {
            "exec" => {
                let script = Script { before: self.steps.clone(), ..Script::of([Step::Exit(0)]) };
                let script = serde_json::to_string(&script).expect("JSON");
                format!(
                    "exec,\"id\":\"it\",\"process\":{{\"args\":[\"x\"],\"cwd\":\"/\",\"script\":{script}}}"
                )
            }
            "checkpoint" => request.replace("/nonexistent", &self.place.path("images").display().to_string()),
            _ => request.to_owned(),
        }
    }

    /// Asks for the verb; all else is answered afterwards too, and the supervisor comes to rest.
    fn ask(&mut self) -> String {
        let request = self.request();
        let answer = self.client.ask(&request).unwrap_or_else(|missed| panic!("{}: {missed}", self.verb));
        // A delete that was done ends the supervisor.
        if self.verb != "delete" {
            self.client.ask("state").unwrap_or_else(|missed| panic!("{}: {missed}", self.verb));
            wait_until("it rests", || self.running.monitor().is_quiet());
        }
        answer
    }

    /// Lets the container end by itself, in whatever state it was left. (A thaw that the runtime refuses comes
    /// from elsewhere.)
    fn end(self) {
        let Life { place, mut running, client, verb, .. } = self;
        drop(client);
        // It was killed for that, and by nobody else.
        let status = if verb == "delete" { 137 } else { 7 };
        if verb != "delete" && !place.path("ran").exists() {
            place.start_container();
        }
        fs::write(place.path("gate"), "\0").expect("a gate");
        if ["pause", "resume"].contains(&verb) {
            let init =
                fs::read_to_string(place.path("pidfile")).expect("the pid file").parse().expect("a pid");
            // Unfrozen, it may have ended already.
            Process::open(init).map(|init| init.kill(Signal::SIGCONT));
        }
        assert!(running.monitor().ended_within(PATIENCE), "{verb}: it does not end");
        let ticks = running.monitor().cpu_ticks();
        assert!(ticks <= TICKS_MAX, "{verb}: a busy loop, {ticks} ticks");
        assert_eq!(running.status(), status, "{verb}");
        assert_eq!(place.exit_file(), Some(status.to_string()), "{verb}");
        assert_eq!(place.persist_exit(), Some(status.to_string()), "{verb}");
        assert!(place.path("hook.json").exists(), "{verb}");
    }
}

/// What must be told about a verb that goes wrong in one way.
enum Told {
    /// It has failed, with these words.
    Failed(&'static str),
    /// It was done.
    Done,
    /// The same, but for a verb whose answer is read: that has failed with these words.
    DoneUnlessRead(&'static str),
}

fn check(verb: &str, answer: &str, told: &Told) {
    let words = match told {
        Told::Failed(words) => words,
        Told::DoneUnlessRead(words) if READ.contains(&verb) => words,
        Told::Done | Told::DoneUnlessRead(_) => {
            let done = answer.contains("\"ok\"") && !answer.contains("\"runtime_error\"");
            return assert!(done, "{verb}: {answer}");
        }
    };
    // The supervisor's own numbers are told all the same.
    let named = match verb {
        "events" => "\"runtime_error\":\"".to_owned(),
        verb => format!("\"code\":\"runtime-failed\",\"message\":\"{verb}: "),
    };
    assert!(answer.contains(&named) && answer.contains(words), "{verb}: {answer}");
}

/// Each verb goes wrong in this way.
fn each(steps: &[Step], told: &Told) {
    for (verb, _) in VERBS {
        let place = Place::new(conward());
        let mut life = Life::before(&place, verb, steps.to_vec());
        let answer = life.ask();
        check(verb, &answer, told);
        life.end();
    }
}

fn generate(to: To) -> Step {
    Step::Generate(to, Pattern { seed: 1, bytes: HUGE, line: 70 })
}

#[test]
fn killed() {
    each(&[Step::Die(9)], &Told::Failed("signal 9"));
}

#[test]
fn failing_without_a_word() {
    each(&[Step::Exit(3)], &Told::Failed("exit status 3"));
}

#[test]
fn failing_with_a_reason() {
    each(&[Step::err("no such cgroup\n"), Step::Exit(1)], &Told::Failed("no such cgroup"));
}

#[test]
fn failing_with_a_reason_that_is_no_text() {
    let bytes = vec![0xff, 0x80, 0, 1, 0x1b, b'w', b'h', b'y', b'\n'];
    // For a session the words end at the first NUL, as they do at `create`.
    each(&[Step::Write(To::Stderr, bytes), Step::Exit(1)], &Told::Failed("\u{fffd}\u{fffd}"));
}

#[test]
fn failing_with_more_words_than_are_kept() {
    each(&[Step::err("first\n"), generate(To::Stderr), Step::Exit(1)], &Told::Failed("first\\n"));
}

#[test]
fn doing_it_with_more_words_than_are_kept() {
    each(&[generate(To::Stderr), generate(To::Stdout)], &Told::DoneUnlessRead("longer than 1048576 bytes"));
}

#[test]
fn doing_it_with_words_that_nobody_understands() {
    let bytes = vec![0xff, 0x80, 0, 1, b'{', b'\n'];
    each(&[Step::Write(To::Stdout, bytes)], &Told::DoneUnlessRead("cannot be read"));
}

/// Whoever has its pipes may say nothing for ever, or never stop.
#[test]
fn leaving_a_process_with_its_pipes() {
    for (verb, _) in VERBS {
        let place = Place::new(conward());
        let mut gate = place.gate("left");
        let mut life =
            Life::before(&place, verb, vec![Step::Fork(vec![Step::Await(gate.path().to_owned())])]);
        check(verb, &life.ask(), &Told::Done);
        gate.open();
        life.end();
    }
    each(&[Step::Fork(vec![Step::Flood(To::Stderr, vec![b'x'; 4096])])], &Told::Done);
}

/// It says that it has done what it has not. What is asked next is answered, and the end is the true one.
#[test]
fn lying() {
    for (verb, _) in VERBS {
        let place = Place::new(conward());
        let mut life = Life::before(&place, verb, vec![Step::Exit(0)]);
        let answer = life.ask();
        // Of a session there is a trace to be looked for.
        let told =
            if verb == "exec" { Told::Failed("pid file") } else { Told::DoneUnlessRead("cannot be read") };
        check(verb, &answer, &told);
        life.end();
    }
}

/// Others are answered meanwhile, the status is recorded, and nothing is left.
fn hanging(verb: &'static str) {
    let place = Place::new(conward());
    let mut life = Life::before(&place, verb, vec![Step::Touch(place.path("asked")), Step::Pause]);
    let request = life.request();
    life.client.send(&request);
    place.await_file("asked");
    life.client.ask("state").unwrap_or_else(|missed| panic!("{verb}: {missed}"));
    wait_until("it rests", || life.running.monitor().is_quiet());
    if verb == "checkpoint" {
        // What follows the record waits for the image, for as long as a runtime may take; the record does not.
        fs::write(place.path("gate"), "\0").expect("a gate");
        wait_until("the exit file", || place.exit_file().as_deref() == Some("7"));
        let supervisor = life.running.monitor().pid();
        let hanging = children(supervisor).into_iter().filter_map(Process::open);
        hanging.for_each(|runtime| assert!(runtime.kill(Signal::SIGKILL)));
    }
    life.end();
    wait_until("the runtime goes with the supervisor", || place.processes().is_empty());
}

#[test]
fn hanging_while_the_container_ends() {
    // Most of each is waiting.
    std::thread::scope(|scope| {
        for (verb, _) in VERBS.into_iter().filter(|(verb, _)| *verb != "delete") {
            scope.spawn(move || hanging(verb));
        }
    });
}
