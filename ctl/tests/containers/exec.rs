//! `exec`.

use std::process::Stdio;
use std::time::Duration;

use conward_testkit::sandbox::feed;
use conward_testkit::terminal::Terminal;
use conward_testkit::wait_until;

use crate::terminals::around;
use crate::{Ctl, Done};

const LIMIT: Duration = Duration::from_secs(20);

/// A container that runs until the test ends.
fn running() -> Ctl {
    let ctl = Ctl::new("sleep 1000");
    ctl.make("run", &["-d"]).ok();
    ctl
}

/// `conwardctl exec OPTIONS ID sh -c SCRIPT`.
fn exec(ctl: &Ctl, options: &[&str], script: &str) -> Done {
    ctl.ctl(&[&["exec"], options, &[ctl.id(), "sh", "-c", script]].concat())
}

fn on_terminal(ctl: &Ctl, script: &str) -> Terminal {
    around(ctl, &ctl.command(&["exec", "-it", ctl.id(), "sh", "-c", script]))
}

#[test]
fn streams_and_status_are_passed_through() {
    let ctl = running();
    let done = exec(&ctl, &[], "echo out; echo err >&2; cat; exit 7");
    assert_eq!((done.status, done.out.as_str(), done.err.as_str()), (7, "out\n", "err\n"), "{done:?}");
    assert_eq!(exec(&ctl, &[], "kill -KILL $$").status, 137);
    let input: Vec<u8> = (0..200_000).flat_map(|number: u32| format!("{number}\n").into_bytes()).collect();
    let done: Done = feed(&mut ctl.command(&["exec", "-i", ctl.id(), "cat"]), &input, "exec -i").into();
    assert_eq!(done.status, 0, "{}", done.err);
    assert!(done.out.as_bytes() == input, "{} bytes came back of {}", done.out.len(), input.len());
    assert_eq!(ctl.ctl(&["logs", ctl.id()]).ok(), "", "it is not the container's output");
    assert_eq!(exec(&ctl, &["--log"], "echo logged").ok(), "logged\n");
    wait_until("it is logged", || ctl.ctl(&["logs", ctl.id()]).ok() == "logged\n");
}

#[test]
fn process_is_that_of_the_bundle_but_for_what_was_asked_for() {
    let ctl = running();
    let passwd = "root:x:0:0::/:/bin/sh\nweb:x:33:34::/tmp:/bin/sh\n";
    let etc = ctl.container.bundle.path("rootfs/etc");
    std::fs::write(etc.join("passwd"), passwd).expect("etc/passwd");
    std::fs::write(etc.join("group"), "log:x:50:web\n").expect("etc/group");
    assert_eq!(exec(&ctl, &[], "pwd; echo $PATH; id -u").ok(), "/\n/bin\n0\n");
    let options = ["-w", "/tmp", "-e", "A=1", "--env=PATH=/bin:/x"];
    assert_eq!(exec(&ctl, &options, "pwd; echo $A $PATH").ok(), "/tmp\n1 /bin:/x\n");
    assert_eq!(exec(&ctl, &["-u", "web"], "id -u; id -g; id -G").ok(), "33\n34\n34 50\n");
    assert_eq!(exec(&ctl, &["-u", "5:6"], "id -u; id -g").ok(), "5\n6\n");
    let capabilities = "grep CapEff /proc/self/status | cut -f2";
    assert_ne!(exec(&ctl, &[], capabilities).ok(), "0000000000000000\n");
    assert_eq!(exec(&ctl, &["-u", "web"], capabilities).ok(), "0000000000000000\n");
    let message = exec(&ctl, &["-u", "nobody"], "true").failed(125);
    assert!(message.contains("nobody: no such user in /etc/passwd of the container"), "{message}");
    let message = exec(&ctl, &["-w", "tmp"], "true").failed(125);
    assert!(message.contains("workdir: tmp is not absolute"), "{message}");
}

#[test]
fn programs_that_cannot_run() {
    let ctl = running();
    for (program, status) in [("no-such-program", 127), ("/etc/passwd", 126), ("/etc", 126)] {
        let message = ctl.ctl(&["exec", ctl.id(), program]).failed(status);
        assert!(message.contains(program), "{message}");
    }
    ctl.ctl(&["kill", ctl.id()]).ok();
    wait_until("it has ended", || ctl.list(&["state=stopped"]).len() == 1);
    ctl.ctl(&["exec", ctl.id(), "true"]).failed(125);
}

#[test]
fn left_alone_found_again_and_ended_in_time() {
    let ctl = running();
    let session = exec(&ctl, &["-d"], "exec sleep 999").ok();
    let session = session.trim();
    assert_eq!(ctl.state()["execs"][0]["exec"], session);
    let waiting = ctl.command(&["wait", "--exec", session, ctl.id()]).stdout(Stdio::piped()).spawn();
    let message = ctl.ctl(&["kill", "--exec=nope", ctl.id()]).failed(125);
    assert!(message.contains("nope"), "{message}");
    ctl.ctl(&["kill", "--exec", session, "-s", "TERM", ctl.id()]).ok();
    let waited: Done = waiting.expect("conwardctl wait").wait_with_output().expect("conwardctl wait").into();
    assert_eq!((waited.status, waited.out.as_str()), (143, "143\n"));
    let done = exec(&ctl, &["--timeout=1"], "sleep 1000 & sleep 1000");
    assert_eq!(done.status, 255, "{done:?}");
    assert!(done.err.contains("time limit"), "{done:?}");
    let left = ctl.container.sandbox.processes();
    assert_eq!(left.matches("sleep 1000").count(), 1, "the whole session is killed: {left}");
}

#[test]
fn on_a_terminal() {
    let ctl = running();
    let mut terminal = on_terminal(
        &ctl,
        "stty size; echo $TERM; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.05; done",
    );
    terminal.expect("33 77\r\nxterm\r\nready\r\n", LIMIT);
    terminal.resize(20, 100);
    terminal.expect("20 100\r\n", LIMIT);
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!((status.code(), rest.contains("same")), (Some(5), true), "{rest:?}");
}

#[test]
fn control_c_and_detach_keys() {
    let ctl = running();
    let script = "trap 'echo interrupted' INT; echo ready
        while :; do read x && echo got $x; [ \"$x\" != end ] || exit 4; done";
    let mut terminal = on_terminal(&ctl, script);
    terminal.expect("ready\r\n", LIMIT);
    terminal.send("\x03");
    terminal.expect("interrupted\r\n", LIMIT);
    terminal.send("\x10\x11");
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!((status.code(), rest.contains("same")), (Some(0), true), "{rest:?}");
    let session = ctl.state()["execs"][0]["exec"].as_str().expect("a session").to_owned();

    let mut terminal = around(&ctl, &ctl.command(&["attach", "--exec", &session, ctl.id()]));
    terminal.expect("interrupted\r\n", LIMIT);
    terminal.send("end\r");
    terminal.expect("got end\r\n", LIMIT);
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!((status.code(), rest.contains("same")), (Some(4), true), "{rest:?}");
}
