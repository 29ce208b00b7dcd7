//! What the operating system offers, thin and typed: the only place for `unsafe`.

pub mod clock;
