//! The bytes: output from the container to the logs and the clients, input from the clients to the
//! container. The lifecycle never sees them.

mod clients;
mod input;
mod outbox;
mod pump;
#[cfg(test)]
mod tests;

pub use clients::{ClientId, Clients, Received};
pub use input::{Input, Step};
pub use outbox::PARTING_LIMIT;
pub use pump::{Pump, Taken, Turn};
