//! The door into the library.

fn main() {}
