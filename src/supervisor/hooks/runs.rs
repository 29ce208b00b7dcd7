//! One hook at work: what it is given, and what it says.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use conward_protocol::limits::HOOK_OUTPUT_MAX;
use conward_protocol::record::{HookOutcome, HookStage};
use conward_protocol::{Exit, RECORD_ANNOTATION, State, Timestamp};
use serde::Serialize;

use super::pins;
use crate::error::reason;
use crate::pid::Pid;
use crate::plan::Hook;
use crate::supervisor::{Supervisor, annotations, operations};
use crate::sys::file::sealed;
use crate::sys::io::read_into;
use crate::sys::spawn::{Extra, Spawn};

/// The version of the OCI runtime specification that the state is made by; later ones have not changed it.
const OCI_VERSION: &str = "1.0.2";
/// The variable that names the stage: one program may be a hook of several.
const STAGE_VARIABLE: &str = "CONWARD_HOOK_STAGE";
/// Reads of a hook's output in one turn, and bytes of one read: together what a pipe holds (pipe(7)), so that
/// all that a hook itself has written before its end is read then.
const READ_BUDGET: usize = 4;
const READ_MAX: usize = 16 * 1024;

/// A hook that was started.
#[derive(Debug)]
pub(super) struct Run {
    hook: Hook,
    pub pid: Pid,
    started: Timestamp,
    begun: Instant,
    /// When its time is up; or that for its death, if it is late.
    pub due: Instant,
    pub late: bool,
    /// Its stdout and stderr.
    pub output: OwnedFd,
    tail: Tail,
}

impl Run {
    /// Takes what it has said so far, so that it never waits for us. Whether there may be more.
    pub fn read(&mut self) -> bool {
        let mut buffer = Vec::with_capacity(READ_MAX);
        for _ in 0..READ_BUDGET {
            buffer.clear();
            match read_into(&self.output, &mut buffer) {
                Ok(1..) => self.tail.push(&buffer),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    /// What came of it.
    pub fn end(self, exit: Exit) -> HookOutcome {
        let elapsed = self.begun.elapsed().as_millis();
        HookOutcome {
            stage: self.hook.stage,
            path: self.hook.path,
            started: self.started,
            duration_ms: u64::try_from(elapsed).unwrap_or(u64::MAX),
            exit: Some(exit),
            error: None,
            output: self.tail.text(),
        }
    }
}

/// The state of the container, as runtimes hand it to their hooks (OCI runtime specification, "State").
#[derive(Serialize)]
struct OciState<'a> {
    #[serde(rename = "ociVersion")]
    oci_version: &'static str,
    id: &'a str,
    status: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    bundle: String,
    annotations: BTreeMap<String, String>,
}

impl Supervisor {
    /// Starts a hook in a session of its own, with nothing of the supervisor's but what is meant for it.
    pub(super) fn spawn_hook(&self, hook: &Hook, started: Timestamp) -> io::Result<Run> {
        let stdin = sealed("state", &[self.oci_state(hook.stage)?])?;
        let (output, theirs) = operations::pipe()?;
        let pins = if hook.stage == HookStage::Exited { self.hooks.pins.as_slice() } else { &[] };
        let fds: Vec<BorrowedFd<'_>> = pins.iter().map(|pin| pin.fd.as_fd()).collect();
        let mut variables = vec![format!("{STAGE_VARIABLE}={}", hook.stage)];
        variables.extend(pins::variable(pins));
        let argv = [hook.path.clone()];
        let begun = Instant::now();
        let pid = Spawn {
            program: &hook.path,
            argv: &argv,
            stdio: [stdin.as_fd(), theirs.as_fd(), theirs.as_fd()],
            // If it can be had: nobody else would end one that hangs and has the namespaces.
            die_with_supervisor: true,
            oom_score_adj: self.oom_score.as_deref(),
            set_listen_pid: false,
            extra: Extra { session: true, fds: &fds, variables: &variables, ..Extra::default() },
        }
        .start()?;
        let due = begun + hook.timeout;
        Ok(Run { hook: hook.clone(), pid, started, begun, due, late: false, output, tail: Tail::default() })
    }

    /// What the hook reads: the state as it is now. After the end with the exit record.
    fn oci_state(&self, stage: HookStage) -> io::Result<Vec<u8>> {
        let bundle = self.plan.runtime.bundle.as_deref().unwrap_or_default();
        let mut annotations = annotations::read(bundle).unwrap_or_else(|error| {
            log::debug!("no annotations of the bundle for a hook: {}", reason(&error));
            BTreeMap::new()
        });
        // No bundle may make up one of these.
        annotations.remove(RECORD_ANNOTATION);
        if matches!(stage, HookStage::Exited | HookStage::Deleted)
            && let Some(record) = self.exit_record.text()
        {
            annotations.insert(RECORD_ANNOTATION.into(), String::from_utf8_lossy(&record).into_owned());
        }
        let state = OciState {
            oci_version: OCI_VERSION,
            id: &self.plan.identity.id,
            status: self.life.state,
            pid: self.life.pid.map(Pid::raw),
            bundle: std::path::absolute(bundle)?.display().to_string(),
            annotations,
        };
        Ok(serde_json::to_vec(&state)?)
    }
}

/// The last bytes of a stream, [`HOOK_OUTPUT_MAX`] at most: earlier ones are forgotten.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        let surplus = (self.bytes.len() + chunk.len()).saturating_sub(HOOK_OUTPUT_MAX);
        self.cut |= surplus > 0;
        let old = surplus.min(self.bytes.len());
        self.bytes.drain(..old);
        self.bytes.extend_from_slice(&chunk[surplus - old..]);
    }

    /// As text that is no longer than that either, and does not begin in the middle of a character.
    fn text(&self) -> String {
        let is_inside = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
        let inside = if self.cut { self.bytes.iter().take(3).take_while(is_inside).count() } else { 0 };
        let text = String::from_utf8_lossy(&self.bytes[inside..]);
        let surplus = text.len().saturating_sub(HOOK_OUTPUT_MAX);
        let from = (surplus..=text.len()).find(|&at| text.is_char_boundary(at));
        from.map_or_else(String::new, |from| text[from..].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tail(chunks: &[&[u8]]) -> String {
        let mut tail = Tail::default();
        chunks.iter().for_each(|chunk| tail.push(chunk));
        tail.text()
    }

    #[test]
    fn the_end_of_the_output_is_kept() {
        let most = "x".repeat(HOOK_OUTPUT_MAX);
        assert_eq!(tail(&[]), "");
        assert_eq!(tail(&[b"a\n", b"b\n"]), "a\nb\n");
        assert_eq!(tail(&[most.as_bytes()]), most);
        assert_eq!(tail(&[b"gone", most.as_bytes()]), most);
        assert_eq!(tail(&[most.as_bytes(), b"end"]), format!("{}end", &most[3..]));
    }

    #[test]
    fn it_begins_with_a_whole_character() {
        let euros = "€".repeat(HOOK_OUTPUT_MAX);
        assert_eq!(tail(&[euros.as_bytes()]), "€".repeat(HOOK_OUTPUT_MAX / 3));
        // What was never one stays visible.
        assert_eq!(tail(&[b"\x82\xacx"]), "\u{fffd}\u{fffd}x");
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_chunks_do_not_matter(bytes in proptest::collection::vec(any::<u8>(), 0..3000), cut in 1usize..1500) {
            let text = tail(&[&bytes]);
            prop_assert!(text.len() <= HOOK_OUTPUT_MAX);
            prop_assert_eq!(text, tail(&bytes.chunks(cut).collect::<Vec<_>>()));
        }
    }
}
