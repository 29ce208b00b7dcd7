//! Replies: what a client is answered.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;

use crate::limits::MESSAGE_MAX;
use crate::{Body, Op, Request, State};

/// What a client calls its request by: any text or number, echoed in the reply. A number that fits
/// no 64-bit integer comes back as the nearest double.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Tag {
    /// A text.
    Text(String),
    /// A number.
    Number(Number),
}

impl From<u64> for Tag {
    fn from(number: u64) -> Tag {
        Tag::Number(number.into())
    }
}

impl From<&str> for Tag {
    fn from(text: &str) -> Tag {
        Tag::Text(text.to_owned())
    }
}

/// The final answer to a request. `B` is the body: [`Body`] for who answers, [`serde_json::Value`]
/// for who reads, since only the one who asked knows what it asked for (see [`Body::read`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply<B = Body> {
    /// The tag of the request. Absent if the request had none, or none that could be read; with an
    /// error it may then concern the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome<B>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome<B = Body> {
    /// It was done.
    Ok(B),
    /// It was not done.
    Error(Failure),
}

impl Reply {
    /// It was done.
    pub fn ok(tag: Option<Tag>, body: Body) -> Reply {
        Reply { tag, outcome: Outcome::Ok(body) }
    }

    /// It was not done.
    pub fn error(tag: Option<Tag>, failure: Failure) -> Reply {
        Reply { tag, outcome: Outcome::Error(failure) }
    }
}

names! {
    /// Why a request was not done, for programs.
    pub enum ErrorCode {
        /// The line is no JSON object, is not UTF-8, or is nested too deeply.
        BadJson = "bad-json",
        /// A field is missing, or has a value that it cannot have.
        BadRequest = "bad-request",
        /// There is no operation of this name.
        UnknownOp = "unknown-op",
        /// The line was longer than a line may be; or the reply would have been.
        TooLong = "too-long",
        /// A bound of the protocol is reached, or another client has what only one can have.
        Busy = "busy",
        /// The state of the container does not allow it. `allowed` tells which states do.
        WrongState = "wrong-state",
        /// It needs a process that lives, and the container or the exec session has ended.
        NotRunning = "not-running",
        /// The container or the exec session has no terminal.
        NoTerminal = "no-terminal",
        /// The container or the exec session has no input that could be written or ended.
        NoStdin = "no-stdin",
        /// No exec session has this id, or its outcome is forgotten.
        NoSuchExec = "no-such-exec",
        /// An exec session has this id already.
        ExecExists = "exec-exists",
        /// The runtime failed; the message has its error text.
        RuntimeFailed = "runtime-failed",
        /// The runtime took too long and was killed.
        TimedOut = "timed-out",
        /// The container ended, or the supervisor is about to, before it could be done.
        Gone = "gone",
        /// The client does not read; it is about to be closed.
        TooSlow = "too-slow",
        /// The peer is neither root nor the user of the supervisor; it is about to be closed.
        Denied = "denied",
        /// This supervisor, as it was started or on this host, cannot do it.
        Unsupported = "unsupported",
        /// The supervisor failed; the message says at what.
        Internal = "internal",
    }
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// For programs. A code that this version does not know is read as `internal`.
    #[serde(deserialize_with = "known_or_internal")]
    pub code: ErrorCode,
    /// For people: what was being done, to what, and why it failed. At most
    /// [`MESSAGE_MAX`] bytes.
    pub message: String,
    /// With `bad-request`: the field, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// With `wrong-state` and `not-running`: the state of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// With `wrong-state` and `not-running`: the states that would allow it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<State>,
}

impl Failure {
    /// A failure with no more than a code and a message, which loses its middle beyond
    /// [`MESSAGE_MAX`] bytes.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Failure {
        let message = shortened(message.into());
        Failure { code, message, field: None, state: None, allowed: Vec::new() }
    }

    /// The field of a request has no value that it can have.
    pub fn field(op: Op, field: &str, message: &str) -> Failure {
        let message = format!("{op}: {field}: {message}");
        Failure { field: Some(field.to_owned()), ..Failure::new(ErrorCode::BadRequest, message) }
    }

    /// The state of the container does not allow this request. The code is `not-running` if the
    /// container has ended and the request needs one that has not, else `wrong-state`.
    pub fn illegal(request: &Request, state: State) -> Failure {
        let allowed = request.states();
        let ended = |state: &State| matches!(state, State::Stopped | State::Deleted);
        let late = ended(&state) && !allowed.iter().any(ended);
        let code = if late { ErrorCode::NotRunning } else { ErrorCode::WrongState };
        let names: Vec<&str> = allowed.iter().map(|state| state.name()).collect();
        let message = format!("{}: the container is {state}, not {}", request.op(), names.join(" or "));
        Failure { state: Some(state), allowed: allowed.to_vec(), ..Failure::new(code, message) }
    }
}

fn known_or_internal<'de, D: Deserializer<'de>>(from: D) -> Result<ErrorCode, D::Error> {
    let word = String::deserialize(from)?;
    Ok(ErrorCode::from_name(&word).unwrap_or(ErrorCode::Internal))
}

/// A runtime says first what failed and last why: beginning and end are kept.
fn shortened(mut message: String) -> String {
    const MARK: &str = " [...] ";
    if message.len() > MESSAGE_MAX {
        let keep = (MESSAGE_MAX - MARK.len()) / 2;
        let head = (0..=keep).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
        let tail = (message.len() - keep..=message.len()).find(|at| message.is_char_boundary(*at));
        message.replace_range(head..tail.unwrap_or(message.len()), MARK);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::{ErrorCode, Failure};
    use crate::limits::MESSAGE_MAX;
    use crate::request::{Delete, Kill, Request};
    use crate::{Signal, State};

    #[test]
    fn illegal_requests_say_what_would_be_legal() {
        let kill = Request::Kill(Kill { signal: Signal::TERM, all: false, exec: None });
        let delete = Request::Delete(Delete { force: false });
        let table = [
            (&kill, State::Creating, ErrorCode::WrongState),
            (&kill, State::Stopped, ErrorCode::NotRunning),
            (&Request::Start, State::Running, ErrorCode::WrongState),
            (&Request::Start, State::Stopped, ErrorCode::NotRunning),
            (&delete, State::Running, ErrorCode::WrongState),
            (&delete, State::Deleted, ErrorCode::WrongState),
        ];
        for (request, state, code) in table {
            let failure = Failure::illegal(request, state);
            assert_eq!((failure.code, failure.state), (code, Some(state)), "{request:?} in {state}");
            assert!(!failure.allowed.is_empty() && !failure.allowed.contains(&state));
        }
        assert_eq!(
            Failure::illegal(&kill, State::Stopped).message,
            "kill: the container is stopped, not created or running or paused"
        );
    }

    #[test]
    fn long_messages_lose_their_middle() {
        let text = format!("first{}last", "ü".repeat(MESSAGE_MAX));
        let message = Failure::new(ErrorCode::RuntimeFailed, text).message;
        assert!(message.len() <= MESSAGE_MAX && message.len() > MESSAGE_MAX - 8);
        assert!(message.starts_with("first") && message.ends_with("last") && message.contains("[...]"));
        let exact = "x".repeat(MESSAGE_MAX);
        assert_eq!(Failure::new(ErrorCode::Internal, exact.clone()).message, exact);
    }
}
