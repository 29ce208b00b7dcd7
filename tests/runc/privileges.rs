//! What real runc and its containers get of the supervisor: all capabilities, and no descriptor.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use conward_testkit::bundle;
use conward_testkit::runc::{Container, LIMIT};
use conward_testkit::wait_for;
use serde_json::json;

use crate::control::Manager;

/// Lists the descriptors of a shell, one name a line. The shell itself has opened none but the directory.
const LIST: &str = "for fd in /proc/$$/fd/*; do [ -e $fd ] && echo fd ${fd##*/}; done; echo done";

/// The name of a directory in which no socket has a path that fits into an address.
pub const LONG: &str =
    "control-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The descriptors in a list made by [`LIST`], without the one that a shell keeps for itself.
fn listed(text: &str) -> Vec<u32> {
    let numbers = text.lines().filter_map(|line| line.trim().strip_prefix("fd ")?.parse().ok());
    numbers.filter(|&number| number != 10).collect()
}

#[test]
fn no_descriptor_reaches_the_container() {
    for terminal in [false, true] {
        let script = format!("{LIST}; sleep 1000");
        let args = ["sh", "-c", &script];
        let container = if terminal { Container::on_terminal(&args) } else { Container::new(&args) };
        let options: &[&str] = if terminal { &["-t"] } else { &["-i"] };
        let (_supervisor, _) = container.run(options);
        wait_for("the list", LIMIT, || container.logged("stdout").contains("done").then_some(()));
        assert_eq!(listed(&container.logged("stdout")), [0, 1, 2], "terminal: {terminal}");

        let process = bundle::process(&["sh", "-c", LIST], terminal);
        let mut session = container.exec("session", &process, if terminal { &["-t"] } else { &[] });
        session.pid();
        let log = container.path("session/log");
        let text = wait_for("the list of the exec", LIMIT, || {
            fs::read_to_string(&log).ok().filter(|text| text.contains("done"))
        });
        let text: String =
            text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or("").to_owned() + "\n").collect();
        assert_eq!(listed(&text), [0, 1, 2], "exec, terminal: {terminal}");
        assert!(container.runc(&["kill", &container.id, "KILL"]).status.success());
        assert_eq!(container.exit_file(), "137");
    }
}

/// What the runtime is handed for a session stays with it: the process, and the console socket, if its path is
/// too long for an address (unix(7)).
#[test]
fn no_descriptor_reaches_a_session() {
    for dir in ["control", LONG] {
        let container = Container::new(&["sleep", "1000"]);
        let control = container.path(dir);
        let (_supervisor, _) = container.run(&["--control-dir", &control.display().to_string()]);
        if dir == LONG {
            // The way of the test itself.
            symlink(&control, container.path("control")).expect("a link");
        }
        let mut manager = Manager::connect(&container);
        for (at, terminal) in [false, true].into_iter().enumerate() {
            let process = bundle::process(&["sh", "-c", &format!("{LIST}; ! tty; exit 7")], terminal);
            let request = json!({"op": "exec", "process": process, "log": true, "id": "s"});
            manager.done(&request.to_string());
            assert_eq!(manager.done("wait exec=s")["exit"], json!({"code": 7}));
            let logged = container.logged("stdout");
            let text = logged.split("done").nth(at).expect("its list");
            assert_eq!(listed(text), [0, 1, 2], "{dir}, terminal: {terminal}");
            assert_eq!(logged.ends_with("/dev/pts/0\n"), terminal, "{logged}");
        }
        manager.done("kill KILL");
        assert_eq!(container.exit_file(), "137");
    }
}

/// A runtime that writes down its own sets at each call, and then is runc.
fn watched(container: &Container) -> String {
    let (path, calls) = (container.path("runtime"), container.path("calls"));
    let script = format!(
        "#!/bin/sh\n{{ echo \"call $*\"; grep ^Cap /proc/self/status; ls /proc/self/fd | sed 's/^/fd /'; }} >>{}\nexec runc \"$@\"\n",
        calls.display()
    );
    fs::write(&path, script).expect("writing the runtime");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod of the runtime");
    path.display().to_string()
}

/// One of the sets in a text of lines like `/proc/PID/status`.
fn set<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim_start_matches(':').trim()
}

#[test]
fn runc_has_all_capabilities_and_the_container_its_own() {
    let mut process =
        bundle::process(&["sh", "-c", "grep Cap /proc/self/status; echo done; sleep 1000"], false);
    process["user"] = json!({"uid": 1000, "gid": 1000});
    let container = Container::with(process, None);
    let runtime = watched(&container);
    let control = container.path("control").display().to_string();
    let mut supervisor = container.create(&["-r", &runtime, "--control-dir", &control]);
    supervisor.pid();
    let mut manager = Manager::connect(&container);
    let state = manager.done("state");
    let pid = state["supervisor"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
    let own = fs::read_to_string(container.sandbox.proc(pid).join("status")).expect("its status");
    assert_eq!(set(&own, "CapPrm"), set(&own, "CapEff"));
    assert_ne!(set(&own, "CapPrm"), set(&own, "CapBnd"));
    manager.done("start");
    manager.done("pause");
    manager.done("resume");
    wait_for("the container's word", LIMIT, || container.logged("stdout").contains("done").then_some(()));
    let inner = container.logged("stdout");
    assert_eq!(set(&inner, "CapBnd"), format!("{:016x}", 1 << 5 | 1 << 10), "{inner}");
    // It is another user's process.
    manager.done("kill KILL");
    assert_eq!(container.exit_file(), "137");

    let calls = fs::read_to_string(container.path("calls")).expect("what the runtime was");
    let calls: Vec<&str> = calls.split("call ").skip(1).collect();
    assert!(calls.len() >= 4, "create, start, pause, resume: {calls:?}");
    for call in calls {
        let full = set(&own, "CapBnd");
        assert_eq!(
            (set(call, "CapPrm"), set(call, "CapEff"), set(call, "CapBnd")),
            (full, full, full),
            "{call}"
        );
        // `create` gets what the caller left open. 3 is the directory that is listed, 10 the shell's own.
        let surplus = call.lines().filter_map(|line| line.strip_prefix("fd ")?.parse::<u32>().ok());
        let surplus: Vec<u32> = surplus.filter(|number| *number > 3 && *number != 10).collect();
        assert!(call.contains(" create ") || surplus.is_empty(), "{call}");
    }
}
