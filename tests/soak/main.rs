//! Much of everything: supervisors, containers, lives, clients, sessions, output. All of it is accounted for,
//! and what a supervisor holds stays what it was.
//!
//! `make soak` runs it with `CONWARD_SOAK=all`, on its own, and prints the numbers; without that it is the same in
//! little.

mod attachments;
mod containers;
mod fleet;
mod lives;
mod output;
mod report;
mod sessions;

use conward_protocol::client::Client;
use conward_protocol::{Body, Request, SOCKET_FILE};
use conward_testkit::{Launch, PATIENCE, Place, conward};

/// A place for a container that conward looks after.
fn place() -> Place {
    Place::new(conward())
}

/// A supervisor with a control socket in its place, and a runtime that remembers its containers.
fn launch(place: &Place) -> Launch<'_> {
    let launch = Launch::create(place).control();
    launch.args(["--runtime-arg", "--root", "--runtime-arg"]).arg(place.path("state"))
}

/// A client of its control socket.
fn manager(place: &Place) -> Client {
    let socket = place.path("control").join(place.id()).join(SOCKET_FILE);
    let client = Client::connect(&socket).expect("a greeting");
    client.set_timeout(Some(PATIENCE)).expect("a time limit");
    client
}

/// Asks for what must be done.
fn ask(client: &mut Client, request: Request) -> Body {
    client.call(request).unwrap_or_else(|error| panic!("{error}")).body
}
