//! The host as all supervisors see it: nothing on a disk, and a journal that the harness can play.

use std::fs;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{Result, doing};

/// Where everything is made that a session needs, also what a supervisor makes by itself.
pub const RUN: &str = "/run";

/// Where journald listens.
pub const JOURNAL: &str = "/run/systemd/journal/socket";

/// Datagrams that a socket queues: what systemd sets at boot. The kernel's own default is 10, and a writer and a
/// reader then take turns.
const QUEUE: &str = "512";

/// Descriptors that the harness may hold, and each that it starts may: two for each session, of which
/// there are a thousand.
const DESCRIPTORS: u64 = 8192;

/// Moves the harness, and so all that it starts, to namespaces of its own, with a tmpfs at [`RUN`] that goes
/// with its last process. Needs root.
pub fn set_up() -> Result<()> {
    let apart = "make namespaces (root can, and `unshare -rm` before this program)";
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).map_err(doing(apart))?;
    let (none, flags) = (None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC);
    mount(none, "/", none, flags, none).map_err(doing("keep mounts from the host"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), RUN, Some("tmpfs"), flags, Some("mode=755"))
        .map_err(doing(format!("mount a tmpfs at {RUN}")))?;
    if let Some(dir) = Path::new(JOURNAL).parent() {
        fs::create_dir_all(dir).map_err(doing(format!("make {}", dir.display())))?;
    }
    let path = "/proc/sys/net/unix/max_dgram_qlen";
    fs::write(path, QUEUE).map_err(doing(format!("write {path}")))?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(doing("read the limit of descriptors"))?;
    let wanted = soft.max(DESCRIPTORS).min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).map_err(doing("set the limit of descriptors"))
}
