//! Subscriptions, the ring, and who does not read.

use conward_protocol::codec::Message;
use conward_protocol::limits::RING;
use conward_protocol::{Cause, ErrorCode, Event, Exit, Op, Outcome, Signal, State, What};
use conward_testkit::{Script, Step, wait_until};
use serde_json::json;

use crate::client::{Client, tag};
use crate::{Container, container, created, directory, launch, place};

/// One with a terminal, whose size can be changed as often as events are wanted.
fn with_terminal(place: &conward_testkit::Place) -> Container<'_> {
    container(place, Default::default(), &["-t"])
}

/// Makes so many events; at most 30 requests wait at a time.
fn resize(client: &mut Client, times: usize) {
    for number in 0..times {
        client.send(format!("resize {} 80\n", number % 1000));
        if number % 30 == 29 {
            (0..30).for_each(|_| drop(client.reply()));
        }
    }
    (0..times % 30).for_each(|_| drop(client.reply()));
}

fn without_gaps(events: &[Event], first: u64) {
    for (event, seq) in events.iter().zip(first..) {
        assert_eq!(event.seq, seq, "{event:?}");
    }
    let sorted = events.windows(2).all(|pair| pair[0].time.to_string() <= pair[1].time.to_string());
    assert!(sorted, "an event is older than the one before it");
}

fn events(client: &mut Client, count: usize) -> Vec<Event> {
    (0..count).map(|_| client.event()).collect()
}

#[test]
fn a_life_in_events() {
    let place = place();
    let mut container = created(&place);
    let me = container.client.greeting.client;
    let by = |op| Cause::Client { client: me, op: Some(op) };
    assert_eq!(container.client.ok("subscribe 0"), json!({"missed":0,"last":1}));
    for line in ["start", "pause", "resume", "kill CONT", "kill KILL"] {
        container.client.ok(line);
    }
    container.client.ok("wait recorded");
    let pid = container.pid.expect("a pid");
    container.gate.open();
    let all: Vec<Event> = container
        .client
        .messages_to_end()
        .into_iter()
        .map(|message| match message {
            Message::Event(event) => event,
            other => panic!("{other:?}"),
        })
        .collect();
    without_gaps(&all, 1);
    let signalled = |name: &str| {
        let signal = Signal::parse(name).unwrap();
        (What::Signalled { signal, all: false, exec: None }, by(Op::Kill))
    };
    let wanted = [
        (What::Created { pid }, Cause::Runtime),
        (What::Started, by(Op::Start)),
        (What::Paused, by(Op::Pause)),
        (What::Resumed, by(Op::Resume)),
        signalled("CONT"),
        signalled("KILL"),
    ];
    let seen: Vec<_> = all.iter().map(|event| (event.what.clone(), event.cause.clone())).collect();
    assert_eq!(seen[..wanted.len()], wanted);
    let ends: Vec<&What> = all[wanted.len()..].iter().map(|event| &event.what).collect();
    let nth = |is: fn(&What) -> bool| ends.iter().position(|what| is(what)).expect("an event of the end");
    let exited = nth(|what| matches!(what, What::Exited { exit: Exit::Signal(9), core_dumped: false }));
    let recorded = nth(|what| matches!(what, What::Recorded { .. }));
    assert!(exited == 0 && recorded > 0, "{ends:?}");
    assert!(matches!(ends.last(), Some(What::Deleted { teardown: None })), "{ends:?}");
}

#[test]
fn missed_events_are_counted() {
    let place = place();
    let mut container = with_terminal(&place);
    resize(&mut container.client, RING + 100);
    let last = 1 + RING as u64 + 100;
    let late = Client::connect(&place);
    assert_eq!(late.greeting.seq, last);
    for since in [0, 1, 100, 101, 102, last - 1, last] {
        let mut client = Client::connect(&place);
        let oldest = last - RING as u64 + 1;
        let missed = oldest.saturating_sub(since + 1);
        let told = client.ok(&format!("subscribe {since}"));
        assert_eq!(told, json!({"missed": missed, "last": last}), "since {since}");
        let first = oldest.max(since + 1);
        let held = (last + 1).saturating_sub(first);
        without_gaps(&events(&mut client, held as usize), first);
        assert!(client.is_silent(), "since {since}");
    }
    // Who knows of more has another supervisor in mind.
    for since in [last + 1, 1 << 50] {
        let mut client = Client::connect(&place);
        let failure = client.refused(format!("subscribe {since}"));
        assert_eq!((failure.code, failure.field.as_deref()), (ErrorCode::BadRequest, Some("since")));
        resize(&mut container.client, 1);
        assert!(client.is_silent(), "it has not subscribed");
    }
    container.end();
}

#[test]
fn a_subscriber_hears_what_it_asked_for_itself_and_once_only() {
    let place = place();
    let mut container = with_terminal(&place);
    container.client.ok("subscribe");
    container.client.ok("subscribe");
    assert_eq!(container.client.ok("subscribe 1"), json!({"missed":0,"last":1}));
    resize(&mut container.client, 300);
    without_gaps(&events(&mut container.client, 300), 2);
    assert!(container.client.is_silent());
    container.end();
}

#[test]
fn who_does_not_read_is_dropped_and_others_go_on() {
    let place = place();
    let mut container = with_terminal(&place);
    let mut slow = Client::connect(&place);
    slow.ok("subscribe");
    let mut other = Client::connect(&place);
    other.ok("subscribe");
    let mut heard = Vec::new();
    let dropped = loop {
        resize(&mut container.client, 100);
        heard.extend(events(&mut other, 100));
        if let Some(at) = heard.iter().position(|event| matches!(event.what, What::ClientDropped { .. })) {
            break heard[at].clone();
        }
        assert!(heard.len() < 20_000, "the slow one is never dropped");
    };
    let What::ClientDropped { client, attachment: None, lost } = dropped.what else { panic!("{dropped:?}") };
    assert_eq!(client, Some(slow.greeting.client));
    assert!(lost > 0);
    without_gaps(&heard, 2);
    // What had reached it is whole; then it is told why comes the end.
    let mut told = slow.messages_to_end();
    let Some(Message::Reply(last)) = told.pop() else { panic!("no last word") };
    let Outcome::Error(failure) = &last.outcome else { panic!("{last:?}") };
    assert_eq!((failure.code, last.tag.as_ref()), (ErrorCode::TooSlow, None));
    let got = told.len();
    assert!(got > 0 && got < heard.len(), "{got} of {}", heard.len());
    // It comes back and finds all that the ring holds, or hears how much it has missed.
    let mut again = Client::connect(&place);
    let since = got as u64 + 1;
    let told = again.ok(&format!("subscribe {since}"));
    let (missed, last) = (told["missed"].as_u64().unwrap(), told["last"].as_u64().unwrap());
    without_gaps(&events(&mut again, (last - since - missed) as usize), since + missed + 1);
    assert_eq!(container.client.state().state, State::Created);
    container.end();
}

/// A container's own program is another one than the runtime that made it: by that a start is seen
/// that nobody told the supervisor of.
#[test]
fn a_start_by_others_is_seen() {
    let sleep = ["/bin/sleep", "1000"].map(str::to_owned).to_vec();
    let is_running = |pid: i32| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap().ends_with("sleep");
    for look in ["state", "subscribe", "nonsense", "start", "pause"] {
        let place = place();
        place.script(&Script::of([Step::AwaitStart, Step::Become(sleep.clone())]));
        let mut running = launch(&place).start();
        running.go();
        let pid = running.pid();
        let mut client = Client::connect(&place);
        assert_eq!(client.state().state, State::Created);
        client.ok("subscribe");
        place.start_container();
        wait_until("it is started", || is_running(pid));
        client.ask(look);
        let state = client.state();
        assert_eq!(state.state, State::Running, "{look}");
        assert!(state.times.started.is_some());
        let event = client.event();
        assert_eq!((&event.what, &event.cause, event.seq), (&What::Started, &Cause::Caller, 2), "{look}");
        client.ok("kill KILL");
        assert_eq!(running.status(), 137);
    }
}

/// A caller's own runtime starts it while a manager listens that asks for nothing.
#[test]
fn what_a_foreign_start_leads_to_is_noticed_at_once() {
    let shell = |script: &str| Step::Become(["/bin/sh", "-c", script].map(str::to_owned).to_vec());
    let table = [
        // It says something, and lives on.
        (shell("echo here; exec sleep 1000"), true, None),
        // It has ended before anybody could look.
        (shell("exit 3"), true, Some(3)),
        (shell("kill -TERM $$"), true, Some(143)),
        // It is killed before it was started.
        (Step::Die(15), false, Some(143)),
    ];
    for (row, (step, started, status)) in table.into_iter().enumerate() {
        let place = place();
        place.script(&Script::of([Step::AwaitStart, step]));
        let mut running = launch(&place).start().created();
        let mut client = Client::connect(&place);
        client.ok("subscribe");
        client.send("wait recorded\n");
        place.start_container();
        let mut event = client.event();
        if started {
            assert_eq!((&event.what, &event.cause), (&What::Started, &Cause::Caller), "row {row}");
            if status.is_none() {
                client.send("kill KILL tag=kill\n");
                assert_eq!(tag(&client.reply()), Some("kill"));
                client.event();
            }
            event = client.event();
        }
        assert!(matches!(event.what, What::Exited { .. }), "row {row}: {event:?}");
        let Outcome::Ok(waited) = client.reply().outcome else { panic!("row {row}") };
        assert_eq!(waited["record"]["times"].get("started").is_some(), started, "row {row}: {waited}");
        assert_eq!(running.status(), status.unwrap_or(137), "row {row}");
    }
}

#[test]
fn who_lags_at_the_end_hears_it_all_the_same() {
    let place = place();
    let mut container = with_terminal(&place);
    let mut slow = Client::connect(&place);
    slow.ok("subscribe");
    let mut times = 0;
    while container.client.ok("stats")["queued"] == 0 {
        resize(&mut container.client, 30);
        times += 30;
        assert!(times < 20_000, "nothing ever waits for the slow one");
    }
    container.gate.open();
    container.client.ok("kill KILL");
    wait_until("the end is announced", || !directory(&place).exists());
    let told = slow.messages_to_end();
    let Some(Message::Event(last)) = told.last() else { panic!("no last event: {:?}", told.last()) };
    assert!(matches!(last.what, What::Deleted { .. }), "{last:?}");
    assert_eq!(container.running.status(), 137);
}
