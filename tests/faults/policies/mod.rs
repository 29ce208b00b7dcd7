//! Logs that take nothing for a while, or never again, and what was asked to be done about it.

mod disk;
mod gone;
mod journal;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use conward_testkit::{
    Client, Gate, Host, Launch, PATIENCE, Place, Running, Script, Step, conward, joined, parse_log,
    wait_until,
};
use serde_json::Value;

use crate::control::Control;

/// Bytes of a line, its newline counted.
const LINE: usize = 64;
/// More lines than the pipe of a stream and a supervisor that reads no further can hold (64 KiB each), and more
/// than `drop-oldest` keeps (256 KiB), in each half of the test.
const LINES: usize = 6000;

/// These lines of a stream, each with its number.
fn lines(of: std::ops::Range<usize>) -> String {
    of.map(|number| format!("{number:063}\n")).collect()
}

/// A container that writes a line, waits for `full`, writes many, touches `wrote`, waits for `free`, writes one
/// more line and ends with 7. Its log is in a directory of its own.
struct Case<'a> {
    place: &'a Place,
    host: Host,
    /// Which sink it is about: 0, or 1 for a journal beside a file.
    sink: usize,
    gates: [Gate; 3],
    running: Running<'a>,
    control: Control,
    /// What a client has heard, when all is over.
    client: Client,
    heard: Vec<u8>,
}

impl<'a> Case<'a> {
    /// The container runs, and has written its first line.
    fn begin(place: &'a Place, args: &[&str]) -> Case<'a> {
        let host = Host::new(place);
        let gates = ["full", "free", "hook"].map(|name| place.gate(name));
        place.script(&Script::of([
            Step::AwaitStart,
            Step::out(&lines(0..1)),
            Step::Await(gates[0].path().to_owned()),
            Step::out(&lines(1..LINES)),
            Step::Touch(place.path("wrote")),
            Step::Await(gates[1].path().to_owned()),
            Step::out(&lines(LINES..LINES + 1)),
            Step::Exit(7),
        ]));
        let launch = Launch::create(place).control().host(&host);
        let launch = launch.arg("-l").arg(log(place)).args(args).gated_exit_command("hook.json", &gates[2]);
        let running = launch.start().created();
        let control = Control::connect(place, PATIENCE).expect("a control socket");
        let sink = usize::from(args.contains(&"journald"));
        let client = running.attach();
        place.start_container();
        let mut case = Case { place, host, sink, gates, running, control, client, heard: Vec::new() };
        wait_until("the first line", || case.count("read") > 0);
        case
    }

    /// What is said of the standard output. Asking for the state and for this is
    /// answered whatever the log does.
    fn stdout(&mut self) -> Value {
        self.control.ask("state").expect("an answer");
        let stats = self.control.ask("stats").expect("an answer");
        let stats: Value = serde_json::from_str(&stats).expect("JSON");
        let mut sink = stats["ok"]["sinks"][self.sink].clone();
        sink["read"] = stats["ok"]["streams"][0]["read"].clone();
        sink
    }

    fn count(&mut self, name: &str) -> u64 {
        self.stdout()[name].as_u64().unwrap_or(0)
    }

    /// The container goes on, though its log takes nothing.
    fn go_on(&mut self) {
        self.gates[0].open();
        self.place.await_file("wrote");
    }

    /// The container goes on, and waits for its log.
    fn get_stuck(&mut self) {
        self.gates[0].open();
        wait_until("output to wait", || self.count("waiting") > 0);
        let read = self.count("read");
        assert!(read < 100_000, "{read} bytes were read though nobody takes them");
        // Longer than a journal is waited for where nothing was asked for.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(1500) {
            assert!(self.count("waiting") > 0 && self.count("read") == read, "it waits no longer");
        }
        assert!(!self.place.path("wrote").exists());
    }

    /// The container is killed while it waits; that is recorded as quickly as ever.
    fn kill(&mut self) -> Value {
        assert!(self.control.ask("kill,\"signal\":\"KILL\"").expect("an answer").contains("\"ok\""));
        self.recorded(137)
    }

    /// The container writes its last line and ends.
    fn end(&mut self) -> Value {
        self.place.await_file("wrote");
        self.gates[1].open();
        self.recorded(7)
    }

    /// What the record says of the standard output. Every byte that was read is accounted for.
    fn recorded(&mut self, status: i32) -> Value {
        self.place.await_file("hook.json");
        let record = self.place.path("control").join(self.place.id()).join("exit.json");
        let record: Value = serde_json::from_slice(&fs::read(record).expect("the record")).expect("JSON");
        for sink in
            record["sinks"].as_array().expect("sinks").iter().filter(|sink| sink["stream"] == "stdout")
        {
            let sum = ["logged", "dropped", "withheld"].map(|name| sink[name].as_u64().expect("a count"));
            assert_eq!(record["streams"][0]["read"].as_u64(), Some(sum.iter().sum()), "{record}");
            let drops = sink.get("drops").and_then(Value::as_object);
            let drops: u64 = drops.into_iter().flatten().filter_map(|(_, of)| of["bytes"].as_u64()).sum();
            assert_eq!(sink["dropped"].as_u64(), Some(drops), "{record}");
        }
        let complete = record["sinks"].as_array().expect("sinks").iter().all(|sink| sink["dropped"] == 0);
        assert_eq!(record["log_complete"], complete, "{record}");
        self.gates[2].open();
        self.heard = self.client.read_to_end().stdout;
        assert_eq!(self.running.status(), status);
        assert_eq!(self.place.exit_file(), Some(status.to_string()));
        record["sinks"][self.sink].clone()
    }
}

fn place() -> Place {
    Place::new(conward())
}

fn log(place: &Place) -> String {
    format!("k8s-file:{}", log_file(place).display())
}

fn log_file(place: &Place) -> PathBuf {
    place.path("logs/ctr.log")
}

/// The lines in the log file, without markers, and how many markers there are.
fn logged(place: &Place) -> (String, usize) {
    let records = parse_log(&fs::read(log_file(place)).expect("the log"));
    let text = String::from_utf8(joined(&records, "stdout")).expect("text");
    let (markers, lines): (Vec<&str>, Vec<&str>) =
        text.split_inclusive('\n').partition(|line| line.starts_with("[conward: "));
    (lines.concat(), markers.len())
}

/// Whether these are whole lines of the container, in their order. Returns their numbers.
fn numbers(text: &str) -> Vec<usize> {
    let number = |line: &str| {
        assert_eq!(line.len(), LINE - 1, "a torn line: {line:?}");
        line.parse().expect("a number")
    };
    let numbers: Vec<usize> = text.lines().map(number).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "out of order");
    numbers
}
