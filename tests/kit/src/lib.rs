//! What the black-box tests have in common: the programs under test, a place for each test, ways to
//! start a supervisor as its callers do, and waiting for conditions.
//!
//! A test looks like this:
//!
//! ```no_run
//! use conward_testkit::{Launch, Place, Script, Step, conward};
//!
//! let place = Place::new(conward());
//! place.script(&Script::of([Step::AwaitStart, Step::out("hello\n"), Step::Exit(7)]));
//! let mut running = Launch::create(&place).start();
//! running.go();
//! running.pid();
//! place.start_container();
//! assert_eq!(running.status(), 7);
//! assert_eq!(place.exit_file().as_deref(), Some("7"));
//! ```

mod attach;
mod clocks;
mod gate;
mod host;
mod launch;
mod log;
mod place;
mod process;
mod running;
mod watch;
mod wire;

pub use attach::{Client, Ending, Heard};
pub use clocks::Clocks;
pub use fake_runtime::{
    Console, Container, Count, Numbered, Pattern, PidFile, Record, Script, Step, Sum, To,
};
pub use gate::Gate;
pub use host::Host;
pub use launch::{Launch, Pipes};
pub use log::{LogRecord, joined, parse_log};
pub use place::Place;
pub use process::{Footprint, Process, children, descriptors, state_of};
pub use running::{Launched, Message, Running};
pub use watch::Watch;
pub use wire::{read_to_end, readable};

pub mod bundle;
pub mod podman;
pub mod runc;
pub mod sandbox;
pub mod seqpacket;
pub mod terminal;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long anything may take that should be immediate. Only a failing test ever waits that long,
/// so it allows for a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The supervisor under test: `$CONWARD_BIN` (what `make test` sets, the release binary), else the
/// one beside the running test binary.
pub fn conward() -> PathBuf {
    match std::env::var_os("CONWARD_BIN") {
        Some(path) => PathBuf::from(path),
        None => built("conward"),
    }
}

/// Where the reference is.
const REFERENCE: &str = "/usr/bin/conmon";

/// The reference, Debian's conmon.
pub fn reference() -> PathBuf {
    let path = PathBuf::from(REFERENCE);
    assert!(path.exists(), "the reference is missing: apt-get install conmon");
    path
}

/// The runtime that obeys, and misbehaves on request.
pub fn fake_runtime() -> PathBuf {
    built("fake-runtime")
}

/// The client: the one beside the running test binary.
pub fn conwardctl() -> PathBuf {
    built("conwardctl")
}

/// A binary of this workspace, beside the running test's own directory (`target/…/deps/test-…`).
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("path of the test binary");
    let path = test.parent().and_then(|deps| deps.parent()).expect("target directory").join(name);
    assert!(path.exists(), "{} is not built: run `make test`, or `cargo build --workspace`", path.display());
    path
}

/// Waits until `check` gives a value, at most `limit`; panics with `what` after that.
pub fn wait_for<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until the condition holds, at most [`PATIENCE`].
pub fn wait_until(what: &str, mut check: impl FnMut() -> bool) {
    wait_for(what, PATIENCE, || check().then_some(()));
}
