//! Readiness: what reaches the service manager's socket.

use std::os::unix::net::UnixDatagram;

use conward_testkit::podman::{IMAGE, LIMIT, Podman};

/// A service manager's socket in the sandbox, and a Podman that is told of it.
struct Manager {
    podman: Podman,
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new() -> Manager {
        let podman = Podman::root();
        let path = podman.path("manager.sock");
        let socket = UnixDatagram::bind(&path).expect("binding the manager's socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a time limit");
        Manager { podman, socket, path: path.to_str().expect("a path of ASCII").to_owned() }
    }

    /// Runs a container `c` in the background with this `--sdnotify`.
    fn run(&self, mode: &str) {
        let args = ["run", "-d", "--name", "c", &format!("--sdnotify={mode}"), IMAGE, "sleep", "1000"];
        let mut command = self.podman.command(&args);
        command.env("NOTIFY_SOCKET", &self.path);
        conward_testkit::sandbox::succeed(&mut command, "podman run --sdnotify");
    }

    /// The socket that the container sees at `/run/notify`.
    fn container(&self) -> UnixDatagram {
        let pid = self.podman.inspect("c", ".State.Pid").parse().expect("a pid");
        let path = self.podman.sandbox.proc(pid).join("root/run/notify/notify.sock");
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.connect(&path).unwrap_or_else(|e| panic!("connecting to {}: {e}", path.display()));
        socket
    }

    /// Receives until each of these lines has come; gives the lines of all messages.
    fn expect(&self, wanted: &[&str]) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        while !wanted.iter().all(|line| lines.iter().any(|have| have == line)) {
            let mut buffer = [0; 4096];
            let count = self
                .socket
                .recv(&mut buffer)
                .unwrap_or_else(|e| panic!("waiting for {wanted:?}, after {lines:?}: {e}"));
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            lines.extend(text.lines().map(str::to_owned));
        }
        lines
    }
}

#[test]
fn the_supervisor_is_announced_as_the_main_process() {
    let manager = Manager::new();
    manager.run("conmon");
    let main = format!("MAINPID={}", manager.podman.supervisor_pid("c"));
    manager.expect(&[&main, "READY=1"]);
}

#[test]
fn a_container_announces_its_own_readiness() {
    let manager = Manager::new();
    manager.run("container");
    let main = format!("MAINPID={}", manager.podman.supervisor_pid("c"));
    let early = manager.expect(&[&main]);
    assert!(!early.contains(&"READY=1".to_owned()), "ready only when the container says so: {early:?}");
    manager.container().send(b"READY=1").expect("sending");
    manager.expect(&["READY=1"]);
}

/// Release 2.2 of the reference passes more than `READY=1`; Debian's 2.1.6 does not, and fails here.
#[test]
fn a_container_may_speak_of_its_state_but_not_of_processes() {
    let manager = Manager::new();
    manager.run("container");
    manager.expect(&[&format!("MAINPID={}", manager.podman.supervisor_pid("c"))]);
    let container = manager.container();
    container.send(b"MAINPID=1\nSTATUS=working").expect("sending");
    container.send(b"FDSTORE=1\nREADY=1").expect("sending");
    let lines = manager.expect(&["STATUS=working", "READY=1"]);
    let others: Vec<_> =
        lines.iter().filter(|line| *line != "STATUS=working" && *line != "READY=1").collect();
    assert!(others.is_empty(), "kept to itself: {others:?}");
}
