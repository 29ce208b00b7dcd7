//! Hooks of the supervisor's own: what they are given, their order, and what comes of them.

mod bad;
mod end;
mod given;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use conward_protocol::RECORD_FILE;
use conward_protocol::record::{HookOutcome, HookStage, Record};
use conward_testkit::{Place, Script, Step};

use crate::directory;

/// A hook that is this shell script, in which `$P` is the place.
fn hook(place: &Place, name: &str, script: &str) -> PathBuf {
    let path = place.path(name);
    let text = format!("#!/bin/sh\nP={}\n{script}\n", place.path("").display());
    fs::write(&path, text).expect("a hook");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    path
}

/// The option for it.
fn option(stage: HookStage, path: &Path) -> String {
    format!("--hook={stage}={}", path.display())
}

/// A container that ends with 7 when it was started.
fn ending() -> Script {
    Script::of([Step::AwaitStart, Step::Exit(7)])
}

/// The record on disk, which is there.
fn record(place: &Place) -> Record {
    let text = fs::read(directory(place).join(RECORD_FILE)).expect("a record");
    serde_json::from_slice(&text).expect("a whole record")
}

/// What tells outcomes apart: stage, file name, and status.
fn brief(outcomes: &[HookOutcome]) -> Vec<String> {
    let name = |path: &str| Path::new(path).file_name().map(|name| name.display().to_string());
    let exit = |outcome: &HookOutcome| match (outcome.exit, &outcome.error) {
        (Some(exit), None) => exit.to_string(),
        (None, Some(error)) => error.clone(),
        other => panic!("{other:?}"),
    };
    let words = |o: &HookOutcome| format!("{} {}: {}", o.stage, name(&o.path).unwrap_or_default(), exit(o));
    outcomes.iter().map(words).collect()
}
