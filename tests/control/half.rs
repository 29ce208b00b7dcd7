//! Clients that send nothing more, as `echo wait | socat - UNIX-CONNECT:…` does.

use conward_protocol::codec::Message;
use conward_protocol::{Outcome, What};
use conward_testkit::{Script, Step, descriptors, wait_until};

use crate::client::{Client, tag};
use crate::{container, created, place};

/// The tags of the answers, all of them good, up to the end of the connection.
fn answered(client: &mut Client) -> Vec<String> {
    let told = client.messages_to_end();
    let tag_of = |message: &Message| match message {
        Message::Reply(reply) if matches!(reply.outcome, Outcome::Ok(_)) => tag(reply).map(str::to_owned),
        _ => None,
    };
    told.iter().map(|message| tag_of(message).unwrap_or_else(|| panic!("{message:?}"))).collect()
}

#[test]
fn one_that_has_all_its_answers_is_let_go() {
    let place = place();
    let container = created(&place);
    for asked in [&[][..], &["state"], &["state", "stats", "debug"]] {
        let mut client = Client::connect(&place);
        for op in asked {
            client.send(format!("{op} tag={op}\n"));
        }
        client.half_close();
        let mut answers = answered(&mut client);
        answers.sort_by_key(|answer| asked.iter().position(|op| op == answer));
        assert_eq!(answers, asked);
    }
    container.end();
}

#[test]
fn one_that_waits_gets_its_answers_first() {
    let place = place();
    let mut gate = place.gate("runtime");
    let slow = [Step::Touch(place.path("asked")), Step::Await(gate.path().to_owned())];
    let mut container = container(&place, Script::default().at("pause", slow), &[]);
    container.client.ok("start");
    let mut client = Client::connect(&place);
    client.send("pause tag=pause\nwait tag=wait\n");
    client.half_close();
    place.await_file("asked");
    container.client.ok("state");
    assert!(client.is_silent());
    gate.open();
    assert_eq!(tag(&client.reply()), Some("pause"));
    assert!(client.is_silent());
    container.client.ok("kill KILL");
    assert_eq!(answered(&mut client), ["wait"]);
    // The supervisor has not ended: its exit command waits.
    container.client.ok("state");
    container.end();
}

#[test]
fn one_that_subscribed_hears_events_until_it_has_gone() {
    let place = place();
    let mut container = created(&place);
    let pid = container.running.monitor().pid();
    let before = descriptors(pid).len();
    let mut client = Client::connect(&place);
    client.send("subscribe\n");
    client.half_close();
    client.reply();
    container.client.ok("start");
    assert_eq!(client.event().what, What::Started);
    container.client.ok("kill CONT");
    assert!(matches!(client.event().what, What::Signalled { .. }));
    drop(client);
    wait_until("its descriptor is closed", || descriptors(pid).len() == before);
    container.end();
}
