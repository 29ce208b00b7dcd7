//! Fields that are one of a few words.

names! {
    /// One of the streams that a process writes. With a terminal there is only stdout.
    pub enum Stream {
        /// Standard output, or the terminal.
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
    }
}

names! {
    /// What a client may do to the input of a process.
    pub enum Stdin {
        /// Nothing.
        None = "none",
        /// It is the only writer, and when it closes the input of the process ends. While another
        /// client may write, this is `busy`, and while this one may, so is another.
        Once = "once",
        /// It writes beside others, in the order of arrival, and may close without an end of input.
        Shared = "shared",
    }
}

names! {
    /// A stage of the end that can be waited for.
    pub enum Stage {
        /// The exit status is known.
        Exited = "exited",
        /// The exit record is on disk, or the attempt has failed.
        Recorded = "recorded",
        /// Hooks and teardown are done; the supervisor is about to end.
        Deleted = "deleted",
    }
}

names! {
    /// How much the supervisor says of itself.
    pub enum Level {
        /// What it could not do, and nothing takes its place.
        Error = "error",
        /// What it could not do, and went on without.
        Warn = "warn",
        /// What it did.
        Info = "info",
        /// How it did that.
        Debug = "debug",
        /// Each step.
        Trace = "trace",
    }
}
