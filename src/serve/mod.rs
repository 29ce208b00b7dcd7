//! The endpoints through which others reach the supervisor, or it reaches them.
//!
//! Each owns its descriptor, never blocks, and does bounded work in each call of its `turn`, which
//! is made whenever edge-triggered epoll(7) says that the descriptor is ready.

pub mod attach;
pub mod caller;
pub mod console;
pub mod control;
pub mod fifos;
pub mod notify;
pub mod oom;
pub mod pipes;
pub mod ring;
