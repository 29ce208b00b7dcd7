//! Out of memory, as cgroup v1's memory controller tells it.

use conward_testkit::bundle::process;
use conward_testkit::runc::{Container, LIMIT};
use conward_testkit::wait_for;

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

#[test]
fn a_container_killed_for_its_memory_is_marked() {
    let container = small(EAT);
    let (supervisor, _) = container.run(&[]);
    assert_eq!(container.exit_file(), "137");
    supervisor.closed();
    assert_eq!(oom_files(&container), [true, true]);
}

#[test]
fn the_mark_is_there_when_only_a_child_was_killed() {
    let container = small(&format!("sh -c '{EAT}'; echo child $?; read stop"));
    let _supervisor = container.run(&["-i"]);
    wait_for("oom files while the container runs", LIMIT, || {
        (oom_files(&container) == [true, true]).then_some(())
    });
    wait_for("the container's own words", LIMIT, || {
        (container.logged("stdout") == "child 137\n").then_some(())
    });
    container.attach().send(b"stop\n");
    assert_eq!(container.exit_file(), "0");
}

#[test]
fn a_container_that_was_just_stopped_is_not_marked() {
    let container = small("read stop");
    let (supervisor, _) = container.run(&["-i"]);
    assert!(container.runc(&["kill", &container.id, "KILL"]).status.success(), "runc kill");
    assert_eq!(container.exit_file(), "137");
    // runc removes the cgroup, which on v1 fires the same event as an OOM (cgroup-v1/memory.rst, 10).
    assert!(container.runc(&["delete", &container.id]).status.success(), "runc delete");
    supervisor.closed();
    assert_eq!(oom_files(&container), [false, false]);
}
