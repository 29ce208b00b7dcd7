//! `run -it` and `attach` on a terminal.

use std::time::Duration;

use conward_testkit::terminal::Terminal;
use conward_testkit::wait_until;

use crate::{Ctl, known};

const LIMIT: Duration = Duration::from_secs(20);

/// A shell on a terminal, that says how the terminal is set before and after `command`.
pub fn around(ctl: &Ctl, command: &std::process::Command) -> Terminal {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    // setsid by timeout(1) would take the terminal away; the kit's own limit is that of `expect`.
    let words = words.join(" ").replacen("'--kill-after=1'", "'--foreground' '--kill-after=1'", 1);
    let script = format!("a=$(stty -g); {words}; s=$?; [ \"$a\" = \"$(stty -g)\" ] && echo same; exit $s");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).current_dir(ctl.container.bundle.dir());
    Terminal::spawn(&shell, 33, 77)
}

/// `run -it`, with an input that is the terminal's.
fn run(ctl: &Ctl) -> Terminal {
    around(ctl, &ctl.making("run", &["--rm", "-it"]))
}

#[test]
fn size_keys_and_status_are_passed() {
    let ctl = Ctl::on_terminal(
        "stty size; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.05; done",
    );
    let mut terminal = run(&ctl);
    terminal.expect("33 77\r\n", LIMIT);
    terminal.expect("ready\r\n", LIMIT);
    terminal.resize(20, 100);
    terminal.expect("20 100\r\n", LIMIT);
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!(status.code(), Some(5));
    assert!(rest.contains("same"), "the terminal was not restored: {rest:?}");
    assert!(!known(&ctl), "removed");
}

#[test]
fn control_c_is_a_key() {
    let ctl =
        Ctl::on_terminal("trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done");
    let mut terminal = run(&ctl);
    terminal.expect("ready\r\n", LIMIT);
    terminal.send("\x03");
    terminal.expect("interrupted\r\n", LIMIT);
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!(status.code(), Some(3));
    assert!(rest.contains("same"), "{rest:?}");
}

#[test]
fn detached_and_attached_again() {
    let ctl = Ctl::on_terminal("echo ready; while read x; do echo \"got $x\"; [ $x != end ] || exit 4; done");
    let mut terminal = run(&ctl);
    terminal.expect("ready\r\n", LIMIT);
    terminal.send("one\r");
    terminal.expect("got one\r\n", LIMIT);
    terminal.send("\x10\x11");
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!((status.code(), rest.contains("same")), (Some(0), true), "{rest:?}");
    assert_eq!(ctl.state()["state"], "running");

    let mut terminal = around(&ctl, &ctl.command(&["attach", ctl.id()]));
    terminal.send("two\r");
    terminal.expect("got two\r\n", LIMIT);
    terminal.send("end\r");
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!((status.code(), rest.contains("same")), (Some(4), true), "{rest:?}");
    wait_until("it is removed", || !known(&ctl));
}

#[test]
fn a_signal_restores_the_terminal() {
    let ctl = Ctl::on_terminal("echo ready; sleep 1000");
    let mut terminal = run(&ctl);
    terminal.expect("ready\r\n", LIMIT);
    ctl.container.sandbox.script("kill -TERM $(pidof conwardctl)");
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!((status.code(), rest.contains("same")), (Some(143), true), "{rest:?}");
    assert_eq!(ctl.state()["state"], "running", "the container does not end with its client");
}
