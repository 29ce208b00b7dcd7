//! What the fake runtime and those who direct it have in common: the script, the bytes that both can
//! produce, and the record of a call.

mod numbered;
mod pattern;
mod record;
mod script;

pub use numbered::{Count, Numbered};
pub use pattern::{Pattern, Sum};
pub use record::Record;
pub use script::{Console, Container, PidFile, Script, Step, To};
