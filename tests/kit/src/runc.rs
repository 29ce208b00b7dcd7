//! One container of real runc under the supervisor, driven as a manager that speaks the old words would.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::bundle::{self, Bundle};
use crate::sandbox::{Sandbox, finish, succeed};
use crate::seqpacket::Client;
use crate::wait_for;

/// How long anything may take here.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A container: its bundle, its own runc state directory, its namespaces.
pub struct Container {
    /// Where all of it lives.
    pub sandbox: Sandbox,
    /// `config.json`, `rootfs`, and the supervisor's endpoints.
    pub bundle: Bundle,
    /// The container's name, unique on this machine: it also names its cgroups.
    pub id: String,
}

impl Container {
    /// A container that will run `args`.
    pub fn new(args: &[&str]) -> Container {
        Container::with(bundle::process(args, false), None)
    }

    /// A container that will run `args` on a terminal.
    pub fn on_terminal(args: &[&str]) -> Container {
        Container::with(bundle::process(args, true), None)
    }

    /// A container with this process, and a limit of its memory in bytes.
    pub fn with(process: Value, memory: Option<u64>) -> Container {
        let sandbox = Sandbox::new();
        let id = sandbox.cgroup()[1..].to_owned();
        let dir = sandbox.dir().join("bundle");
        let bundle = Bundle::new(&dir, &sandbox.cgroup(), process, memory);
        for dir in ["exits", "persist", "runc"] {
            fs::create_dir(sandbox.dir().join(dir)).expect("making a directory");
        }
        Container { sandbox, bundle, id }
    }

    /// A path in the sandbox's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.dir().join(name)
    }

    /// runc with this container's state directory.
    pub fn runc(&self, args: &[&str]) -> Output {
        finish(&mut self.runc_command(args), &format!("runc {args:?}"))
    }

    /// Lets the created container run.
    pub fn start(&self) {
        succeed(&mut self.runc_command(&["start", &self.id]), "runc start");
    }

    /// What runc says of the container: `created`, `running`, `paused` or `stopped`.
    pub fn status(&self) -> String {
        let state = succeed(&mut self.runc_command(&["state", &self.id]), "runc state");
        let state: Value = serde_json::from_str(&state).expect("runc's state is JSON");
        state["status"].as_str().expect("a status").to_owned()
    }

    /// Spawns the supervisor to create the container; `options` come after the usual ones.
    pub fn create(&self, options: &[&str]) -> Supervisor {
        let log = format!("k8s-file:{}", self.path("ctr.log").display());
        let mut args = self.common("pidfile");
        args.extend(["-u".to_owned(), self.id.clone(), "--full-attach".into(), "-l".into(), log]);
        args.extend(["--exit-dir".into(), self.text("exits"), "--persist-dir".into(), self.text("persist")]);
        args.extend(options.iter().map(|option| (*option).to_owned()));
        self.supervise(&args)
    }

    /// Creates and starts; gives the supervisor and the container's pid (a number of the namespace).
    pub fn run(&self, options: &[&str]) -> (Supervisor, i32) {
        let mut supervisor = self.create(options);
        let pid = supervisor.pid();
        self.start();
        (supervisor, pid)
    }

    /// Spawns a supervisor for one more process in the running container. Its files are named by `name`.
    pub fn exec(&self, name: &str, process: &Value, options: &[&str]) -> Supervisor {
        let session = self.path(name);
        fs::create_dir(&session).expect("making the session's directory");
        fs::write(session.join("process.json"), process.to_string()).expect("writing the process");
        let mut args = self.common(&format!("{name}/pidfile"));
        // The last -b counts: a session's endpoints are in its own directory.
        args.extend(["-b", &self.text(name), "-u", name, "--full-attach", "-e"].map(str::to_owned));
        args.extend(["--exec-process-spec".into(), self.text(&format!("{name}/process.json"))]);
        args.extend(["-l".into(), format!("k8s-file:{}", self.text(&format!("{name}/log")))]);
        args.extend(options.iter().map(|option| (*option).to_owned()));
        self.supervise(&args)
    }

    /// A client of the container's attach socket.
    pub fn attach(&self) -> Client {
        Client::connect(&self.bundle.path("attach"))
    }

    /// Waits for the exit file that managers watch, and gives its text.
    pub fn exit_file(&self) -> String {
        let path = self.path("exits").join(&self.id);
        wait_for(&format!("exit file {}", path.display()), LIMIT, || fs::read_to_string(&path).ok())
    }

    /// The log's records of one stream, joined: a record that is not the end of its line (`P`) is
    /// followed by the next, one that is (`F`) by a newline.
    pub fn logged(&self, stream: &str) -> String {
        let log = fs::read_to_string(self.path("ctr.log")).expect("reading the log");
        let mut text = String::new();
        for record in log.lines() {
            let mut fields = record.splitn(4, ' ').skip(1);
            let (from, tag) = (fields.next().expect("a stream"), fields.next().expect("a tag"));
            if from == stream {
                text.push_str(fields.next().expect("a text"));
                text.push_str(if tag == "F" { "\n" } else { "" });
            }
        }
        text
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path of ASCII").to_owned()
    }

    fn runc_command(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.limited("runc");
        command.args(["--root", &self.text("runc")]).args(args);
        command
    }

    fn common(&self, pid_file: &str) -> Vec<String> {
        let runc = crate::sandbox::need("runc");
        let runc = runc.to_str().expect("a path of ASCII");
        let bundle = self.bundle.dir().to_str().expect("a path of ASCII");
        let mut args =
            ["--api-version", "-c", &self.id, "-r", runc, "-b", bundle].map(str::to_owned).to_vec();
        args.extend([
            "-p".into(),
            self.text(pid_file),
            "--conmon-pidfile".into(),
            self.text("supervisor.pid"),
        ]);
        args.extend(["--runtime-arg".into(), "--root".into(), "--runtime-arg".into(), self.text("runc")]);
        args
    }

    fn supervise(&self, args: &[String]) -> Supervisor {
        let (start, theirs) = UnixStream::pair().expect("a socket pair");
        let (sync, their_sync) = UnixStream::pair().expect("a socket pair");
        let program = self.sandbox.supervisor();
        let errors = self.path("supervisor.stderr");
        // The descriptors arrive as 0 and 1 and are moved to where the variables say: no other
        // child of this test can inherit them. Engines start supervisors in the bundle.
        let child = self
            .sandbox
            .command("sh")
            .args(["-c", "cd \"$0\" && exec \"$@\" 3>&1 4<&0 </dev/null >/dev/null"])
            .arg(self.bundle.dir())
            .arg(&program)
            .args(args)
            .env("_OCI_SYNCPIPE", "3")
            .env("_OCI_STARTPIPE", "4")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::from(std::os::fd::OwnedFd::from(their_sync)))
            .stderr(fs::File::create(&errors).expect("making a file for messages"))
            .spawn()
            .expect("spawning the supervisor");
        sync.set_read_timeout(Some(LIMIT)).expect("a time limit for reports");
        let mut supervisor = Supervisor { launcher: child, reports: BufReader::new(sync), go: start, errors };
        supervisor.go.write_all(b"\0").expect("writing the start byte");
        supervisor
    }
}

/// A running supervisor, as its caller sees it.
pub struct Supervisor {
    launcher: Child,
    reports: BufReader<UnixStream>,
    go: UnixStream,
    /// What it printed before it went to the background.
    errors: PathBuf,
}

impl Supervisor {
    /// The next message on the sync pipe: its number, and its text if there is one.
    pub fn report(&mut self) -> (i64, String) {
        let mut line = String::new();
        self.reports.read_line(&mut line).expect("a message on the sync pipe");
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        assert!(!line.is_empty(), "the sync pipe was closed without the expected message: {errors}");
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("report {line:?}: {e}"));
        let number = value["data"].as_i64().unwrap_or_else(|| panic!("no number in report {line:?}"));
        (number, value["message"].as_str().unwrap_or_default().to_owned())
    }

    /// The report of a pid, and the launcher's successful end.
    pub fn pid(&mut self) -> i32 {
        let (number, text) = self.report();
        assert!(number > 0, "no pid but {number}: {text}");
        let status = self.launcher.wait().expect("waiting for the launcher");
        assert!(status.success(), "launcher: {status}");
        i32::try_from(number).expect("a pid")
    }

    /// Waits until the supervisor closes the sync pipe; gives what it said until then.
    pub fn closed(mut self) -> String {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.reports, &mut rest).expect("end of the sync pipe");
        rest
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.launcher.wait();
    }
}
