//! `stop`, asked for more than once.

use conward_protocol::codec::Message;
use conward_protocol::{Cause, Op, Outcome, Signal, What};
use conward_testkit::{Script, Step};

use crate::client::Client;
use crate::{place, started};

/// Its program waits for TERM and then for INT.
#[test]
fn another_signal_is_sent_too() {
    let place = place();
    let both = vec![15, 2];
    let program = [
        Step::AwaitStart,
        Step::Block(both),
        Step::Touch(place.path("blocked")),
        Step::AwaitSignal(vec![15]),
        Step::AwaitSignal(vec![2]),
        Step::Exit(4),
    ];
    let (mut running, mut first) = started(&place, Script::of(program), &[]);
    place.await_file("blocked");
    first.ok("subscribe");
    first.send("stop\n");
    let mut second = Client::connect(&place);
    second.send("stop TERM tag=same\nstop INT tag=other\nstop INT tag=again\n");
    let stopped = serde_json::json!({"by": "signal", "exit": {"code": 4}});
    for _ in 0..3 {
        assert_eq!(second.reply().outcome, Outcome::Ok(stopped.clone()));
    }
    let told = first.messages_to_end();
    let signals: Vec<_> = told
        .iter()
        .filter_map(|message| match message {
            Message::Event(event) => match &event.what {
                What::Signalled { signal, .. } => Some((*signal, event.cause.clone())),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let by = |client: &Client| Cause::Client { client: client.greeting.client, op: Some(Op::Stop) };
    let int = Signal::parse("INT").unwrap();
    assert_eq!(signals, [(Signal::TERM, by(&first)), (int, by(&second))]);
    let answered = told.iter().any(
        |message| matches!(message, Message::Reply(reply) if reply.outcome == Outcome::Ok(stopped.clone())),
    );
    assert!(answered, "{told:?}");
    assert_eq!(running.status(), 4);
}
