//! The command line of an OCI runtime, as far as supervisors and managers use it.

use std::path::PathBuf;

/// The subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Make a container that waits for [`Verb::Start`] if its script says so.
    Create,
    /// The same, from a checkpoint.
    Restore,
    /// Start a process beside it.
    Exec,
    /// Let it run.
    Start,
    /// Freeze it.
    Pause,
    /// Thaw it.
    Resume,
    /// Write it to disk, and forget it.
    Checkpoint,
    /// Send it a signal.
    Kill,
    /// Forget it.
    Delete,
    /// Take in limits for it, and forget them.
    Update,
    /// Print the numbers of its processes: its first one.
    Ps,
    /// Print one event with its numbers: none.
    Events,
    /// Print its state.
    State,
}

impl Verb {
    /// Its word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Restore => "restore",
            Verb::Exec => "exec",
            Verb::Start => "start",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::Checkpoint => "checkpoint",
            Verb::Kill => "kill",
            Verb::Delete => "delete",
            Verb::Update => "update",
            Verb::Ps => "ps",
            Verb::Events => "events",
            Verb::State => "state",
        }
    }
}

/// One call.
#[derive(Debug)]
pub struct Call {
    /// What is asked for.
    pub verb: Verb,
    /// `--root`: where the state of containers is kept. Without it none is, and `start`, `pause`,
    /// `resume`, `kill`, `delete` and `state` find nothing.
    pub root: Option<PathBuf>,
    /// `--bundle`, else the working directory.
    pub bundle: PathBuf,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// `--process`.
    pub process: Option<PathBuf>,
    /// `--console-socket`.
    pub console: Option<PathBuf>,
    /// `--preserve-fds`: how many descriptors from 3 on the container keeps.
    pub preserve: u32,
    /// `--image-path`.
    pub image: Option<PathBuf>,
    /// `--leave-running`: let it run on after a checkpoint.
    pub leave_running: bool,
    /// `--force`: delete what still runs.
    pub force: bool,
    /// `--all`: signal every process of the container's session.
    pub all: bool,
    /// The container's id and what follows it (the signal of `kill`).
    pub rest: Vec<String>,
}

/// Options that stand alone.
const FLAGS: [&str; 12] = [
    "systemd-cgroup",
    "detach",
    "no-pivot",
    "no-new-keyring",
    "force",
    "all",
    "debug",
    "tcp-established",
    "file-locks",
    "leave-running",
    "tty",
    "stats",
];

impl Call {
    /// Reads the words after the program's name. Unknown `--options` are taken to have a value
    /// unless it is given with `=`.
    pub fn parse(words: &[String]) -> Result<Call, String> {
        let mut verb = None;
        let mut call = Call {
            verb: Verb::State,
            root: None,
            bundle: std::env::current_dir().map_err(|error| format!("working directory: {error}"))?,
            pid_file: None,
            process: None,
            console: None,
            preserve: 0,
            image: None,
            leave_running: false,
            force: false,
            all: false,
            rest: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if let Some(option) = word.strip_prefix("--") {
                let (name, value) = match option.split_once('=') {
                    Some((name, value)) => (name, value.to_owned()),
                    None if FLAGS.contains(&option) => (option, String::new()),
                    None => (option, words.next().cloned().ok_or(format!("{word} needs a value"))?),
                };
                call.option(name, value)?;
            } else if verb.is_none() {
                // An empty global argument is passed on by supervisors and means nothing here.
                if word.is_empty() {
                    continue;
                }
                verb = Some(parse_verb(word)?);
            } else {
                call.rest.push(word.clone());
            }
        }
        call.verb = verb.ok_or("no subcommand")?;
        if call.rest.is_empty() {
            return Err("no container id".into());
        }
        Ok(call)
    }

    /// The container's id.
    pub fn id(&self) -> &str {
        &self.rest[0]
    }

    /// The directory of its state, if any is kept.
    pub fn state_dir(&self) -> Option<PathBuf> {
        Some(self.root.as_ref()?.join(self.id()))
    }

    fn option(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "root" => self.root = Some(value.into()),
            "bundle" => self.bundle = value.into(),
            "pid-file" => self.pid_file = Some(value.into()),
            "process" => self.process = Some(value.into()),
            "console-socket" => self.console = Some(value.into()),
            "preserve-fds" => self.preserve = value.parse().map_err(|_| format!("--preserve-fds {value}"))?,
            "image-path" => self.image = Some(value.into()),
            "leave-running" => self.leave_running = true,
            "force" => self.force = true,
            "all" => self.all = true,
            _ => {}
        }
        Ok(())
    }
}

fn parse_verb(word: &str) -> Result<Verb, String> {
    const ALL: [Verb; 13] = [
        Verb::Create,
        Verb::Restore,
        Verb::Exec,
        Verb::Start,
        Verb::Pause,
        Verb::Resume,
        Verb::Checkpoint,
        Verb::Kill,
        Verb::Delete,
        Verb::Update,
        Verb::Ps,
        Verb::Events,
        Verb::State,
    ];
    ALL.into_iter().find(|verb| verb.name() == word).ok_or(format!("unknown subcommand {word}"))
}
