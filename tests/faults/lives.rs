//! The ways to live that are tried with faults.

use std::fs;
use std::time::Duration;

use conward_testkit::{Client, Launch, Place, Script, Step};

use crate::control::Control;
use crate::life::{Gates, Life, STATUS};

/// How long a client waits for an answer.
const ANSWER: Duration = Duration::from_secs(2);

/// A container that writes a line to stdout.
const LINE: &str = "a line\n";

/// What a client types, and such a container repeats.
pub const TYPED: &str = "typed\n";

/// All of them.
pub const LIVES: &[Life] = &[
    Life { name: "plain", forks: false, gated: true, launch: plain, output: LINE, visit: |_| Ok(()) },
    Life { name: "detached", forks: true, gated: true, launch: detached, output: LINE, visit: |_| Ok(()) },
    Life { name: "visited", forks: false, gated: true, launch: visited, output: "a line\ntyped\n", visit },
    Life {
        name: "terminal",
        forks: false,
        gated: true,
        launch: terminal,
        output: "a line\r\n",
        visit: |_| Ok(()),
    },
    Life { name: "exec", forks: false, gated: false, launch: exec, output: LINE, visit: |_| Ok(()) },
];

fn script(place: &Place, gates: &Gates, echo: bool) -> Script {
    let mut steps = vec![
        Step::Touch(place.path("created")),
        Step::Await(gates.begin.path().to_owned()),
        Step::out(LINE),
        Step::Touch(place.path("ran")),
    ];
    let end = gates.end.path().to_owned();
    steps.extend([if echo { Step::EchoUntil(end) } else { Step::Await(end) }, Step::Exit(STATUS as u8)]);
    Script::of(steps)
}

fn create<'a>(place: &'a Place, gates: &Gates, echo: bool) -> Launch<'a> {
    place.script(&script(place, gates, echo));
    let launch = Launch::create(place);
    // The reference, which the same faults may be tried with, has none.
    if place.program().ends_with("conmon") {
        return launch;
    }
    launch.arg("--control-dir").arg(place.path("control"))
}

fn plain<'a>(place: &'a Place, gates: &Gates) -> Launch<'a> {
    create(place, gates, false).sync()
}

fn detached<'a>(place: &'a Place, gates: &Gates) -> Launch<'a> {
    create(place, gates, false)
}

fn terminal<'a>(place: &'a Place, gates: &Gates) -> Launch<'a> {
    create(place, gates, false).arg("-t").env("TMPDIR", place.path("")).sync()
}

fn visited<'a>(place: &'a Place, gates: &Gates) -> Launch<'a> {
    create(place, gates, true).arg("-i").sync()
}

fn exec<'a>(place: &'a Place, gates: &Gates) -> Launch<'a> {
    Launch::crio_exec(place, &script(place, gates, false))
        .arg("--exit-dir")
        .arg(place.path("exits"))
        .arg("--persist-dir")
        .arg(place.path("persist"))
}

/// Input through the attach socket, a new log and a size through the fifo, a question and a wait
/// through the control socket. The error says what went unanswered.
fn visit(place: &Place) -> Result<(), String> {
    // As kubelet rotates: move the log away, then ask for a new one.
    fs::rename(place.log(), place.path("ctr.log.1")).map_err(|error| format!("no log: {error}"))?;
    place.try_ctl(b"2 0 0\n1 24 80\n");
    let attached = attach(place);
    let asked = ask(place);
    attached.and(asked)
}

fn attach(place: &Place) -> Result<(), String> {
    let client =
        Client::try_connect(&place.bundle().join("attach")).map_err(|error| format!("attach: {error}"))?;
    if !client.try_send(TYPED.as_bytes()) {
        return Err("the attach client was hung up on".into());
    }
    loop {
        match client.packet(ANSWER) {
            Some(Ok(packet)) if packet.ends_with(TYPED.as_bytes()) => return Ok(()),
            Some(Ok(_)) => {}
            Some(Err(_)) => return Err("the attach client was hung up on".into()),
            None => return Err("SILENCE: the attach client waits for ever".into()),
        }
    }
}

fn ask(place: &Place) -> Result<(), String> {
    let mut client = Control::connect(place, ANSWER)?;
    for request in ["state", "stats", "subscribe", "ps"] {
        client.ask(request)?;
    }
    Ok(())
}
