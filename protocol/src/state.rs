//! Where a container is in its life.

names! {
    /// Where a container is in its life: `creating → created → running ⇄ paused → stopped → deleted`.
    pub enum State {
        /// The runtime is creating it.
        Creating = "creating",
        /// It exists; its program has not been started.
        Created = "created",
        /// Its program runs.
        Running = "running",
        /// Its processes are frozen.
        Paused = "paused",
        /// Its first process has ended. How far the supervisor is with that, [`Step`] tells.
        Stopped = "stopped",
        /// The runtime has forgotten it, or never knew it: nothing is left but the record.
        Deleted = "deleted",
    }
}

names! {
    /// How far the supervisor is with a stopped container. The order is this one and no other; a step
    /// that was not asked for is passed through.
    pub enum Step {
        /// The exit status is known.
        Reaped = "reaped",
        /// All output is in the logs and with the clients, or the time for that is over.
        Drained = "drained",
        /// The exit record is on disk, or the attempt has failed and was reported.
        Recorded = "recorded",
        /// The hooks of stage `exited` run.
        Hooks = "hooks",
        /// The runtime deletes the container.
        Deleting = "deleting",
        /// Everybody was told; nothing is left to be done.
        Announced = "announced",
    }
}

impl State {
    /// The state that the OCI runtime specification has for this one: it knows neither `paused` (a
    /// paused container is `running`) nor `deleted` (which it calls `stopped`).
    pub fn oci(self) -> &'static str {
        match self {
            State::Creating => "creating",
            State::Created => "created",
            State::Running | State::Paused => "running",
            State::Stopped | State::Deleted => "stopped",
        }
    }
}
