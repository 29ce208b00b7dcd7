//! `checkpoint`: the runtime has criu write the container's processes to disk.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use conward_protocol::body::{Body, Checkpointed};
use conward_protocol::request::Checkpoint;
use conward_protocol::{Cause, Failure, Op, State, Tag, What};

use super::Supervisor;
use super::operations::Task;
use super::requests::Answer;
use crate::error::reason;
use crate::serve::control::ControlId;

/// criu's log, in its directory for them. runc and crun choose the same name.
const LOG: &str = "dump.log";
/// Bytes of that log that are looked at, from its end: criu gives up soon after its first error.
const LOG_MAX: u64 = 64 * 1024;
/// Characters of criu's errors that are passed on. Of more, the first ones: what comes later follows
/// from them.
const REASON_MAX: usize = 1024;

impl Supervisor {
    /// Starts the runtime; its end is the answer.
    pub(super) fn checkpoint(&mut self, id: ControlId, tag: Option<&Tag>, request: &Checkpoint) -> Answer {
        let words = arguments(request);
        let verb: Vec<&str> = words.iter().map(String::as_str).collect();
        let task = Task::Checkpoint { client: id, tag: tag.cloned(), request: Box::new(request.clone()) };
        self.ask_runtime_with(task, Op::Checkpoint, &verb, None)
    }

    /// The runtime has ended: with success, or saying why not.
    pub(super) fn checkpoint_ended(
        &mut self,
        client: ControlId,
        request: &Checkpoint,
        killed: bool,
        outcome: Result<Vec<u8>, String>,
    ) -> Result<Body, Failure> {
        if let Err(mut text) = outcome {
            if let Some(why) = criu_errors(request, &text) {
                text = format!("{}: criu: {why}", text.trim_end());
            }
            return Err(self.runtime_failed(Op::Checkpoint, killed, &text));
        }
        let image = request.image.clone();
        let cause = Cause::Client { client: client as u64, op: Some(Op::Checkpoint) };
        self.announce(What::Checkpointed { image: image.clone() }, cause);
        let running = request.leave_running && matches!(self.life.state, State::Running | State::Paused);
        Ok(Body::Checkpointed(Checkpointed { image, running }))
    }

    /// Whether a runtime writes a checkpoint. One that has ended the container by that still clears up
    /// behind it, which has no limit but its own.
    pub(super) fn checkpoint_at_work(&self) -> bool {
        self.operations.iter().any(|operation| matches!(operation.task, Task::Checkpoint { .. }))
    }
}

/// The verb and its options, each one word: the id comes after them.
fn arguments(request: &Checkpoint) -> Vec<String> {
    let mut words = vec!["checkpoint".to_owned(), format!("--image-path={}", request.image)];
    words.extend(request.work.iter().map(|work| format!("--work-path={work}")));
    let flags = [
        (request.leave_running, "--leave-running"),
        (request.tcp_established, "--tcp-established"),
        (request.file_locks, "--file-locks"),
    ];
    words.extend(flags.iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| (*flag).to_owned()));
    words
}

/// Why criu could not do it. The runtime only names criu's log, if it has come to that; without a
/// directory for logs it is with the image.
fn criu_errors(request: &Checkpoint, text: &str) -> Option<String> {
    if !text.contains(LOG) {
        return None;
    }
    let path = Path::new(request.work.as_ref().unwrap_or(&request.image)).join(LOG);
    match end_of(&path) {
        Ok(log) => errors(&String::from_utf8_lossy(&log)),
        Err(error) => {
            log::debug!("checkpoint: cannot read {}: {}", path.display(), reason(&error));
            None
        }
    }
}

fn end_of(path: &Path) -> io::Result<Vec<u8>> {
    // A fifo in the place of the file must not hold anybody up.
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOG_MAX)))?;
    let mut text = Vec::new();
    file.take(LOG_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// What criu logs as errors, `(00.017817) Error (criu/vdso.c:381): vdso: …`, without the beginnings.
fn errors(log: &str) -> Option<String> {
    let told = log.lines().filter_map(|line| line.split_once("Error (")?.1.split_once("): "));
    let all = told.map(|(_, text)| text.trim()).collect::<Vec<_>>().join("; ");
    (!all.is_empty()).then(|| all.chars().take(REASON_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::{REASON_MAX, arguments, errors};
    use conward_protocol::request::Checkpoint;

    #[test]
    fn each_field_is_an_option() {
        let least = Checkpoint {
            image: "/i m".into(),
            work: None,
            leave_running: false,
            tcp_established: false,
            file_locks: false,
        };
        assert_eq!(arguments(&least), ["checkpoint", "--image-path=/i m"]);
        let work = Some("/w".into());
        let all = Checkpoint { work, leave_running: true, tcp_established: true, file_locks: true, ..least };
        let options = ["--work-path=/w", "--leave-running", "--tcp-established", "--file-locks"];
        assert_eq!(arguments(&all)[2..], options);
    }

    #[test]
    fn errors_of_criu() {
        let log = "(00.01) vdso: fine\n\
                   (00.02) Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds\n\
                   (00.03) Warn  (criu/x.c:1): never mind\n\
                   (00.04) Error (criu/crtools.c:260): Could not initialize\n";
        let told = "vdso: Unexpected rt vDSO area bounds; Could not initialize";
        assert_eq!(errors(log).as_deref(), Some(told));
        assert_eq!(errors("(00.01) fine\nError (\n"), None);
        let long = format!("(00.01) Error (criu/a.c:1): {}\n", "x".repeat(2 * REASON_MAX));
        assert_eq!(errors(&long).map(|text| text.len()), Some(REASON_MAX));
    }
}
