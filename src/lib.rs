//! conward supervises one OCI container: it holds its standard streams, writes its log, records
//! how it ended, and lets clients attach, while the manager that spawned it may come and go.
//!
//! `ARCHITECTURE.md` has the layers and what each of them must not know.

pub mod core;
pub mod data;
pub mod diagnostics;
pub mod error;
pub mod flags;
pub mod front;
pub mod launch;
pub mod pid;
pub mod plan;
pub mod reactor;
pub mod serve;
pub mod sink;
pub mod supervisor;
pub mod sys;
