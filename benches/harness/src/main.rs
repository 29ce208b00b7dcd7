//! Placeholder, replaced before the first commit that uses it.
fn main() {}
