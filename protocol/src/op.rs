//! The operations, and the states that allow them.

use crate::State;

names! {
    /// What can be asked for.
    pub enum Op {
        /// What the supervisor knows of the container.
        State = "state",
        /// Start its program.
        Start = "start",
        /// Send a signal.
        Kill = "kill",
        /// End it, politely first.
        Stop = "stop",
        /// Freeze its processes.
        Pause = "pause",
        /// Thaw them.
        Resume = "resume",
        /// Change its resource limits.
        Update = "update",
        /// Set the size of a terminal.
        Resize = "resize",
        /// Get descriptors of its streams.
        Attach = "attach",
        /// End its input.
        CloseStdin = "close-stdin",
        /// Run another process in it.
        Exec = "exec",
        /// List its processes.
        Ps = "ps",
        /// Numbers of the runtime and of the supervisor.
        Stats = "stats",
        /// Answer when it has come to a stage of its end.
        Wait = "wait",
        /// Hear events.
        Subscribe = "subscribe",
        /// Read its log.
        Logs = "logs",
        /// Open the log files anew.
        ReopenLogs = "reopen-logs",
        /// Write its processes to disk.
        Checkpoint = "checkpoint",
        /// Have the runtime forget it, and end the supervisor.
        Delete = "delete",
        /// Read the supervisor's own diagnostics.
        Debug = "debug",
        /// Replace the supervisor's program while it runs.
        Upgrade = "upgrade",
    }
}

impl Op {
    /// The states in which the operation is possible at all. What the fields of a request demand
    /// beyond that is in [`crate::Request::allowed_in`].
    pub fn states(self) -> &'static [State] {
        use State::{Created, Creating, Paused, Running, Stopped};
        match self {
            Op::State | Op::Stats | Op::Wait | Op::Subscribe | Op::Logs | Op::Debug => State::ALL,
            Op::Start => &[Created],
            Op::Pause => &[Running],
            Op::Resume => &[Paused],
            Op::Exec => &[Created, Running],
            Op::Checkpoint => &[Running, Paused],
            Op::Kill | Op::Stop | Op::Update | Op::Resize | Op::CloseStdin | Op::Ps | Op::Upgrade => {
                &[Created, Running, Paused]
            }
            Op::Delete => &[Created, Running, Paused, Stopped],
            Op::Attach | Op::ReopenLogs => &[Creating, Created, Running, Paused, Stopped],
        }
    }

    /// Whether the operation is possible at all in this state.
    pub fn allowed_in(self, state: State) -> bool {
        self.states().contains(&state)
    }
}

#[cfg(test)]
mod tests {
    use super::Op;
    use crate::State;

    /// One row an operation, one column a state in the order of the lifecycle: the decision for each
    /// pair, written a second time.
    const TABLE: &str = "
        state       x x x x x x
        start       - x - - - -
        kill        - x x x - -
        stop        - x x x - -
        pause       - - x - - -
        resume      - - - x - -
        update      - x x x - -
        resize      - x x x - -
        attach      x x x x x -
        close-stdin - x x x - -
        exec        - x x - - -
        ps          - x x x - -
        stats       x x x x x x
        wait        x x x x x x
        subscribe   x x x x x x
        logs        x x x x x x
        reopen-logs x x x x x -
        checkpoint  - - x x - -
        delete      - x x x x -
        debug       x x x x x x
        upgrade     - x x x - -
    ";

    #[test]
    fn each_pair_is_decided() {
        let rows: Vec<Vec<&str>> = TABLE
            .lines()
            .map(|row| row.split_whitespace().collect())
            .filter(|row: &Vec<_>| !row.is_empty())
            .collect();
        assert_eq!(rows.len(), Op::ALL.len());
        for (op, row) in Op::ALL.iter().zip(rows) {
            assert_eq!((op.name(), row.len()), (row[0], State::ALL.len() + 1));
            for (state, mark) in State::ALL.iter().zip(&row[1..]) {
                assert_eq!(op.allowed_in(*state), *mark == "x", "{op} in {state}");
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for op in Op::ALL {
            assert_eq!(Op::from_name(op.name()), Some(*op));
        }
        assert_eq!(Op::from_name("State"), None);
    }
}
