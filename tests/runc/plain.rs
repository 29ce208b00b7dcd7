//! A plain user's container: supervisor and runc without any privilege, the container in a user namespace.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use conward_testkit::bundle;
use conward_testkit::runc::{Container, LIMIT};
use conward_testkit::wait_for;
use serde_json::{Value, json};

use crate::control::Manager;
use crate::privileges::LONG;

/// Nobody that the machine knows.
const USER: u32 = 64321;

/// Makes the container the user's, and the user's supervisor create it.
fn create(container: &Container) {
    let config = container.bundle.path("config.json");
    let mut text: Value = serde_json::from_slice(&fs::read(&config).expect("the config")).expect("JSON");
    let linux = text["linux"].as_object_mut().expect("an object");
    // Who may write to no cgroup has to do without.
    linux.remove("cgroupsPath");
    linux.remove("resources");
    linux["namespaces"].as_array_mut().expect("an array").push(json!({"type": "user"}));
    for mappings in ["uidMappings", "gidMappings"] {
        linux.insert(mappings.to_owned(), json!([{"containerID": 0, "hostID": USER, "size": 1}]));
    }
    fs::write(&config, text.to_string()).expect("writing the config");
    let (dir, id) = (container.sandbox.dir().display(), &container.id);
    let words = format!(
        "-c {id} -n {id} -u {id} --full-attach -r $(command -v runc) --runtime-arg --root --runtime-arg {dir}/runc -b {dir}/bundle \
         -p {dir}/exits/pidfile -l k8s-file:{dir}/exits/log --exit-dir {dir}/exits --control-dir {dir}/{LONG}"
    );
    let supervisor = container.sandbox.supervisor();
    container.sandbox.script(&format!(
        "mkdir -m 700 {dir}/{LONG}
         for it in runc bundle exits {LONG}; do chown -R {USER}:{USER} {dir}/$it; done
         cd {dir}/bundle
         setpriv --reuid {USER} --regid {USER} --clear-groups {} {words}",
        supervisor.display()
    ));
    symlink(container.path(LONG), container.path("control")).expect("a link");
}

/// Neither the user's own processes may look into the supervisor, nor need runc.
#[test]
fn it_is_hidden_and_runc_gets_what_it_needs() {
    let container = Container::new(&["sleep", "1000"]);
    create(&container);
    let socket = container.path("control").join(&container.id).join("control.sock");
    wait_for("the control socket", LIMIT, || socket.exists().then_some(()));
    let mut manager = Manager::connect(&container);
    let state = wait_for("the container", LIMIT, || {
        let state = manager.done("state");
        (state["state"] == "created").then_some(state)
    });
    let pid = state["supervisor"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
    let memory = fs::metadata(container.sandbox.proc(pid).join("mem")).expect("its memory");
    let own = fs::metadata(container.sandbox.proc(pid)).expect("its directory");
    let status = fs::read_to_string(container.sandbox.proc(pid).join("status")).expect("its status");
    assert!(status.contains(&format!("\nUid:\t{USER}\t")), "{status}");
    assert_eq!((own.uid(), memory.uid()), (USER, 0), "of the user's process a part is root's");
    manager.done("start");
    for (terminal, wanted) in [(false, "not a tty\n"), (true, "/dev/pts/0\r\n")] {
        let process = bundle::process(&["sh", "-c", "tty; exit 7"], terminal);
        let request = json!({"op": "exec", "process": process, "log": true, "id": "s"});
        manager.done(&request.to_string());
        assert_eq!(manager.done("wait exec=s")["exit"], json!({"code": 7}));
        let log = fs::read_to_string(container.path("exits/log")).expect("the log");
        assert!(log.ends_with(wanted), "{log}");
    }
    manager.done("kill KILL");
    assert_eq!(container.exit_file(), "137");
}
