//! Sessions whose output goes to the log of their container.

use conward_protocol::request::Exec;
use conward_protocol::{Exit, Request};
use conward_testkit::{LogRecord, Pattern, Place, Script, Step, To, joined, wait_until};

use crate::exec::{exec, named, on_terminal};
use crate::{Container, launch, place};

fn logged(exec: Exec) -> Exec {
    Exec { log: true, ..exec }
}

/// A container that runs and follows these steps.
fn running(place: &Place, steps: Vec<Step>) -> Container<'_> {
    place.script(&Script::of([vec![Step::AwaitStart], steps, vec![Step::Pause]].concat()));
    let gate = place.gate("exited");
    let mut running = launch(place).gated_exit_command("exit", &gate).start();
    running.go();
    let pid = Some(running.pid());
    let mut container = Container { running, client: crate::client::Client::connect(place), gate, pid };
    container.client.ok("start");
    container
}

/// Waits until the log holds this, at its end.
fn await_logged(place: &Place, stream: &str, text: &str) {
    wait_until(text, || joined(&place.log_records(), stream).ends_with(text.as_bytes()));
}

fn texts(records: &[LogRecord]) -> Vec<String> {
    let text = |record: &LogRecord| {
        let tag = if record.full { 'F' } else { 'P' };
        format!("{tag} {}", String::from_utf8_lossy(&record.content))
    };
    records.iter().filter(|record| record.stream == "stdout").map(text).collect()
}

/// Both are read at their own time, but the counts of the container are its own.
fn counts_add_up(container: &mut Container) {
    let stats = container.client.ok("stats");
    for (stream, sink) in [(0, 0), (1, 1)] {
        let (read, sink) = (&stats["streams"][stream]["read"], &stats["sinks"][sink]);
        let sum =
            ["logged", "dropped", "withheld"].map(|name| sink[name].as_u64().expect("a count")).iter().sum();
        assert_eq!(read.as_u64(), Some(sum), "{stats}");
    }
}

#[test]
fn its_lines_stand_between_those_of_the_container() {
    let place = place();
    let mut gate = place.gate("line");
    let steps = vec![Step::out("first\nopen "), Step::Await(gate.path().to_owned()), Step::out("closed\n")];
    let mut container = running(&place, steps);
    await_logged(&place, "stdout", "first\nopen ");
    let script = Script::of([Step::out("one\n"), Step::err("two\n"), Step::out("three"), Step::Pause]);
    container.client.start_exec(named("s", logged(exec(script))));
    await_logged(&place, "stderr", "two\n");
    gate.open();
    await_logged(&place, "stdout", "one\n");
    container.client.ok("kill KILL exec=s");
    assert_eq!(container.client.wait_exec("s"), Exit::Signal(9));
    // With the answer everything is in the log. A slow machine may have lost patience with the line.
    let found = texts(&place.log_records());
    let wanted = ["F first", "P open ", "F closed", "F one", "F three"];
    let impatient = ["F first", "P open ", "F ", "F one", "F closed", "F three"];
    assert!(found == wanted || found == impatient, "{found:?}");
    counts_add_up(&mut container);
    container.end();
}

#[test]
fn a_line_that_stays_open_holds_it_up_for_a_second_at_most() {
    let place = place();
    let mut container = running(&place, vec![Step::out("prompt> ")]);
    await_logged(&place, "stdout", "prompt> ");
    let (name, _) = container.client.start_exec(logged(exec(Script::of([Step::out("said"), Step::Exit(3)]))));
    assert_eq!(container.client.wait_exec(&name), Exit::Code(3));
    assert_eq!(texts(&place.log_records()), ["P prompt> ", "F ", "F said"]);
    counts_add_up(&mut container);
    container.end();
}

#[test]
fn a_flood_of_both_is_complete() {
    let place = place();
    let pattern = |seed| Pattern { seed, bytes: 2 << 20, line: 300 };
    let steps = vec![Step::Generate(To::Stdout, pattern(1)), Step::err("done\n")];
    let mut gate = place.gate("flood");
    let steps = [vec![Step::Await(gate.path().to_owned())], steps].concat();
    let mut container = running(&place, steps);
    let script = Script::of([Step::Generate(To::Stdout, pattern(2)), Step::out("\n")]);
    container.client.request("exec", Request::Exec(named("s", logged(exec(script)))));
    gate.open();
    container.client.reply();
    assert_eq!(container.client.wait_exec("s"), Exit::Code(0));
    await_logged(&place, "stderr", "done\n");
    let length = |seed| pattern(seed).bytes().len();
    wait_until("all of it", || joined(&place.log_records(), "stdout").len() > length(1) + length(2));
    // Each line is one of the container or one of the session, and each has its own in order.
    let all = joined(&place.log_records(), "stdout");
    let (first, second) = (pattern(1).bytes(), pattern(2).bytes());
    let mut first = first.split(|&b| b == b'\n').peekable();
    let mut second = second.split(|&b| b == b'\n').peekable();
    for line in all.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        while first.next_if(|l| l.is_empty()).is_some() {}
        while second.next_if(|l| l.is_empty()).is_some() {}
        let known = first.next_if(|l| *l == line).or_else(|| second.next_if(|l| *l == line));
        assert!(known.is_some(), "a line of neither: {:?}", String::from_utf8_lossy(line));
    }
    counts_add_up(&mut container);
    container.end();
}

#[test]
fn without_a_word_nothing_of_it_is_logged() {
    let place = place();
    let mut container = running(&place, vec![]);
    let script = Script::of([Step::out("out\n"), Step::err("err\n"), Step::Exit(0)]);
    for what in [exec(script.clone()), on_terminal(script)] {
        let (name, _) = container.client.start_exec(what);
        assert_eq!(container.client.wait_exec(&name), Exit::Code(0));
    }
    let flood = Script::of([Step::Generate(To::Stdout, Pattern { seed: 3, bytes: 8 << 20, line: 90 })]);
    let (name, _) = container.client.start_exec(exec(flood));
    assert_eq!(container.client.wait_exec(&name), Exit::Code(0), "it is read and dropped");
    assert!(place.log_records().is_empty());
    container.end();
}

#[test]
fn a_terminals_output_is_logged_too() {
    let place = place();
    let mut container = running(&place, vec![]);
    let mut gate = place.gate("shown");
    let script = Script::of([Step::Await(gate.path().to_owned()), Step::out("shown\n"), Step::Exit(0)]);
    let (name, _) = container.client.start_exec(logged(on_terminal(script)));
    gate.open();
    assert_eq!(container.client.wait_exec(&name), Exit::Code(0));
    assert_eq!(texts(&place.log_records()), ["F shown\r"]);
    container.end();
}

/// The container's own end does not wait for one that lives on, but for what has been written.
#[test]
fn what_a_session_has_written_is_logged_when_the_container_ends() {
    let place = place();
    let mut container = running(&place, vec![Step::out("open")]);
    await_logged(&place, "stdout", "open");
    let script = Script::of([Step::out("said\nunfinished"), Step::Touch(place.path("said")), Step::Pause]);
    container.client.start_exec(logged(exec(script)));
    place.await_file("said");
    // Everything that was there is read by the time the next request is answered.
    container.client.ok("state");
    container.client.ok("kill KILL");
    container.client.ok("wait recorded");
    let found = texts(&place.log_records());
    assert!(found[..] == ["P open", "F ", "F said"], "{found:?}");
    container.end();
}
