//! What a supervisor and those who talk to it have in common: pure data and codecs.
//!
//! Nothing here holds a descriptor, reads a clock or allocates without a bound.

mod exit;
mod line;

pub use exit::Exit;
pub use line::{Line, Lines};
