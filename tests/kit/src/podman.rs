//! Real Podman on the supervisor under test, as root or as an ordinary user.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::bundle::rootfs;
use crate::sandbox::{Sandbox, feed, finish, need, succeed};
use crate::wait_for;

/// How long anything may take here.
pub const LIMIT: Duration = Duration::from_secs(40);

/// The name of the image that every [`Podman`] has: busybox.
pub const IMAGE: &str = "bb";

/// The ordinary user of rootless tests. It exists in the sandbox's `/etc/passwd` only.
const USER: u32 = 64321;

/// First of the 65536 subordinate ids that the user has in the sandbox.
const SUBORDINATE: u32 = 700_000;

/// A Podman with storage, locks, `/run` and processes of its own.
pub struct Podman {
    /// Where it runs.
    pub sandbox: Sandbox,
    rootless: bool,
}

impl Podman {
    /// root's Podman, with the image imported.
    pub fn root() -> Podman {
        Podman::new(false)
    }

    /// An ordinary user's Podman, with the image imported.
    pub fn rootless() -> Podman {
        Podman::new(true)
    }

    fn new(rootless: bool) -> Podman {
        need("podman");
        need("runc");
        let podman = Podman { sandbox: Sandbox::new(), rootless };
        let dir = podman.sandbox.dir();
        let supervisor = podman.sandbox.supervisor();
        for name in ["home", "root", "runroot", "tmp"] {
            fs::create_dir(dir.join(name)).expect("making a directory");
            chown(dir.join(name), Some(podman.user()), Some(podman.user())).expect("chown of a directory");
        }
        fs::write(dir.join("containers.conf"), podman.configuration("file"))
            .expect("writing containers.conf");
        rootfs(&dir.join("rootfs"));
        // Where Podman does not like a supervisor it takes the next one on the machine and says
        // nothing: there is none in here. The library's own links (`/usr/libexec`) do not exist on Debian.
        podman.sandbox.script("[ ! -e /usr/bin/conmon ] || mount --bind /dev/null /usr/bin/conmon");
        if rootless {
            podman.add_user();
        }
        let image = dir.join("image.tar");
        let image = image.to_str().expect("a path of ASCII");
        succeed(
            Command::new("tar").arg("-C").arg(dir.join("rootfs")).args(["-cf", image, "."]),
            "packing the image",
        );
        podman.ok(&["import", "--change", "CMD=/bin/sh", image, IMAGE]);
        let chosen = podman.ok(&["info", "--format", "{{.Host.Conmon.Path}}"]);
        assert_eq!(Path::new(chosen.trim()), supervisor, "the supervisor that Podman would use");
        podman
    }

    fn configuration(&self, events: &str) -> String {
        // The limits: Podman 4.3.1 raises them otherwise, which needs CAP_SYS_RESOURCE, and swaps
        // soft and hard ones on some paths. conmon_path: `--conmon` is not handed on to the cleanup
        // command, which restarts containers.
        format!(
            "[containers]\n\
             default_ulimits = [\"nofile=4096:4096\", \"nproc=4096:4096\"]\n\
             netns = \"none\"\n\
             [engine]\n\
             runtime = \"runc\"\n\
             cgroup_manager = \"cgroupfs\"\n\
             events_logger = \"{events}\"\n\
             conmon_path = [\"{}\"]\n",
            self.sandbox.supervisor().display()
        )
    }

    /// Makes the user known in the sandbox, by files laid over those of the machine.
    fn add_user(&self) {
        let dir = self.sandbox.dir().display();
        self.sandbox.script(&format!(
            "cd {dir}
             {{ cat /etc/passwd; echo 'conward-test:x:{USER}:{USER}::{dir}/home:/bin/sh'; }} >passwd
             {{ cat /etc/group; echo 'conward-test:x:{USER}:'; }} >group
             echo 'conward-test:{SUBORDINATE}:65536' >subids
             mount --bind passwd /etc/passwd
             mount --bind group /etc/group
             for file in /etc/subuid /etc/subgid; do touch $file; mount --bind subids $file; done
             mkdir -m 700 /run/user/{USER}
             chown {USER}:{USER} /run/user/{USER}"
        ));
        need("newuidmap");
    }

    fn user(&self) -> u32 {
        if self.rootless { USER } else { 0 }
    }

    /// `podman` with `args`, without a limit of time; not yet spawned.
    pub fn command(&self, args: &[&str]) -> Command {
        self.complete(self.sandbox.command("setpriv"), args)
    }

    /// Runs `podman` with `args`, at most a minute.
    pub fn output(&self, args: &[&str]) -> Output {
        finish(&mut self.limited(args), &format!("podman {args:?}"))
    }

    /// Runs `podman` with `args` and `input`, at most a minute.
    pub fn feed(&self, args: &[&str], input: &[u8]) -> Output {
        feed(&mut self.limited(args), input, &format!("podman {args:?}"))
    }

    /// Runs `podman` with `args`, which must succeed; gives its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        succeed(&mut self.limited(args), &format!("podman {args:?}"))
    }

    /// Runs `podman` with `args` and gives its exit status.
    pub fn code(&self, args: &[&str]) -> i32 {
        self.output(args).status.code().unwrap_or_else(|| panic!("podman {args:?} was killed"))
    }

    /// One field of `podman inspect`, as a Go template names it.
    pub fn inspect(&self, container: &str, field: &str) -> String {
        let format = format!("{{{{{field}}}}}");
        self.ok(&["container", "inspect", "--format", &format, container]).trim().to_owned()
    }

    /// Waits until that field has this value.
    pub fn wait_inspect(&self, container: &str, field: &str, value: &str) {
        let mut last = String::new();
        wait_for(&format!("{field} of {container} to be {value}"), LIMIT, || {
            last = self.inspect(container, field);
            (last == value).then_some(())
        });
    }

    /// The pid of a running container's supervisor (a number of the sandbox).
    pub fn supervisor_pid(&self, container: &str) -> i32 {
        let file = self.inspect(container, ".ConmonPidFile");
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("reading {file}: {e}"));
        text.parse().unwrap_or_else(|e| panic!("pid {text:?} in {file}: {e}"))
    }

    /// Fails unless a running container's supervisor is the program under test.
    pub fn assert_supervised(&self, container: &str) {
        let exe = self.sandbox.proc(self.supervisor_pid(container)).join("exe");
        let exe = fs::read_link(&exe).unwrap_or_else(|e| panic!("reading {}: {e}", exe.display()));
        assert_eq!(exe, self.sandbox.supervisor(), "the supervisor of {container}");
    }

    /// Starts a journal of the sandbox's own, which `podman logs` and `journalctl` in there read;
    /// Podman's events go there too, without which it does not follow a container's journal.
    pub fn start_journal(&self) {
        need("systemd-journald");
        // RateLimit: a test's thousand lines in a second are meant. Audit and ReadKMsg: the
        // kernel's messages belong to the machine.
        self.sandbox.script(
            "printf '[Journal]\\nStorage=volatile\\nRateLimitIntervalSec=0\\nAudit=no\\nReadKMsg=no\\n' >/run/journald.conf
             mount --bind /run/journald.conf /etc/systemd/journald.conf
             setsid -f /lib/systemd/systemd-journald </dev/null >/run/journald.out 2>&1",
        );
        let socket = self.sandbox.path("/run/systemd/journal/socket");
        wait_for("the journal's socket", LIMIT, || socket.exists().then_some(()));
        fs::write(self.path("containers.conf"), self.configuration("journald"))
            .expect("writing containers.conf");
    }

    /// A path of the sandbox's directory as text.
    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.dir().join(name)
    }

    fn limited(&self, args: &[&str]) -> Command {
        self.complete(self.sandbox.limited("setpriv"), args)
    }

    fn complete(&self, mut command: Command, args: &[&str]) -> Command {
        let user = self.user().to_string();
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--", "env"]);
        // A supervisor inherits the directory: nothing that it leaves there may stay on the machine.
        command.arg(format!("--chdir={}", self.path("home").display()));
        if self.rootless {
            command.arg(format!("XDG_RUNTIME_DIR=/run/user/{USER}"));
        }
        command.arg(format!("HOME={}", self.path("home").display()));
        command.arg(format!("CONTAINERS_CONF={}", self.path("containers.conf").display()));
        // No network is wanted, but Podman looks for its tools; a user's PATH need not have them.
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(["podman", "--storage-driver", "vfs"]);
        for (option, name) in [("--root", "root"), ("--runroot", "runroot"), ("--tmpdir", "tmp")] {
            command.arg(option).arg(self.path(name));
        }
        command.arg("--conmon").arg(self.sandbox.supervisor());
        match args {
            // What stands below it is found and removed with the sandbox.
            [verb @ ("run" | "create"), rest @ ..] if !self.rootless => {
                command.args([verb, "--cgroup-parent", &self.sandbox.cgroup()]).args(rest)
            }
            _ => command.args(args),
        };
        command
    }
}
