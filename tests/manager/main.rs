//! The example manager of the protocol, in another language, whole lives of containers long: also when it
//! is killed at any moment, and called again.
//!
//! Needs python3, and root and runc for two of the tests. There are a hundred lives with a runtime that has
//! no containers, and eight with runc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use conward_testkit::runc::Container;
use conward_testkit::sandbox::need;
use conward_testkit::{Place, Script, Step, bundle, conward, fake_runtime};
use serde_json::{Value, json};

const MANAGER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/protocol/examples/manager.py");

/// How often the manager of one container is killed before one may go on to the end.
const KILLS: u32 = 2;

/// Numbers that look random, and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: Duration) -> Duration {
        // Knuth, MMIX.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bound.mul_f64((self.0 >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// A container to be, and how its manager is called.
trait Case {
    fn command(&self) -> Command;
    fn bundle(&self) -> &Path;
    fn control(&self) -> PathBuf;
}

impl Case for Place {
    fn command(&self) -> Command {
        let mut command = self.marked("python3");
        command.arg(MANAGER).arg("--conward").arg(conward()).arg("--runtime").arg(fake_runtime());
        command.args(["--runtime-arg=--root", "--runtime-arg"]).arg(self.path("state"));
        command.arg("--control-dir").arg(self.path("control")).arg(Place::bundle(self)).arg(self.id());
        command
    }

    fn bundle(&self) -> &Path {
        Place::bundle(self)
    }

    fn control(&self) -> PathBuf {
        self.path("control").join(self.id())
    }
}

impl Case for Container {
    fn command(&self) -> Command {
        // Whoever is between us and it takes it along when killed.
        let mut command = self.sandbox.command("setpriv");
        command
            .args(["--pdeathsig", "KILL", "python3"])
            .arg(MANAGER)
            .arg("--conward")
            .arg(conward())
            .arg("--runtime")
            .arg(need("runc"));
        command.args(["--runtime-arg=--root", "--runtime-arg"]).arg(self.path("runc"));
        command.arg(self.bundle.dir()).arg(&self.id);
        command
    }

    fn bundle(&self) -> &Path {
        self.bundle.dir()
    }

    fn control(&self) -> PathBuf {
        self.sandbox.path("/run/conward").join(&self.id)
    }
}

fn spawn(case: &impl Case) -> Child {
    let mut command = case.command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("spawning the manager")
}

/// Lets a manager go on to the end, and gives its answer.
fn finish(case: &impl Case) -> Value {
    let output = spawn(case).wait_with_output().expect("waiting for the manager");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{told}\n{}", output.status, journal(case));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn journal(case: &impl Case) -> String {
    fs::read_to_string(case.bundle().join("manager.jsonl")).unwrap_or_default()
}

/// What the last manager must know, whatever became of those before it.
fn check(case: &impl Case, answer: &Value, code: u8) {
    let journal = journal(case);
    assert_eq!(answer["exit"], json!({ "code": code }), "{journal}");
    let entries = journal.lines().map(|line| serde_json::from_str(line).expect("a line of the journal"));
    let heard: Vec<Value> = entries.filter(|entry: &Value| entry.get("seq").is_some()).collect();
    let numbers: Vec<u64> = heard.iter().map(|event| event["seq"].as_u64().expect("a number")).collect();
    assert!(numbers.is_sorted_by(|before, after| before < after), "an event came twice: {journal}");
    let last = answer["last"].as_u64().expect("a number");
    assert_eq!(answer["known"], numbers.len(), "{journal}");
    assert!(numbers.iter().all(|number| *number <= last), "{answer}: {journal}");
    // From the last it heard on, or from the first, an event is unknown only where nobody was connected at
    // the end; then it knows how many there are.
    let gap = numbers.iter().zip(1..).find(|(number, nth)| *number != nth);
    assert_eq!(gap, None, "{journal}");
    assert!(!case.control().exists(), "the directory of the container is left");
}

/// Lives of containers whose manager is killed at any moment.
fn killed<C: Case>(lives: u8, seed: u64, new: impl Fn(u8) -> C) {
    let mut numbers = Numbers(seed);
    let whole = new(0);
    let begun = Instant::now();
    check(&whole, &finish(&whole), 0);
    let usual = begun.elapsed();
    let mut unknown = 0;
    for life in 1..=lives {
        let case = new(life);
        for _ in 0..KILLS {
            let mut manager = spawn(&case);
            // Any moment will do: this is no waiting for something.
            std::thread::sleep(numbers.below(usual));
            manager.kill().expect("killing the manager");
            manager.wait().expect("waiting for the manager");
        }
        let answer = finish(&case);
        check(&case, &answer, life);
        unknown += u32::from(answer["known"] != answer["last"]);
    }
    // Another call has nothing left to do, and says the same.
    assert_eq!(finish(&whole)["exit"], json!({"code": 0}));
    eprintln!("{lives} lives, {usual:?} each; of {unknown} not all events were heard");
}

fn place(code: u8) -> Place {
    let place = Place::new(conward());
    let steps = [Step::AwaitStart, Step::out("hello\n"), Step::Sleep(50), Step::Exit(code)];
    place.script(&Script::of(steps));
    place
}

fn container(code: u8) -> Container {
    let script = format!("echo hello; sleep 0.05; exit {code}");
    Container::with(bundle::process(&["sh", "-c", &script], false), None)
}

#[test]
fn a_whole_life() {
    let container = container(7);
    let answer = finish(&container);
    check(&container, &answer, 7);
    assert_eq!((&answer["output"], &answer["known"]), (&json!("hello\n"), &answer["last"]));
}

#[test]
fn killed_on_runc() {
    killed(8, 1, container);
}

/// Ten lives each, so that they run side by side.
macro_rules! killed {
    ($($name:ident $seed:literal)*) => {
        $(
            #[test]
            fn $name() {
                killed(10, $seed, place);
            }
        )*
    };
}

killed! {
    killed_0 10
    killed_1 11
    killed_2 12
    killed_3 13
    killed_4 14
    killed_5 15
    killed_6 16
    killed_7 17
    killed_8 18
    killed_9 19
}
