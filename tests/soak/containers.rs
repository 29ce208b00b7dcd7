//! Many containers of real runc at once.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use conward_testkit::runc::{Container, LIMIT};
use conward_testkit::{Footprint, wait_for};
use nix::sys::stat::Mode;

use crate::report::{Pace, await_flat, scaled};

/// One that says something, waits for a byte, and ends with a status by its number.
fn container(number: u64) -> Container {
    let script = format!("echo out {number}; echo err {number} >&2; read x </gate; exit {number}");
    let container = Container::new(&["sh", "-c", &script]);
    nix::unistd::mkfifo(&gate(&container), Mode::S_IRWXU).expect("mkfifo");
    container
}

fn gate(container: &Container) -> PathBuf {
    container.bundle.path("rootfs/gate")
}

fn supervisor(container: &Container) -> PathBuf {
    let pid = fs::read_to_string(container.path("supervisor.pid")).expect("the supervisor's pid file");
    container.sandbox.proc(pid.parse().expect("a pid and nothing else"))
}

/// All are created together and run at the same time, and each is logged, recorded and deleted as if alone.
#[test]
fn tens_of_containers_at_once() {
    let count = scaled(5, 50);
    let containers: Vec<Container> = (1..=count).map(container).collect();
    let mut pace = Pace::of_all(count);
    let mut supervisors: Vec<_> =
        containers.iter().map(|container| container.create(&["--delete-on-exit"])).collect();
    for supervisor in &mut supervisors {
        supervisor.pid();
        pace.lap();
    }
    let before = Footprint::at(&supervisor(&containers[0]));
    containers.iter().for_each(Container::start);
    for (number, container) in (1..).zip(&containers) {
        let said = || container.logged("stdout") + &container.logged("stderr");
        wait_for("it runs", LIMIT, || (said() == format!("out {number}\nerr {number}\n")).then_some(()));
        assert_eq!(container.status(), "running");
    }
    let after = await_flat("the first supervisor", before, || Footprint::at(&supervisor(&containers[0])));
    let procs: Vec<PathBuf> = containers.iter().map(supervisor).collect();
    for container in &containers {
        let gate = OpenOptions::new().write(true).open(gate(container));
        gate.and_then(|mut gate| gate.write_all(b"\n")).expect("somebody waits");
    }
    for (number, (container, supervisor)) in (1..).zip(containers.iter().zip(supervisors)) {
        assert_eq!(container.exit_file(), format!("{number}"));
        assert_eq!(supervisor.closed(), "", "container {number}");
        assert_eq!(
            container.logged("stdout") + &container.logged("stderr"),
            format!("out {number}\nerr {number}\n")
        );
    }
    for (container, proc) in containers.iter().zip(procs) {
        wait_for("the supervisor to be gone", LIMIT, || (!proc.join("exe").exists()).then_some(()));
        assert!(!container.runc(&["state", &container.id]).status.success(), "it was deleted");
    }
    pace.report("containers of runc at once (each)", before, after);
}
