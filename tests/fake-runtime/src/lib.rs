//! What the fake runtime and those who direct it have in common: the script, the pattern of bytes
//! that both can produce, and the record of a call.

mod pattern;
mod record;
mod script;

pub use pattern::{Pattern, Sum};
pub use record::Record;
pub use script::{Console, Container, PidFile, Script, Step, To};
