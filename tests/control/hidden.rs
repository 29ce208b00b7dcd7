//! Who can look into a supervisor: root, and nobody else. These tests need root, to be others.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use conward_protocol::{Exit, State};
use conward_testkit::{Place, Running, Script, Step, conward, fake_runtime, wait_until};
use tempfile::TempDir;

use crate::client::Client;
use crate::exec::{exec, on_terminal};
use crate::privileges::{NOBODY, as_nobody};
use crate::{launch, place};

/// What is not for everybody in `/proc/PID`: reading `mem` is what a debugger may do, the others show less.
const PRIVATE: [&str; 5] = ["mem", "environ", "maps", "auxv", "fd/0"];

fn need_root() {
    assert!(nix::unistd::geteuid().is_root(), "these tests need root");
}

/// A process with these capabilities, and no more.
fn confined(names: &[String]) -> Vec<String> {
    let mut bounds = "-all".to_owned();
    for name in names {
        bounds += &format!(",+{}", name.trim_start_matches("CAP_").to_lowercase());
    }
    ["setpriv", "--bounding-set", &bounds].map(str::to_owned).to_vec()
}

/// What a process that is made by the words `who` may open of another one; and what the kernel says where it
/// may not.
fn look(who: &[String], pid: u32, file: &str) -> Result<(), String> {
    let path = format!("/proc/{pid}/{file}");
    let looks = Command::new(&who[0]).args(&who[1..]).args(["sh", "-c", ": <\"$0\"", &path]).output();
    let looks = looks.expect("a look");
    if looks.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&looks.stderr).into_owned()) }
}

/// A process of the same kind that is no supervisor.
fn another(who: &[String]) -> Child {
    let other = Command::new(&who[0]).args(&who[1..]).args(["sleep", "60"]).spawn().expect("a process");
    let name = || fs::read_to_string(format!("/proc/{}/comm", other.id())).unwrap_or_default();
    wait_until("it has become what it is to be", || name() == "sleep\n");
    other
}

/// Nobody of this kind can look into the supervisor, though he can into others of his kind.
fn assert_hidden(running: &mut Running<'_>, who: &[String]) {
    let mut other = another(who);
    let supervisor = running.monitor().pid().cast_unsigned();
    for file in PRIVATE {
        assert_eq!(look(who, other.id(), file), Ok(()), "{file} of a process that is no supervisor");
        let refused = look(who, supervisor, file).expect_err(file);
        assert!(refused.contains("Permission denied"), "{file}: {refused}");
    }
    other.kill().and_then(|()| other.wait()).expect("its end");
    assert_eq!(fs::metadata(format!("/proc/{supervisor}/mem")).expect("its memory").uid(), 0);
}

/// Who has as many capabilities as the supervisor, and its user id, could trace it (ptrace(2)): a
/// container with `--pid=host`, say. What it may not do with the supervisor it may with others.
#[test]
fn who_can_do_as_much_cannot_look_into_it() {
    need_root();
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::Pause]));
    let mut running = launch(&place).start().created();
    let mut client = Client::connect(&place);
    let held = client.state().capabilities;
    assert_hidden(&mut running, &confined(&held));
    assert_eq!(client.state().state, State::Created);
    client.ok("kill KILL");
    assert_eq!(running.status(), 137);
}

/// While the container is being made the same holds.
#[test]
fn it_cannot_be_looked_into_from_the_beginning() {
    need_root();
    let user = User::new();
    let mut gate = user.place.gate("gate");
    let before = vec![Step::Touch(user.place.path("asked")), Step::Await(gate.path().to_owned())];
    user.place.script(&Script { before, ..Script::of([Step::AwaitStart, Step::Exit(7)]) });
    user.owns(&["gate"]);
    let mut running = user.start(&[]);
    running.go();
    user.place.await_file("asked");
    assert_hidden(&mut running, &as_nobody(&[]));
    gate.open();
    running.pid();
    user.place.start_container();
    assert_eq!(running.status(), 7);
}

/// Another user, the programs that he can run, and a place of his own.
struct User {
    place: Place,
    runtime: PathBuf,
    _tools: TempDir,
}

impl User {
    fn new() -> User {
        // The user must be able to run the programs, wherever they were built.
        let tools = tempfile::tempdir().expect("a directory");
        fs::set_permissions(tools.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        let copy = |program: &Path| {
            let path = tools.path().join(program.file_name().expect("a program"));
            fs::copy(program, &path).expect("a copy");
            path
        };
        let place = Place::new(copy(&conward()));
        let runtime = copy(&fake_runtime());
        let user = User { place, runtime, _tools: tools };
        user.owns(&[".", "bundle", "exits", "persist", "sockets"]);
        user
    }

    fn owns(&self, paths: &[&str]) {
        for path in paths {
            chown(self.place.path(path), Some(NOBODY), Some(NOBODY)).expect("chown");
        }
    }

    fn start(&self, args: &[&str]) -> Running<'_> {
        launch(&self.place).through(as_nobody(&[])).arg("-r").arg(&self.runtime).args(args).start()
    }
}

/// A user without any privilege has nothing to drop, and is looked after all the same: also where the runtime,
/// which has no privileges either, is handed something.
#[test]
fn a_plain_users_supervisor_cannot_be_looked_into() {
    need_root();
    for args in [&[][..], &["-t"]] {
        let user = User::new();
        let place = &user.place;
        place.script(&Script::of([Step::AwaitStart, Step::out("x\n"), Step::Pause]));
        let mut running = user.start(args).created();
        let pid = running.monitor().pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
        assert!(status.contains("\nUid:\t65534\t") && status.contains("\nCapPrm:\t0000000000000000\n"));
        assert_hidden(&mut running, &as_nobody(&[]));
        let mut client = Client::connect(place);
        assert_eq!(client.state().capabilities, [""; 0]);
        client.ok("start");
        wait_until("it is logged", || place.log_records().len() == 1);
        for (asked, status) in [(exec as fn(Script) -> _, 3), (on_terminal, 4)] {
            let (name, _) = client.start_exec(asked(Script::of([Step::Exit(status)])));
            assert_eq!(client.wait_exec(&name), Exit::Code(status));
        }
        client.ok("stop timeout_ms=20000");
        assert_eq!(running.status(), 143, "{args:?}");
    }
}

/// The score that spares a process when memory runs out is a file of an undumpable one that only root may
/// write to. So one that could be spared without a privilege is not: its children would not lose it again.
#[test]
fn what_a_plain_user_may_lower_is_left_alone() {
    need_root();
    let user = User::new();
    let place = &user.place;
    let script = Script { record: Some(place.path("create")), ..Script::of([Step::AwaitStart, Step::Pause]) };
    place.script(&script.at("start", [Step::Record(place.path("start"))]));
    // Whom somebody with the privilege has spared once may be spared again without it, though his score is raised
    // (oom_score_adj_min of the kernel). Root that has no such privilege can spare nobody, and all is well.
    let score = |value: &str| {
        let script = format!("echo {value} >/proc/self/oom_score_adj || :; exec \"$@\"");
        ["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]
    };
    let words = [&score("-1000")[..], &as_nobody(&[]), &score("100")].concat();
    let launch = launch(place).through(words).arg("-r").arg(&user.runtime);
    let mut running = launch.exit_command("exit").start().created();
    let mut client = Client::connect(place);
    client.ok("start");
    client.ok("kill KILL");
    assert_eq!(running.status(), 137);
    for record in ["create", "start", "exit"] {
        let record = conward_testkit::Record::read(&place.path(record)).expect("a record");
        assert_eq!(record.oom_score_adj, 100, "{:?}", record.argv);
    }
}
