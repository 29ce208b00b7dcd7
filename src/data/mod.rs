//! The bytes: output from the container to the logs and the clients, input from the clients to the
//! container. The lifecycle never sees them.

mod clients;
mod input;
mod outbox;
mod pump;
mod replay;
mod tap;
#[cfg(test)]
mod tests;

pub use clients::{Attachment, ChannelId, Clients, Gone, Kind, Received, Why};
pub use input::{Ender, Input, Step};
pub use outbox::PARTING_LIMIT;
pub use pump::{Junction, Pump, Taken, Turn};
