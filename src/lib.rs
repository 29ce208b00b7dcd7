//! conward supervises one OCI container: it holds its standard streams, writes its log, records
//! how it ended, and lets clients attach, while the manager that spawned it may come and go.
//!
//! `ARCHITECTURE.md` has the layers and what each of them must not know.

pub mod error;
pub mod plan;
pub mod sink;
pub mod sys;
