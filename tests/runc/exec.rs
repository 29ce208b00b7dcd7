//! One more process in a running container.

use conward_testkit::bundle::process;
use conward_testkit::runc::Container;

/// A container that stays until its input ends.
fn running() -> Container {
    let container = Container::new(&["cat"]);
    container.run(&["-i"]);
    container
}

#[test]
fn an_exec_reports_its_pid_and_then_its_exit_code() {
    let container = running();
    for (name, script, code) in [
        ("zero", "echo fine", 0),
        ("seven", "exit 7", 7),
        ("killed", "kill -KILL $$", 137),
        ("term", "kill $$", 143),
    ] {
        let mut session = container.exec(name, &process(&["sh", "-c", script], false), &[]);
        session.pid();
        let (status, text) = session.report();
        assert_eq!((status, text.as_str()), (code, ""), "{script}");
        assert_eq!(session.closed(), "", "{script}: nothing after the exit code");
    }
    assert_eq!(container.status(), "running", "the container itself goes on");
}

#[test]
fn an_exec_that_cannot_run_is_reported_as_failed() {
    let container = running();
    let mut session = container.exec("missing", &process(&["/no/such/program"], false), &[]);
    let (number, text) = session.report();
    assert_eq!(number, -1, "{text}");
    assert!(text.contains("/no/such/program"), "{text}");
    assert_eq!(session.closed(), "");
}

#[test]
fn the_output_of_an_exec_is_complete_when_its_code_is_there() {
    let container = running();
    let mut session = container.exec("long", &process(&["seq", "100000"], false), &[]);
    session.pid();
    assert_eq!(session.report().0, 0);
    let log = std::fs::read_to_string(container.path("long/log")).expect("the session's log");
    let numbers = log.lines().map(|line| line.rsplit(' ').next().expect("a last word"));
    // A line that was cut into a partial record and its rest is two records here.
    let text: String = numbers.collect();
    let expected: String = (1..=100_000).map(|number: u32| number.to_string()).collect();
    assert!(text == expected, "{} of {} digits logged", text.len(), expected.len());
}

#[test]
fn an_exec_on_a_terminal_works() {
    let container = running();
    let script = "test -t 0 && test -t 1 && tty; exit 6";
    let mut session = container.exec("terminal", &process(&["sh", "-c", script], true), &["-t"]);
    session.pid();
    assert_eq!(session.report().0, 6);
    let log = std::fs::read_to_string(container.path("terminal/log")).expect("the session's log");
    assert!(log.contains("/dev/pts/"), "{log}");
}

#[test]
fn an_exec_that_takes_too_long_is_said_to_have_timed_out() {
    let container = running();
    let mut session = container.exec("slow", &process(&["sleep", "1000"], false), &["--timeout", "1"]);
    session.pid();
    assert_eq!(session.report(), (-1, "command timed out".to_owned()));
    assert_eq!(container.status(), "running");
}
