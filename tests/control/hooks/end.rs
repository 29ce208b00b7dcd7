//! Hooks of the stage `deleted`, and what a supervisor waits for at its end.

use std::fs;

use conward_protocol::codec::Message;
use conward_protocol::record::HookStage;
use conward_protocol::{Exit, State, Step as Stopping, What};
use conward_testkit::{Script, Step};
use nix::sys::signal::Signal;

use super::{brief, ending, hook, option, record};
use crate::client::Client;
use crate::exec::stays;
use crate::{directory, place, started};

fn pausing() -> Script {
    Script::of([Step::AwaitStart, Step::Pause])
}

/// It waits for the delete that these are to follow, without anybody being connected.
#[test]
fn a_supervisor_stays_for_what_is_still_to_run() {
    let place = place();
    let option = option(HookStage::Deleted, &hook(&place, "hook", "cat >$P/in"));
    let (mut running, mut client) = started(&place, ending(), &["--keep-state", &option]);
    client.ok("wait recorded");
    drop(client);
    running.monitor().must_be_quiet();
    let mut client = Client::connect(&place);
    assert_eq!(client.greeting.state, State::Stopped);
    client.ok("subscribe");
    client.send("delete tag=d\n");
    let told = client.messages_to_end();
    let events: Vec<&What> = told
        .iter()
        .filter_map(|message| match message {
            Message::Event(event) => Some(&event.what),
            _ => None,
        })
        .collect();
    assert!(
        matches!(events[..], [What::Deleting, What::HookEnded(hook), What::Deleted { .. }] if hook.exit == Some(Exit::Code(0))),
        "{told:?}"
    );
    assert!(matches!(&told.last(), Some(Message::Reply(_))), "answered when all is done: {told:?}");
    assert!(place.await_file("in").contains(r#"\"teardown\":"#));
    assert!(!directory(&place).exists());
    assert_eq!(running.status(), 7);
}

#[test]
fn a_signal_ends_that_too_and_the_hook_does_not_run() {
    let place = place();
    let option = option(HookStage::Deleted, &hook(&place, "hook", "touch $P/ran"));
    let (mut running, mut client) = started(&place, ending(), &["--keep-state", &option]);
    client.ok("wait recorded");
    drop(client);
    running.kill(Signal::SIGTERM);
    assert_eq!(running.status(), 7);
    assert!(!place.path("ran").exists() && record(&place).hooks.is_empty());
}

#[test]
fn they_do_not_run_where_the_delete_has_failed() {
    let place = place();
    let option = option(HookStage::Deleted, &hook(&place, "hook", "touch $P/ran"));
    let script = ending().at("delete", [Step::Exit(1)]);
    let (mut running, client) = started(&place, script, &["--delete-on-exit", &option]);
    drop(client);
    assert_eq!(running.status(), 7);
    assert!(!place.path("ran").exists());
}

/// Who cannot wait for the runtime's time limit sends the signal that asks for the end.
#[test]
fn a_delete_that_hangs_is_cut_short_by_a_signal() {
    let place = place();
    let hangs = [Step::Touch(place.path("hangs")), Step::Pause];
    let script = Script::of([Step::AwaitStart, Step::Exit(7)]).at("delete", hangs);
    let (mut running, mut client) = started(&place, script, &["--delete-on-exit", "--keep-state"]);
    client.ok("subscribe");
    place.await_file("hangs");
    assert_eq!(client.state().step, Some(Stopping::Deleting));
    drop(client);
    running.kill(Signal::SIGTERM);
    assert_eq!(running.status(), 7);
    let teardown = record(&place).teardown.expect("an outcome");
    assert_eq!(teardown.exit, Some(Exit::Signal(15)));
    let state = fs::read_to_string(directory(&place).join("state.json")).expect("a state");
    assert!(state.contains(r#""step":"announced""#), "{state}");
    assert_eq!(brief(&record(&place).hooks), Vec::<String>::new());
}

/// A session that is killed with the container may still hold what a hook is to clean up.
#[test]
fn those_of_the_end_wait_for_the_sessions_that_end_with_it() {
    let place = place();
    let option = option(HookStage::Exited, &hook(&place, "hook", "true"));
    let (mut running, mut client) = started(&place, pausing(), &[&option]);
    client.start_exec(stays());
    client.ok("subscribe");
    client.ok("kill KILL");
    let (mut over, mut began) = (None, None);
    for message in client.messages_to_end() {
        let Message::Event(event) = message else { panic!("{message:?}") };
        match event.what {
            What::ExecExited { .. } => over = Some(event.time.to_string()),
            What::HookEnded(hook) => began = Some(hook.started.to_string()),
            _ => {}
        }
    }
    let (over, began) = (over.expect("its end is told"), began.expect("the hook ran"));
    assert!(began >= over, "the hook ran from {began}, the session up to {over}");
    assert_eq!(running.status(), 137);
}
