//! `run -it` and `attach` on a terminal.

use std::time::Duration;

use conward_testkit::sandbox::feed;
use conward_testkit::terminal::Terminal;
use conward_testkit::wait_until;

use nix::sys::signal::Signal;

use crate::{Ctl, Done, known};

const LIMIT: Duration = Duration::from_secs(20);

/// A shell on a terminal, that says how the terminal is set before and after `command`.
pub fn around(ctl: &Ctl, command: &std::process::Command) -> Terminal {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''")))
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
    // What may fill the screen is shown again.
    terminal.expect("ready\r\none\r\ngot one\r\n", LIMIT);
    terminal.send("two\r");
    terminal.expect("got two\r\n", LIMIT);
    terminal.send("end\r");
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!((status.code(), rest.contains("same")), (Some(4), true), "{rest:?}");
    wait_until("it is removed", || !known(&ctl));
}

#[test]
fn as_much_is_replayed_as_is_asked_for() {
    let ctl = Ctl::new("for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2; read x; echo end; exit 2");
    ctl.make("run", &["-d", "-i"]).ok();
    wait_until("all is written", || ctl.ctl(&["logs", ctl.id()]).err == "oops\n");
    let attach = |options: &[&str], input: &[u8]| -> Done {
        let words = [&["attach"], options, &[ctl.id()]].concat();
        feed(&mut ctl.command(&words), input, "conwardctl attach").into()
    };
    let terminal = around(&ctl, &ctl.command(&["attach", "--no-stdin", ctl.id()]));
    wait_until("it is attached", || {
        let stats: serde_json::Value =
            serde_json::from_str(&ctl.ctl(&["stats", ctl.id()]).ok()).expect("JSON");
        stats["attachments"] == 1
    });
    let done = attach(&["--replay=10"], b"go\n");
    // From the first byte on, as it was asked for; and no more than there is.
    assert_eq!((done.out.as_str(), done.err.as_str()), (" 4\nline 5\nend\n", "oops\n"));
    assert_eq!(done.status, 2);
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!(status.code(), Some(2), "{rest:?}");
    assert!(rest.ends_with("end\r\nsame\r\n") && !rest.contains("line"), "nothing is shown again: {rest:?}");
}

#[test]
fn signals_restore_the_terminal() {
    for (signal, status) in [("TERM", 143), ("HUP", 129), ("INT", 130), ("QUIT", 131)] {
        let ctl = Ctl::on_terminal("echo ready; sleep 1000");
        let mut terminal = run(&ctl);
        terminal.expect("ready\r\n", LIMIT);
        ctl.container.sandbox.script(&format!("kill -{signal} $(pidof conwardctl)"));
        let (ended, rest) = terminal.finish(LIMIT);
        assert_eq!((ended.code(), rest.contains("same")), (Some(status), true), "{signal}: {rest:?}");
        assert_eq!(ctl.state()["state"], "running", "the container does not end with its client");
    }
}

#[test]
fn suspended_and_continued() {
    let ctl = Ctl::on_terminal("echo ready; while read x; do echo got $x; [ $x != end ] || exit 4; done");
    let mut terminal = run(&ctl);
    terminal.expect("ready\r\n", LIMIT);
    let raw = terminal.modes();
    let pid: i32 = ctl.container.sandbox.script("pidof conwardctl").trim().parse().expect("a pid");
    let stat = ctl.container.sandbox.proc(pid).join("stat");
    let stopped = || std::fs::read_to_string(&stat).expect("stat").contains(") T ");
    // By the first signal it is stopped with its terminal restored; the second no program can see, but
    // whoever takes the terminal meanwhile can set it.
    for signal in ["TSTP", "STOP"] {
        ctl.container.sandbox.script(&format!("kill -{signal} {pid}"));
        wait_until("it is stopped", stopped);
        if signal == "TSTP" {
            assert_ne!(terminal.modes(), raw);
        } else {
            terminal.set("sane");
        }
        terminal.resize(20, 100);
        // nsenter(1) has stopped with it.
        terminal.signal(Signal::SIGCONT);
        wait_until("it is raw again", || terminal.modes() == raw);
    }
    terminal.send("end\r");
    terminal.expect("got end\r\n", LIMIT);
    let (status, rest) = terminal.finish(LIMIT);
    assert_eq!((status.code(), rest.contains("same")), (Some(4), true), "{rest:?}");
}
