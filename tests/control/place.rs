//! Where the socket is, who may use it, and what it says first.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use conward_protocol::codec::{Message, message};
use conward_protocol::{ErrorCode, Op, Outcome, PROTOCOL, SOCKET_FILE, State, Step as Stopping};
use conward_testkit::{Host, Launch, Script, Step};

use crate::client::Client;
use crate::{created, directory, in_state, launch, place, socket};

#[test]
fn the_greeting_says_it_all() {
    let place = place();
    let mut container = created(&place);
    let first = container.client.greeting.clone();
    assert_eq!(first.protocol, PROTOCOL);
    assert_eq!(first.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(first.id, place.id());
    assert_eq!((first.state, first.step), (State::Created, None));
    assert_eq!(first.pid, container.pid);
    assert_eq!(first.supervisor, container.running.monitor().pid());
    assert_eq!(first.seq, 1, "the event `created`");
    for name in &first.ops {
        assert!(Op::from_name(name).is_some(), "{name}");
        assert_eq!(first.ops.iter().filter(|other| *other == name).count(), 1, "{name}");
    }
    for op in [Op::State, Op::Start, Op::Kill, Op::Pause, Op::Resume, Op::Resize, Op::Wait, Op::Subscribe] {
        assert!(first.ops.iter().any(|name| name == op.name()), "{op}");
    }

    container.client.ok("start");
    let second = Client::connect(&place).greeting;
    assert_eq!((second.state, second.seq), (State::Running, 2));
    assert_ne!(second.client, first.client);
    container.client.ok("kill KILL");
    container.client.ok("wait recorded");
    let third = Client::connect(&place).greeting;
    assert_eq!((third.state, third.pid), (State::Stopped, None));
    assert!(third.step >= Some(Stopping::Recorded), "{:?}", third.step);
    container.end();
}

#[test]
fn before_the_container_there_is_no_pid() {
    let place = place();
    let container = in_state(&place, State::Creating);
    let greeting = &container.client.greeting;
    assert_eq!((greeting.state, greeting.pid, greeting.seq), (State::Creating, None, 0));
    container.end();
}

#[test]
fn only_the_owner_gets_at_the_socket_and_nothing_stays() {
    let place = place();
    let container = created(&place);
    assert_eq!(place.mode(directory(&place)), "d700");
    assert_eq!(place.mode(socket(&place)), "s600");
    assert_eq!(container.end().0, 137);
    assert_eq!(place.mode(directory(&place)), "-");
    assert!(place.path("control").exists());
}

#[test]
fn nothing_stays_of_a_container_that_was_not_made() {
    let place = place();
    place.script(&Script::failing([Step::err("no\n"), Step::Exit(1)]));
    let mut running = launch(&place).start();
    running.go();
    running.message();
    assert_eq!(running.status(), 1);
    assert_eq!(place.mode(directory(&place)), "-");
}

#[test]
fn a_stale_socket_is_replaced() {
    let place = place();
    fs::create_dir_all(directory(&place)).expect("control directory");
    fs::set_permissions(directory(&place), fs::Permissions::from_mode(0o700)).expect("chmod");
    // The path may be too long for an address (unix(7)).
    let dir = fs::File::open(directory(&place)).expect("control directory");
    let path = format!("/proc/self/fd/{}/{SOCKET_FILE}", dir.as_raw_fd());
    drop(UnixListener::bind(path).expect("a socket"));
    assert!(socket(&place).exists());
    let mut container = created(&place);
    assert_eq!(container.client.state().state, State::Created);
    container.end();
    assert_eq!(place.mode(directory(&place)), "-");
}

#[test]
fn a_directory_that_cannot_be_had_is_only_told() {
    type Block = fn(&Path);
    let blocks: [(&str, Block); 3] = [
        ("a file in the way", |dir| fs::write(dir, "").expect("a file")),
        ("open to others", |dir| {
            fs::create_dir(dir).expect("a directory");
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("chmod");
        }),
        ("something else at the place of the socket", |dir| {
            fs::create_dir_all(dir.join("control.sock")).expect("a directory");
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).expect("chmod");
        }),
    ];
    for (what, block) in blocks {
        let place = place();
        fs::create_dir(place.path("control")).expect("base directory");
        block(&directory(&place));
        place.script(&Script::of([Step::AwaitStart, Step::Exit(7)]));
        let host = Host::new(&place);
        let args = ["--syslog", "--log-level", "warn"];
        let mut running = launch(&place).host(&host).args(args).start().created();
        place.start_container();
        assert_eq!(running.status(), 7, "{what}");
        let told: Vec<String> = std::iter::from_fn(|| host.syslog(Duration::ZERO)).collect();
        let dir = directory(&place).display().to_string();
        assert!(
            told.iter().any(|line| line.contains("control socket") && line.contains(&dir)),
            "{what}: {told:?}"
        );
        assert!(directory(&place).exists(), "{what}: it is not ours to remove");
    }
}

#[test]
fn an_empty_directory_asks_for_no_socket() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::create(&place).args(["--control-dir", ""]).start().created();
    let listening = conward_testkit::descriptors(running.monitor().pid());
    assert!(!place.path("run").exists() && !Path::new("/run/conward").join(place.id()).exists());
    // Signals, the attach socket and the sync pipe are sockets too; the control socket is one more.
    let sockets = |links: &[String]| links.iter().filter(|link| link.starts_with("socket:")).count();
    let without = sockets(&listening);
    place.start_container();
    assert_eq!(running.status(), 0);

    let place = self::place();
    let mut container = created(&place);
    let path = socket(&place);
    drop(std::mem::replace(&mut container.client, Client::connect(&place)));
    conward_testkit::wait_until("one client is left", || {
        sockets(&conward_testkit::descriptors(container.running.monitor().pid())) == without + 2
    });
    assert!(path.exists());
    container.end();
}

#[test]
fn exec_sessions_have_none() {
    let place = place();
    let script = Script::of([Step::Touch(place.path("runs")), Step::Await(place.path("gate"))]);
    let mut gate = place.gate("gate");
    let mut running = Launch::exec(&place, &script).arg("--control-dir").arg(place.path("control")).start();
    running.go();
    running.attach_ready();
    running.go();
    running.pid();
    place.await_file("runs");
    assert!(!place.path("control").exists());
    gate.open();
    assert_eq!(running.status(), 0);
}

/// Connects to the path it is given, and prints what it is told.
const STRANGER: &str = "
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
while True:
    told = s.recv(4096)
    if not told: break
    sys.stdout.write(told.decode())
";

#[test]
fn strangers_are_denied() {
    let place = place();
    let mut container = created(&place);
    // What the kernel would refuse already.
    for dir in [place.path("."), place.path("control"), directory(&place)] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    fs::set_permissions(socket(&place), fs::Permissions::from_mode(0o666)).expect("chmod");
    let mut stranger = Command::new("setpriv");
    if !nix::unistd::geteuid().is_root() {
        // Subordinate ids (subuid(5)) are other users to the supervisor.
        stranger = Command::new("unshare");
        stranger.args(["--user", "--map-root-user", "--map-auto", "setpriv"]);
    }
    stranger.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "/usr/bin/python3",
        "-c",
        STRANGER,
    ]);
    let output = stranger.arg(socket(&place)).output().expect("a process of another user");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = message(output.stdout.trim_ascii_end()).expect("one line");
    let Message::Reply(reply) = told else { panic!("{told:?}") };
    assert!(matches!(reply.outcome, Outcome::Error(failure) if failure.code == ErrorCode::Denied));
    assert_eq!(container.client.state().state, State::Created);
    container.end();
}
