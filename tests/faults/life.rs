//! One life of a container, with a fault in it or without, and what was seen of it.

use std::fs;
use std::time::{Duration, Instant};

use conward_testkit::{Gate, Host, Launch, Place, Process, Running, conward};

/// How long a supervisor may take for anything. (Exit files are tried again for three seconds.)
const LIMIT: Duration = Duration::from_secs(15);

/// The status with which every container of these tests ends.
pub const STATUS: i32 = 7;

/// A way to live.
pub struct Life {
    /// How it is called in failures.
    pub name: &'static str,
    /// The supervisor is a process that the spawned one forks.
    pub forks: bool,
    /// It waits for a start byte.
    pub gated: bool,
    /// Makes the script and the command line.
    pub launch: for<'a> fn(&'a Place, &Gates) -> Launch<'a>,
    /// What the container writes to stdout.
    pub output: &'static str,
    /// What clients do while it runs; what they miss.
    pub visit: fn(&Place) -> Result<(), String>,
    /// The output goes to the journal too.
    pub journal: bool,
    /// The stages of its hooks, each of which adds a line to `hooked`.
    pub hooks: &'static [&'static str],
}

/// What holds a container until the test has looked.
pub struct Gates {
    /// The first thing that it waits for; `None`: it does not.
    pub begin: Gate,
    /// The last.
    pub end: Gate,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// The number and the text of each message.
    pub messages: Vec<(i64, String)>,
    /// The exit status of the supervisor.
    pub status: i32,
    /// All that came on its stderr and in syslog.
    pub said: Vec<String>,
    /// The exit files: `exits/ID`, `persist/exit`.
    pub exits: [Option<String>; 2],
    /// The log's content: stdout alone.
    pub logged: String,
    /// What the journal got.
    pub journal: String,
    /// The hooks that ran, a line each.
    pub hooked: String,
    /// Whether the container came to run.
    pub ran: bool,
    /// Whether the exit command ran.
    pub hook: bool,
    /// What is left of the endpoints.
    pub left: Vec<String>,
    /// Processor time of the supervisor, in ticks of 10 ms.
    pub ticks: u64,
    /// Whether there were visitors: they come when the caller has been told of the container.
    pub visited: bool,
    /// What they missed.
    pub visit: Option<String>,
    /// The trace.
    pub trace: String,
    /// Where it never came to rest.
    pub restless: Option<&'static str>,
}

/// Something that did not come to its end.
pub struct Hang {
    /// What, and what it did last.
    pub text: String,
    /// The trace up to then.
    pub trace: String,
}

/// Lives it, with these faults (strace's `inject=` expressions).
pub fn live(life: &Life, faults: &[String]) -> Result<Seen, Hang> {
    let place = Place::new(conward());
    let host = Host::new(&place);
    let mut gates = Gates { begin: place.gate("begin"), end: place.gate("end") };
    let trace = place.path("trace");
    let launch = (life.launch)(&place, &gates).host(&host).arg("--syslog").exit_command("hook.json");
    let mut running = launch.injected(faults, life.forks, trace.clone()).start();
    let mut seen = Seen::default();
    let ended = play(life, &place, &mut running, &mut gates, &mut seen);
    gates.begin.open();
    gates.end.open();
    if let Err(hang) = ended {
        // So that nothing waits for it any longer; the trace is in the message.
        let trace = fs::read_to_string(&trace).unwrap_or_default();
        running.abandon();
        let last: Vec<&str> = trace.lines().rev().take(4).collect();
        return Err(Hang { text: format!("{hang}; last calls: {last:#?}"), trace });
    }
    let launched = running.launched();
    // One that could not be set up has told the caller so, and has no pid file any more.
    let forked = life.forks && launched.status == 0;
    let gone = forked && !place.path("conmon.pid").exists();
    seen.status = match forked {
        _ if gone => 1,
        true => running.status(),
        false => launched.status,
    };
    seen.said.extend(launched.stderr.lines().map(str::to_owned));
    seen.said.extend(std::iter::from_fn(|| host.syslog(Duration::ZERO)));
    while let Some(message) = running.next_message(|| true) {
        seen.messages.push((message.number, message.text.unwrap_or_default()));
    }
    seen.exits = [place.exit_file(), place.persist_exit()];
    seen.ran = place.path("ran").exists();
    seen.hook = place.path("hook.json").exists();
    let logs = ["ctr.log.1", "ctr.log"].map(|name| fs::read(place.path(name)).unwrap_or_default());
    let records = conward_testkit::parse_log(&logs.concat());
    seen.logged = String::from_utf8_lossy(&conward_testkit::joined(&records, "stdout")).into_owned();
    let entries: Vec<u8> = std::iter::from_fn(|| host.journal(Duration::ZERO)).flatten().collect();
    seen.journal = String::from_utf8_lossy(&entries).into_owned();
    seen.hooked = fs::read_to_string(place.path("hooked")).unwrap_or_default();
    let control = place.path("control").join(place.id());
    let ours = [place.bundle().join("attach"), control.join("control.sock"), control];
    seen.left = ours.iter().filter(|path| path.exists()).map(|path| path.display().to_string()).collect();
    for dir in ["exits", "persist"] {
        let entries = fs::read_dir(place.path(dir)).expect("a directory of the test");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        seen.left.extend(names.filter(|name| name.starts_with('.')));
    }
    seen.trace = fs::read_to_string(&trace).unwrap_or_default();
    if gone {
        running.abandon();
    }
    Ok(seen)
}

/// From the start byte to the supervisor's end.
fn play(
    life: &Life,
    place: &Place,
    running: &mut Running,
    gates: &mut Gates,
    seen: &mut Seen,
) -> Result<(), String> {
    if life.gated {
        running.go();
    }
    let spawned = Process::open(running.launcher_pid()).ok_or("the supervisor is gone without a trace")?;
    let created = || place.path("created").exists();
    // Of a message that was lost nothing is seen: the tracer keeps the pipe open.
    let mut waits = Patience::new();
    let message = running.next_message(|| {
        let gone = spawned.ended_within(Duration::ZERO)
            && (!life.forks || supervisor_of(place).is_none_or(|it| it.ended_within(Duration::ZERO)));
        gone || waits.over() || (created() && waits.long())
    });
    if waits.over() {
        return Err("no message".into());
    }
    let supervisor = if life.forks { supervisor_of(place) } else { None };
    let supervisor = supervisor.as_ref().unwrap_or(&spawned);
    if let Some(message) = message {
        seen.messages.push((message.number, message.text.unwrap_or_default()));
    }
    // What runs may come a moment after the message of it.
    let comes = |seen: &Seen| seen.messages.iter().any(|(number, _)| *number > 0);
    while comes(seen) && !created() && !waits.over() && !supervisor.ended_within(Duration::ZERO) {
        std::thread::sleep(Duration::from_millis(1));
    }
    if created() {
        if !rests(supervisor) {
            seen.restless = Some("after the container's creation");
        }
        gates.begin.open();
        let mut waits = Patience::new();
        while !place.path("ran").exists() && !waits.over() && !supervisor.ended_within(Duration::ZERO) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if comes(seen) {
            seen.visited = true;
            seen.visit = (life.visit)(place).err();
        }
        if !rests(supervisor) {
            seen.restless = Some("while the container runs");
        }
        gates.end.open();
    }
    if !supervisor.ended_within(LIMIT) {
        return Err("the supervisor does not end".into());
    }
    seen.ticks = supervisor.cpu_ticks();
    Ok(())
}

/// The forked supervisor, unless it never came to be.
fn supervisor_of(place: &Place) -> Option<Process> {
    Process::open(fs::read_to_string(place.path("conmon.pid")).ok()?.parse().ok()?)
}

/// Whether it comes to rest. It has nothing to do, so that any work is too much.
fn rests(supervisor: &Process) -> bool {
    let mut waits = Patience::new();
    while !supervisor.is_quiet() && !supervisor.ended_within(Duration::ZERO) {
        if waits.over() {
            return false;
        }
    }
    true
}

/// How long something is waited for.
struct Patience(Instant);

impl Patience {
    fn new() -> Patience {
        Patience(Instant::now())
    }

    /// Long enough for what is there already to be told.
    fn long(&mut self) -> bool {
        self.0.elapsed() > Duration::from_millis(500)
    }

    /// Too long.
    fn over(&mut self) -> bool {
        self.0.elapsed() > LIMIT
    }
}
