//! Many supervisors at once.

use conward_protocol::{Body, Request, State};
use conward_testkit::{Footprint, Gate, Place, Running, Script, Step, joined};

use crate::report::{Pace, await_flat, scaled};
use crate::{ask, launch, manager, place};

/// A container's status, told by its number.
fn status(number: usize) -> u8 {
    (number % 251) as u8
}

fn start<'a>(number: usize, place: &'a Place) -> (Running<'a>, Gate) {
    let gate = place.gate("gate");
    place.script(&Script::of([
        Step::AwaitStart,
        Step::out(&format!("container {number}\n")),
        Step::Await(gate.path().to_owned()),
        Step::Exit(status(number)),
    ]));
    (launch(place).start(), gate)
}

/// The one in the middle, by memory; none may hold more descriptors than another.
fn middle(all: &mut [Footprint]) -> Footprint {
    all.sort_by_key(|one| (one.private_kb, one.descriptors));
    let (least, most) =
        (all.iter().map(|one| one.descriptors).min(), all.iter().map(|one| one.descriptors).max());
    assert_eq!(least, most, "descriptors");
    all[all.len() / 2]
}

/// All are launched together, all answer, all start their containers, and all end with the status of their own.
#[test]
fn hundreds_of_supervisors_at_once() {
    let count = scaled(100, 500);
    let places: Vec<Place> = (0..count).map(|_| place()).collect();
    let mut pace = Pace::of_all(count);
    let (mut running, mut gates): (Vec<_>, Vec<_>) =
        places.iter().enumerate().map(|(number, place)| start(number, place)).unzip();
    running.iter_mut().for_each(Running::go);
    for one in &mut running {
        one.pid();
        pace.lap();
    }
    let mut clients: Vec<_> = places.iter().map(manager).collect();
    let pids: Vec<i32> = clients.iter().map(|client| client.greeting().supervisor).collect();
    let footprints = || pids.iter().map(|pid| Footprint::of(*pid)).collect::<Vec<_>>();
    let before = middle(&mut footprints());
    for (request, state) in [(None, State::Created), (Some(Request::Start), State::Running)] {
        let tickets = request.map(|request| {
            clients.iter_mut().map(|client| client.send(request.clone()).expect("sent")).collect::<Vec<_>>()
        });
        for (client, ticket) in clients.iter_mut().zip(tickets.into_iter().flatten()) {
            client.answer(ticket).expect("a start");
        }
        for (client, place) in clients.iter_mut().zip(&places) {
            let Body::State(told) = ask(client, Request::State) else { panic!("no state") };
            assert_eq!((told.id.as_str(), told.state), (place.id(), state));
        }
    }
    let after = await_flat("the supervisor in the middle", before, || middle(&mut footprints()));
    drop(clients);
    gates.iter_mut().for_each(Gate::open);
    for (number, (one, place)) in running.iter_mut().zip(&places).enumerate() {
        assert_eq!(one.status(), i32::from(status(number)), "container {number}");
        assert_eq!(place.exit_file(), Some(status(number).to_string()), "container {number}");
        assert_eq!(place.persist_exit(), Some(status(number).to_string()), "container {number}");
        let logged = joined(&place.log_records(), "stdout");
        assert_eq!(logged, format!("container {number}\n").into_bytes());
    }
    pace.report("supervisors at once (each)", before, after);
}
