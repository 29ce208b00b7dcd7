//! A root filesystem of busybox, and an OCI bundle on it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::sandbox::{need, succeed};

/// Makes a root filesystem below `dir`: one static busybox, and a link for each of its programs.
pub fn rootfs(dir: &Path) {
    for name in ["bin", "dev", "etc", "proc", "run", "sys", "tmp"] {
        let path = dir.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|e| panic!("making {}: {e}", path.display()));
    }
    let busybox = need("busybox");
    fs::copy(&busybox, dir.join("bin/busybox")).expect("copying busybox");
    for applet in succeed(Command::new(&busybox).arg("--list"), "busybox --list").lines() {
        // "busybox" itself is in the list and is there already.
        let _ = symlink("busybox", dir.join("bin").join(applet));
    }
    fs::write(dir.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").expect("writing etc/passwd");
}

/// A process of a container, as `config.json` and `--exec-process-spec` describe it.
pub fn process(args: &[&str], terminal: bool) -> Value {
    let capabilities = ["CAP_KILL", "CAP_NET_BIND_SERVICE"];
    json!({
        "terminal": terminal,
        "user": {"uid": 0, "gid": 0},
        "args": args,
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        "noNewPrivileges": true,
    })
}

/// A bundle directory: `config.json` and `rootfs`.
pub struct Bundle {
    dir: PathBuf,
}

impl Bundle {
    /// Makes the bundle in `dir`, for one container with this process; `memory` limits its use, in bytes.
    pub fn new(dir: &Path, cgroup: &str, process: Value, memory: Option<u64>) -> Bundle {
        rootfs(&dir.join("rootfs"));
        let bundle = Bundle { dir: dir.to_owned() };
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": process,
            "root": {"path": "rootfs", "readonly": false},
            "hostname": "conward",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                 "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                 "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            ],
            "linux": {
                "cgroupsPath": cgroup,
                "resources": {"devices": [{"allow": false, "access": "rwm"}]},
                "namespaces": [
                    {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                ],
            },
        });
        if let Some(bytes) = memory {
            config["linux"]["resources"]["memory"] = json!({"limit": bytes});
        }
        fs::write(bundle.path("config.json"), config.to_string()).expect("writing config.json");
        bundle
    }

    /// The bundle directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in the bundle directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}
