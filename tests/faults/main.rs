//! A supervisor whose system calls fail, one by one, and whose surroundings do.
//!
//! `CONWARD_FAULTS=all` tries every call; without it a sample of them is tried.

mod artefacts;
mod calls;
mod clocks;
mod compared;
mod compared_more;
mod control;
mod disk;
mod judge;
mod killed;
mod launching;
mod life;
mod limits;
mod lives;
mod policies;
mod runtime;
mod space;
mod sweep;
mod visits;
