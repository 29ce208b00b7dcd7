//! What the lifecycle hears, and what it asks for.

use conward_protocol::Exit;
use conward_protocol::record::HookStage;

use crate::pid::Pid;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The caller's word that the runtime may be started.
    Go,
    /// A child has ended and was reaped: the runtime, the container, the exit command or an orphan.
    Reaped(Pid, Exit),
    /// The container, which is no child of ours, has ended. Also instead of [`Answer::Adopted`].
    Departed(Exit),
    /// A signal that asks for an end.
    Signalled(i32),
    /// A manager wants the container deleted, once it has ended.
    DeleteAsked,
    /// Nobody is there who could still ask for the delete.
    Abandoned,
    /// What came of an effect.
    Answered(Answer),
    /// Time has passed.
    Tick,
}

/// What came of an effect, at once or later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Effect::Spawn`]; the error is why the runtime could not be started.
    Spawned(Result<Pid, String>),
    /// To [`Effect::Settle`].
    Settled(Settled),
    /// To [`Effect::Adopt`]; the error is why the container cannot be watched.
    Adopted(Result<(), String>),
    /// To [`Effect::Drain`]: all output is in the logs and with the clients.
    Drained,
    /// To [`Effect::Record`]: the attempt was made, whatever came of it.
    Recorded,
    /// To [`Effect::RunHooks`]: the last of them has ended.
    HooksEnded,
    /// To [`Effect::RunExitCommand`]; `None` if it could not be started.
    CommandSpawned(Option<Pid>),
    /// To [`Effect::Delete`]: whether the runtime has deleted the container.
    Deleted(bool),
}

/// What a runtime that has ended leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The content of the pid file, or what is wrong with it.
    pub pid: Result<Pid, String>,
    /// Whether the terminal came, where one was asked for; else why not.
    pub console: Result<(), String>,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start the runtime.
    Spawn,
    /// Take in what the runtime left: console descriptor, error text, pid file.
    Settle,
    /// Get hold of the container's process, by descriptor.
    Adopt(Pid),
    /// The launch has succeeded: tell the caller the pid, and treat what the runtime wrote as the
    /// container's output.
    Launched(Pid),
    /// The launch has failed: tell the caller why, and remove what the supervisor has made. What the
    /// runtime has made is the caller's to delete.
    Failed(Failure),
    /// Send a signal to the runtime, which has not been reaped.
    SignalRuntime(Pid, i32),
    /// Send a signal to the container.
    SignalContainer(i32),
    /// End the container and its process group at once: its time is up.
    KillContainer,
    /// The container has ended like this: bring all output that is there to the logs and the clients.
    Drain(Exit),
    /// Record the end: release what the caller lent, close clients, write the exit files, report.
    Record(Exit),
    /// Let go of the caller, of the container's descriptors and of orphans, before the exit command is
    /// due.
    LetGo,
    /// Run the hooks of this stage, one after the other, after those that are at work.
    RunHooks(HookStage),
    /// Send a signal to the hook that is at work.
    SignalHook(i32),
    /// Start the exit command.
    RunExitCommand,
    /// Have the runtime delete the container.
    Delete,
    /// Send a signal to the runtime that deletes it.
    SignalDelete(i32),
    /// End the supervisor with this status.
    Finish(u8),
}

/// Why a launch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The runtime could not be started, and why.
    Spawn(String),
    /// The runtime ended other than with 0.
    Runtime(Exit),
    /// The runtime named no process.
    PidFile(String),
    /// The runtime sent no terminal.
    Console(String),
    /// The container's process cannot be watched.
    Watch(String),
    /// A signal came before the runtime was started.
    Interrupted(i32),
}
