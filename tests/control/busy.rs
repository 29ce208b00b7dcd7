//! Several clients, and the bounds of what they may ask for at once.

use conward_protocol::codec::Message;
use conward_protocol::limits::{CLIENTS_MAX, IN_FLIGHT_MAX};
use conward_protocol::{ErrorCode, Outcome, Reply};
use conward_testkit::wait_for;
use serde_json::Value;

use crate::client::{Client, tag};
use crate::{created, place};

fn code(reply: &Reply<Value>) -> Option<ErrorCode> {
    match &reply.outcome {
        Outcome::Error(failure) => Some(failure.code),
        Outcome::Ok(_) => None,
    }
}

#[test]
fn each_client_gets_its_own_answers() {
    let place = place();
    let mut container = created(&place);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(&place)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("state tag=a{number}\nwait tag=w{number}\nstate tag=b{number}\n"));
    }
    for (number, client) in clients.iter_mut().enumerate().rev() {
        assert_eq!(tag(&client.reply()), Some(format!("a{number}").as_str()));
        assert_eq!(tag(&client.reply()), Some(format!("b{number}").as_str()));
    }
    assert!(clients.iter_mut().all(Client::is_silent));
    container.client.ok("kill KILL");
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(tag(&client.reply()), Some(format!("w{number}").as_str()));
    }
    container.end();
}

#[test]
fn one_client_too_many_is_told_so() {
    let place = place();
    let mut container = created(&place);
    let mut clients: Vec<Client> = (1..CLIENTS_MAX).map(|_| Client::connect(&place)).collect();
    let mut numbers: Vec<u64> = clients.iter().map(|client| client.greeting.client).collect();
    numbers.push(container.client.greeting.client);
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), CLIENTS_MAX);
    for _ in 0..3 {
        let Err(told) = Client::try_connect(&place) else { panic!("one client too many") };
        let [Message::Reply(reply)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((code(reply), &reply.tag), (Some(ErrorCode::Busy), &None));
    }
    for client in &mut clients {
        client.ok("state");
    }
    // Whoever goes makes room, as soon as that is noticed.
    clients.pop();
    let next = wait_for("there is room", conward_testkit::PATIENCE, || Client::try_connect(&place).ok());
    assert!(!numbers.contains(&next.greeting.client), "a number is used again");
    container.client.ok("state");
    container.end();
}

#[test]
fn one_request_too_many_is_busy() {
    let place = place();
    let mut container = created(&place);
    let client = &mut container.client;
    let waits: String = (0..IN_FLIGHT_MAX + 2).map(|number| format!("wait tag={number}\n")).collect();
    client.send(waits);
    for number in IN_FLIGHT_MAX..IN_FLIGHT_MAX + 2 {
        let reply = client.reply();
        assert_eq!((tag(&reply), code(&reply)), (Some(number.to_string().as_str()), Some(ErrorCode::Busy)));
    }
    // The runtime is not asked either, and others are not concerned.
    assert_eq!(client.refused("start").code, ErrorCode::Busy);
    let mut other = Client::connect(&place);
    other.send("wait tag=other\n");
    other.ok("kill KILL");
    assert_eq!(tag(&other.reply()), Some("other"));
    let mut answered: Vec<usize> =
        (0..IN_FLIGHT_MAX).map(|_| tag(&client.reply()).unwrap().parse().unwrap()).collect();
    answered.sort();
    assert!(answered.into_iter().eq(0..IN_FLIGHT_MAX));
    // Now there is room again.
    assert_eq!(client.ok("wait")["stage"], "exited");
    container.end();
}
