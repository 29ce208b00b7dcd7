//! The ways to live that are tried with faults.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use conward_testkit::{Launch, Place, Script, Step};

use crate::life::{Gates, Life, STATUS};
use crate::visits::{handed, session, visit};

/// A container that writes a line to stdout.
const LINE: &str = "a line\n";

/// A line of the container, and what a client has typed.
const BOTH: &str = "a line\ntyped\n";

const PLAIN: Life = Life {
    name: "plain",
    forks: false,
    gated: true,
    launch: plain,
    output: LINE,
    visit: |_| Ok(()),
    journal: false,
    hooks: &[],
};

/// All of them.
pub const LIVES: &[Life] = &[
    PLAIN,
    Life { name: "detached", forks: true, launch: detached, ..PLAIN },
    Life { name: "visited", launch: visited, output: BOTH, visit, ..PLAIN },
    Life { name: "terminal", launch: terminal, output: "a line\r\n", ..PLAIN },
    Life { name: "exec", gated: false, launch: exec, ..PLAIN },
    Life { name: "journald", launch: journald, journal: true, ..PLAIN },
    Life { name: "hooks", launch: hooks, hooks: &STAGES, ..PLAIN },
    Life { name: "session", launch: kept, output: BOTH, visit: session, ..PLAIN },
    Life { name: "handed", launch: visited, output: BOTH, visit: handed, ..PLAIN },
];

/// The stages of hooks, all but that of a start, which there is none of in these lives.
const STAGES: [&str; 3] = ["created", "exited", "deleted"];

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
    Launch::create(place).control()
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

fn journald<'a>(place: &'a Place, gates: &Gates) -> Launch<'a> {
    plain(place, gates).args(["-l", "journald"])
}

/// The runtime knows its containers.
fn kept<'a>(place: &'a Place, gates: &Gates) -> Launch<'a> {
    plain(place, gates).args(["--runtime-arg", "--root", "--runtime-arg"]).arg(place.path("state"))
}

fn hooks<'a>(place: &'a Place, gates: &Gates) -> Launch<'a> {
    let path = place.path("hook");
    let hooked = place.path("hooked");
    let text = format!("#!/bin/sh\necho $CONWARD_HOOK_STAGE >>{}\n", hooked.display());
    fs::write(&path, text).expect("a hook");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    let launch = kept(place, gates).arg("--delete-on-exit");
    STAGES.iter().fold(launch, |launch, stage| launch.arg(format!("--hook={stage}={}", path.display())))
}
