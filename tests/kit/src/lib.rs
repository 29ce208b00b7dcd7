//! What the black-box tests have in common: the programs under test, and waiting for conditions.

pub mod bundle;
pub mod podman;
pub mod runc;
pub mod sandbox;
pub mod seqpacket;
pub mod terminal;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The supervisor under test: `$CONWARD_BIN` (what `make test` sets, the release binary), else the
/// one beside the running test binary.
pub fn conward() -> PathBuf {
    match std::env::var_os("CONWARD_BIN") {
        Some(path) => PathBuf::from(path),
        None => built("conward"),
    }
}

/// The reference, Debian's conmon.
pub fn reference() -> PathBuf {
    PathBuf::from("/usr/bin/conmon")
}

/// The runtime that obeys, and misbehaves on request.
pub fn fake_runtime() -> PathBuf {
    built("fake-runtime")
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
