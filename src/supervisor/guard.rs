//! What the supervisor gives up once the container is created: nothing that it still needs, and nothing
//! that its children cannot have back. `SECURITY.md` says what that is worth.

use std::path::{Path, PathBuf};

use super::Supervisor;
use crate::error::reason;
use crate::sys::capability::{self, DAC_OVERRIDE, Held, KILL, SYS_PTRACE, SYS_RESOURCE, Set};
use crate::sys::process;

/// What is kept, and why. Everything else goes.
const KEPT: [(u32, &str); 4] = [
    // Containers run as any user, and a stop or a timeout must end them.
    (KILL, "signals to processes of other users"),
    // The supervisor is spared by the OOM killer. A child that undoes this for itself must also raise the
    // least value that may be set without the privilege (oom_score_adj_min of the kernel), else the container
    // inherits a right to be spared.
    (SYS_RESOURCE, "the OOM score of children"),
    // Only where a place that is written to belongs to somebody else: an exit status must not be lost by
    // our modesty.
    (DAC_OVERRIDE, "logs and exit files in places of other users"),
    // Only where /proc hides processes from whoever may not trace them (hidepid, proc(5)).
    (SYS_PTRACE, "how the container's processes fare"),
];

impl Supervisor {
    /// Drops what is not [`KEPT`].
    pub(super) fn give_up_privileges(&self) {
        if let Err(error) = self.inherited.keep() {
            log::warn!("cannot keep descriptors from later programs: {}", reason(&error));
        }
        if let Err(error) = self.drop_capabilities() {
            log::warn!("cannot drop capabilities: {}", reason(&error));
        }
    }

    fn drop_capabilities(&self) -> std::io::Result<()> {
        // Who has few capabilities may be traced by any process of its user that has as many (ptrace(2)), which
        // without a user namespace the container may be.
        if !capability::is_hidden()? {
            log::debug!("no capability is dropped: the supervisor can be looked into");
            return Ok(());
        }
        let held = capability::held()?;
        if !capability::children_regain(&held) {
            log::debug!("no capability is dropped: the runtime could not have it back");
            return Ok(());
        }
        let kept = KEPT.map(|(number, _)| number);
        let permitted = held.permitted.and(Set::of(&kept));
        let modest = permitted.without(Set::of(&[DAC_OVERRIDE, SYS_PTRACE]));
        // Modest first, to see whether that is enough.
        capability::hold(&Held { effective: modest, permitted, inheritable: Set::default() })?;
        let foreign = self.written_to().into_iter().find(|path| !capability::may_write(path));
        let hidden = self.container.init.as_ref().is_some_and(|init| !process::is_visible(init.pid));
        let mut spare = Set::default();
        if let Some(path) = &foreign {
            log::debug!("CAP_DAC_OVERRIDE is kept for {}", path.display());
            spare = spare.or(Set::of(&[DAC_OVERRIDE]));
        }
        if hidden {
            log::debug!("CAP_SYS_PTRACE is kept: /proc hides the container's processes");
            spare = spare.or(Set::of(&[SYS_PTRACE]));
        }
        let last = modest.or(permitted.and(spare));
        capability::hold(&Held { effective: last, permitted: last, inheritable: Set::default() })
    }

    /// All paths in which something is made, changed or removed from now on. (`config.json` is only read;
    /// whoever may write it can read it.)
    fn written_to(&self) -> Vec<PathBuf> {
        let plan = &self.plan;
        let mut paths = Vec::new();
        paths.extend(plan.records.exit_dir.clone());
        paths.extend(plan.records.persist_dir.clone());
        paths.extend(plan.endpoints.socket_dir.as_ref().map(PathBuf::from));
        if let Some(bundle) = plan.runtime.bundle.as_ref().map(Path::new) {
            paths.push(bundle.to_owned());
            paths.extend(Some(bundle.join("config.json")).filter(|path| path.exists()));
        }
        if let Some(log) = &plan.logs.file {
            paths.extend(log.path.parent().filter(|dir| !dir.as_os_str().is_empty()).map(Path::to_owned));
            paths.push(log.path.clone());
        }
        if let Some(dir) = plan.endpoints.control_dir.as_ref().filter(|_| self.endpoints.control.is_some()) {
            paths.extend(dir.parent().map(Path::to_owned));
            paths.push(dir.clone());
        }
        let notify = plan.endpoints.notify.as_ref().filter(|host| !host.starts_with('@'));
        paths.extend(notify.map(PathBuf::from));
        paths
    }

    /// The names of what is held, for `state`.
    pub(super) fn capabilities(&self) -> Vec<String> {
        capability::held().map(|held| held.permitted.names()).unwrap_or_default()
    }
}
