//! What callers can observe of conward, with a runtime that does as it is told. No test needs root.

mod create;
