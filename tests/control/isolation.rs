//! What of a supervisor reaches others who should not have it: descriptors, sockets, the environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use conward_protocol::{Exit, Request};
use conward_testkit::{Host, Place, Record, Script, Step, conward, descriptors, wait_until};

use crate::client::Client;
use crate::exec::{exec, named, on_terminal};
use crate::{container, directory, launch, place, socket};

/// The longest path of a socket (unix(7)).
const SUN_PATH_MAX: usize = 107;

/// The descriptors from 3 up that a program was started with.
fn surplus(place: &Place, record: &str) -> Vec<String> {
    let record = Record::read(&place.path(record)).expect("a record");
    record.fds.into_iter().filter(|(number, _)| *number > 2).map(|(_, name)| name).collect()
}

/// Socket activation and `--preserve-fds` hand descriptors to the container, which `create` makes. Programs
/// that are started later have no business with them, nor with anything of the supervisor's.
#[test]
fn what_the_caller_left_open_is_for_create_alone() {
    for args in [&[][..], &["-t"], &["-i"]] {
        let place = place();
        let records = |name: &str| [Step::Record(place.path(name))];
        let steps = [Step::Record(place.path("container")), Step::AwaitStart, Step::Pause];
        let script = Script { record: Some(place.path("create")), ..Script::of(steps) };
        place.script(&script.at("start", records("start")).at("kill", records("kill")));
        let (_ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("pipe");
        let mut running = launch(&place).args(args).inherit(theirs).exit_command("exit").start().created();
        let mut client = Client::connect(&place);
        // The container may come a moment after the message of it.
        place.await_file("container");
        client.ok("start");
        client.ok("kill CONT all");
        client.ok("kill KILL");
        assert_eq!(running.status(), 137);
        assert_eq!(surplus(&place, "create").len(), 1, "{args:?}");
        for record in ["start", "kill", "exit"] {
            assert_eq!(surplus(&place, record), [""; 0], "{record} {args:?}");
        }
        // The fake runtime's own fifo, by which it is started.
        assert!(surplus(&place, "container").iter().all(|name| name.ends_with("start.fifo")), "{args:?}");
    }
}

/// A session's runtime is handed its process, and its console socket where that has a long path. Others that are
/// at work at the same time have nothing of it.
#[test]
fn a_runtime_is_handed_what_is_for_its_session_alone() {
    let place = place();
    let gates = [place.gate("pipes.gate"), place.gate("terminal.gate")];
    let asks = |name: &str| {
        let before = vec![
            Step::Touch(place.path(format!("{name}.asked"))),
            Step::Await(place.path(format!("{name}.gate"))),
        ];
        Script { record: Some(place.path(name)), before, ..Script::of([Step::Exit(5)]) }
    };
    let script = Script::default().at("pause", [Step::Record(place.path("pause"))]);
    let mut container = container(&place, script, &[]);
    container.client.ok("start");
    for (name, exec) in [("pipes", exec(asks("pipes"))), ("terminal", on_terminal(asks("terminal")))] {
        container.client.request(name, Request::Exec(named(name, exec)));
        place.await_file(format!("{name}.asked"));
    }
    container.client.ok("pause");
    for mut gate in gates {
        gate.open();
        container.client.reply();
    }
    for name in ["pipes", "terminal"] {
        assert_eq!(container.client.wait_exec(name), Exit::Code(5));
    }
    let process = "/memfd:process (deleted)";
    assert_eq!(surplus(&place, "pipes"), [process]);
    let [first, socket] = &surplus(&place, "terminal")[..] else { panic!("a process and a socket") };
    assert!(socket.len() > SUN_PATH_MAX && socket.contains("/conmon-term."), "{socket}");
    assert_eq!(first, process);
    assert_eq!(surplus(&place, "pause"), [""; 0]);
    container.end();
}

/// Connects to the attach socket at the path it is given, and prints how that ends.
const STRANGER: &str = "
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(20)
s.connect(sys.argv[1])
try:
    s.send(b'typed\\n')
    print('told', s.recv(4096))
except (BrokenPipeError, ConnectionResetError):
    print('told', b'')
";

#[test]
fn strangers_cannot_attach() {
    let place = place();
    let mut container = container(&place, Script::default(), &["-i"]);
    container.client.ok("start");
    // What the kernel would refuse already.
    for dir in [&place.path("."), place.bundle()] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    let path = place.bundle().join("attach");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("chmod");
    let mut peer = Command::new("setpriv");
    if !nix::unistd::geteuid().is_root() {
        // Subordinate ids (subuid(5)) are other users to the supervisor.
        peer = Command::new("unshare");
        peer.args(["--user", "--map-root-user", "--map-auto", "setpriv"]);
    }
    peer.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c", STRANGER]);
    let output = peer.arg(&path).output().expect("a peer");
    let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert_eq!(told, "told b''", "{}", String::from_utf8_lossy(&output.stderr));
    container.end();
}

/// A socket with an abstract name could be reached from any process of the network namespace, a
/// container's too.
#[test]
fn no_socket_is_abstract() {
    for args in [&[][..], &["-t"]] {
        let place = place();
        let mut container = container(&place, Script::default(), args);
        let pid = container.running.monitor().pid();
        let own: Vec<String> = descriptors(pid)
            .iter()
            .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect();
        let table = fs::read_to_string(format!("/proc/{pid}/net/unix")).expect("the sockets of the host");
        let names: Vec<&str> = table
            .lines()
            .filter(|line| line.split_whitespace().nth(6).is_some_and(|inode| own.iter().any(|o| o == inode)))
            .filter_map(|line| line.split_whitespace().nth(7))
            .collect();
        assert!(names.len() >= 2, "the attach and the control socket have names: {names:?}");
        assert!(names.iter().all(|name| name.starts_with('/')), "{names:?}");
        container.end();
    }
}

#[test]
fn what_is_made_is_closed_to_others() {
    let place = place();
    // The one who left his umask at 0 made files that all could write to (conmon b1d7297).
    let mut running = {
        place.script(&Script::of([Step::AwaitStart, Step::out("x\n"), Step::Pause]));
        launch(&place).through(["sh", "-c", "umask 0; exec \"$@\"", "sh"]).start().created()
    };
    assert_eq!(place.mode(directory(&place)), "d700");
    assert_eq!(place.mode(socket(&place)), "s600");
    assert_eq!(place.mode("bundle/attach"), "s700");
    assert_eq!(place.mode("bundle/ctl"), "p640");
    assert_eq!(place.mode(place.log()), "f640");
    assert_eq!(place.mode("conmon.pid"), "f644");
    let mut client = Client::connect(&place);
    client.ok("kill KILL");
    assert_eq!(running.status(), 137);
    assert_eq!(place.mode(Path::new("exits").join(place.id())), "f644");
    assert_eq!(place.mode("persist/exit"), "f644");
}

const SECRET: &str = "hunter2-7c1d9a";

/// All that a supervisor says of itself, at its most talkative, in a life with some of everything.
#[test]
fn the_environment_is_never_told() {
    let place = place();
    let fails = [Step::err("no\n"), Step::Exit(3)];
    let script = Script::of([Step::AwaitStart, Step::out("x\n"), Step::Pause]).at("pause", fails);
    place.script(&script);
    let host = Host::new(&place);
    let mut running = launch(&place)
        .host(&host)
        .args(["--syslog", "--log-level", "trace"])
        .env("PASSWORD", SECRET)
        .exit_command("exit")
        .start()
        .created();
    let mut client = Client::connect(&place);
    client.ok("debug level=trace");
    client.ok("start");
    client.refused("pause");
    client.refused("nonsense");
    client.ok("stats");
    let state = client.ok("state").to_string();
    let told = client.ok("debug").to_string();
    client.ok("kill KILL");
    assert_eq!(running.status(), 137);
    let syslog: Vec<String> = std::iter::from_fn(|| host.syslog(Duration::ZERO)).collect();
    assert!(syslog.len() > 5, "{syslog:?}");
    assert!(told.contains("event: "), "{told}");
    let launched = running.launched();
    let log = fs::read_to_string(place.log()).expect("the log");
    for text in [&state, &told, &syslog.join("\n"), &launched.stderr, &launched.stdout, &log] {
        assert!(!text.contains(SECRET), "{text}");
    }
    // It was there to be told: the programs that are started have it.
    wait_until("the exit command has run", || place.path("exit").exists());
    let record = Record::read(&place.path("exit")).expect("record of the exit command");
    assert_eq!(record.env["PASSWORD"], SECRET);
}

/// By number only a child that has not been reaped can be meant for sure. All others are meant by handle, and
/// after the end nobody.
#[test]
fn signals_go_by_handle_and_never_after_the_end() {
    let place = place();
    let trace = place.path("trace");
    let mut gate = place.gate("gate");
    let steps = [Step::Block(vec![15]), Step::AwaitStart, Step::Touch(place.path("runs")), Step::Pause];
    place.script(&Script::of(steps));
    let calls = "kill,tkill,tgkill,rt_sigqueueinfo,pidfd_send_signal";
    let launch = launch(&place).gated_exit_command("exit", &gate).traced(calls, trace.clone());
    let mut running = launch.start().created();
    let mut client = Client::connect(&place);
    client.ok("start");
    place.await_file("runs");
    client.ok("kill USR2");
    wait_until("the container has ended", || client.state().exit.is_some());
    wait_until("the exit command runs", || place.path("exit").exists());
    let status = client.refused("kill TERM");
    assert_eq!(status.code, conward_protocol::ErrorCode::NotRunning);
    let supervisor = client.greeting.supervisor;
    let term = nix::sys::signal::Signal::SIGTERM;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor), term).expect("the supervisor is there");
    // It has been taken: nothing is done before the next request.
    client.ok("state");
    gate.open();
    running.status();
    let trace = fs::read_to_string(&trace).expect("trace");
    let own = |line: &&str| line.split(' ').next() == Some(&supervisor.to_string()) && line.contains('(');
    let sent: Vec<&str> = trace.lines().filter(own).collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].contains("pidfd_send_signal(") && sent[0].contains("SIGUSR2"), "{sent:?}");
}

/// The range of PT_GNU_RELRO (elf(5)), relative to where the program is mapped.
fn relocated(program: &[u8]) -> (u64, u64) {
    let number = |at: usize, bytes: usize| {
        program[at..at + bytes].iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let (table, count) = (number(32, 8) as usize, number(56, 2) as usize);
    let header =
        |wanted: &dyn Fn(usize) -> bool| (0..count).map(|nth| table + nth * 56).find(|at| wanted(*at));
    let relro = header(&|at| number(at, 4) == 0x6474_e552).expect("a PT_GNU_RELRO");
    let first =
        header(&|at| number(at, 4) == 1 && number(at + 8, 8) == 0).expect("a PT_LOAD with the header");
    let start = number(relro + 16, 8) - number(first + 16, 8);
    (start, start + number(relro + 40, 8))
}

/// With a pointer to a function in them, an error that writes to the wrong place would be one that jumps there.
#[test]
fn what_only_relocation_wrote_is_read_only() {
    let place = place();
    place.script(&Script::of([Step::Pause]));
    let mut running = launch(&place).start().created();
    let program = fs::read(conward()).expect("the program");
    let maps = format!("/proc/{}/maps", running.monitor().pid());
    let maps = fs::read_to_string(maps).expect("its mappings");
    let name = conward().canonicalize().expect("its path");
    let mapped: Vec<(u64, u64, &str)> = maps
        .lines()
        .filter(|line| line.ends_with(name.to_str().expect("UTF-8")))
        .map(|line| {
            let (range, rest) = line.split_once(' ').expect("a range");
            let (start, end) = range.split_once('-').expect("two addresses");
            let address = |text| u64::from_str_radix(text, 16).expect("an address");
            (address(start), address(end), &rest[..4])
        })
        .collect();
    let base = mapped.iter().map(|range| range.0).min().expect("the program's own");
    let (start, end) = relocated(&program);
    let page = 4096;
    let (start, end) = (base + start / page * page, base + end / page * page);
    let within: Vec<_> = mapped.iter().filter(|range| range.0 < end && range.1 > start).collect();
    assert!(!within.is_empty(), "{start:x}-{end:x} of {maps}");
    assert!(within.iter().all(|range| range.2 == "r--p"), "{start:x}-{end:x} of {maps}");
    let mut client = Client::connect(&place);
    client.ok("start");
    client.ok("kill KILL");
    assert_eq!(running.status(), 137);
}
