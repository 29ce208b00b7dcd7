//! Out of memory, as cgroup v1's memory controller tells it.

use conward_testkit::bundle::process;
use conward_testkit::runc::{Container, LIMIT};
use conward_testkit::wait_for;
use serde_json::{Value, json};

/// Enough for runc's own start inside the container's cgroup, soon filled by a doubling string.
const MEMORY: u64 = 24 << 20;

/// A shell word that grows until the kernel ends it.
const EAT: &str = "x=0123456789abcdef; while :; do x=$x$x; done";

/// A container with little memory.
fn small(script: &str) -> Container {
    let controller = std::path::Path::new("/sys/fs/cgroup/memory/memory.oom_control");
    assert!(controller.exists(), "this test needs the memory controller of cgroup v1 (hybrid hierarchy)");
    Container::with(process(&["sh", "-c", script], false), Some(MEMORY))
}

/// Where a manager looks for it, and whether it is there.
fn oom_files(container: &Container) -> [bool; 2] {
    [container.bundle.path("oom").exists(), container.path("persist/oom").exists()]
}

/// Arguments by which the exit record stays.
fn kept(container: &Container) -> [String; 3] {
    ["--keep-state".into(), "--control-dir".into(), container.path("control").display().to_string()]
}

fn record(container: &Container) -> Value {
    let path = container.path("control").join(&container.id).join("exit.json");
    let text = wait_for("the exit record", LIMIT, || std::fs::read(&path).ok());
    serde_json::from_slice(&text).expect("a whole record")
}

#[test]
fn a_container_killed_for_its_memory_is_marked() {
    let container = small(EAT);
    let (supervisor, _) = container.run(&kept(&container).each_ref().map(String::as_str));
    assert_eq!(container.exit_file(), "137");
    supervisor.closed();
    assert_eq!(oom_files(&container), [true, true]);
    let record = record(&container);
    assert_eq!(
        (&record["oom"], &record["cause"]),
        (&json!({"init": true, "kills": 1}), &json!({"by": "kernel"}))
    );
}

#[test]
fn the_mark_is_there_when_only_a_child_was_killed() {
    let container = small(&format!("sh -c '{EAT}'; echo child $?; read stop"));
    let kept = kept(&container);
    let args = [kept.each_ref().map(String::as_str).as_slice(), &["-i"]].concat();
    let _supervisor = container.run(&args);
    wait_for("oom files while the container runs", LIMIT, || {
        (oom_files(&container) == [true, true]).then_some(())
    });
    wait_for("the container's own words", LIMIT, || {
        (container.logged("stdout") == "child 137\n").then_some(())
    });
    container.attach().send(b"stop\n");
    assert_eq!(container.exit_file(), "0");
    let record = record(&container);
    assert_eq!(
        (&record["oom"], &record["cause"]),
        (&json!({"init": false, "kills": 1}), &json!({"by": "container"}))
    );
}

#[test]
fn a_container_that_was_just_stopped_is_not_marked() {
    let container = small("read stop");
    let kept = kept(&container);
    let args = [kept.each_ref().map(String::as_str).as_slice(), &["-i"]].concat();
    let (supervisor, _) = container.run(&args);
    assert!(container.runc(&["kill", &container.id, "KILL"]).status.success(), "runc kill");
    assert_eq!(container.exit_file(), "137");
    // runc removes the cgroup, which on v1 fires the same event as an OOM (cgroup-v1/memory.rst, 10).
    assert!(container.runc(&["delete", &container.id]).status.success(), "runc delete");
    supervisor.closed();
    assert_eq!(oom_files(&container), [false, false]);
    assert_eq!(record(&container)["oom"], json!({"init": false, "kills": 0}));
}
