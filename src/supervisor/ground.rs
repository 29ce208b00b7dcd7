//! What a supervisor stands on: all that is made, and may fail, before the runtime is started.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::Receiver;

use crate::error::Error;
use crate::launch::Streams;
use crate::plan::{Plan, Said, Stdio};
use crate::reactor::Reactor;
use crate::serve::attach::Attach;
use crate::serve::caller::Caller;
use crate::serve::console::Console;
use crate::serve::control::Control;
use crate::serve::fifos::{self, Fifo};
use crate::serve::notify::Relay;
use crate::sink::Sinks;
use crate::sys::fds::Inherited;
use crate::sys::file::remove;
use crate::sys::signals::Signals;

/// What was opened or handed over while the caller could still be told by an exit status.
pub(super) struct Lent {
    pub caller: Caller,
    pub inherited: Inherited,
    pub sinks: Sinks,
    /// The oom_score_adj that children get back.
    pub oom_score: Option<String>,
    /// /dev/null.
    pub null: File,
    /// What the supervisor says of itself.
    pub said: Receiver<Said>,
}

/// What is made after detaching.
pub(super) struct Ground {
    pub reactor: Reactor,
    pub signals: Signals,
    pub streams: Streams,
    pub console: Option<Console>,
    pub endpoints: Endpoints,
}

impl Ground {
    /// Makes everything, or nothing: what was made before an error is removed again.
    pub fn make(plan: &Plan) -> Result<Ground, Error> {
        let mut ground = Ground {
            reactor: Reactor::new().map_err(|e| Error::io("Failed to make an epoll instance", e))?,
            signals: Signals::open().map_err(|e| Error::io("Failed to catch signals", e))?,
            streams: Streams::open(plan.stdio)?,
            console: matches!(plan.stdio, Stdio::Terminal { .. })
                .then(|| Console::open(&plan.endpoints.console_dir))
                .transpose()?,
            endpoints: Endpoints::default(),
        };
        match ground.endpoints.make(plan) {
            Ok(()) => Ok(ground),
            Err(error) => {
                ground.endpoints.remove();
                Err(error)
            }
        }
    }
}

/// The paths through which others reach the supervisor.
#[derive(Default)]
pub(super) struct Endpoints {
    pub attach: Option<Attach>,
    pub ctl: Option<Fifo>,
    pub winsz: Option<Fifo>,
    pub notify: Option<Relay>,
    pub control: Option<Control>,
}

impl Endpoints {
    fn make(&mut self, plan: &Plan) -> Result<(), Error> {
        let bundle = plan.runtime.bundle.as_deref().map(Path::new);
        // A container can do without, so trouble here is only told.
        self.control = plan
            .endpoints
            .control_dir
            .as_deref()
            .and_then(|dir| Control::open(dir).inspect_err(|error| log::warn!("{}", error.text())).ok());
        if let (Some(bundle), Some(host)) = (bundle, &plan.endpoints.notify) {
            self.notify = Some(Relay::bind(bundle, host.as_ref())?);
        }
        let (Some(bundle), false) = (bundle, plan.stdio == Stdio::Passthrough) else { return Ok(()) };
        let names = plan.endpoints.socket_dir.as_deref().zip(plan.identity.uuid.as_deref());
        self.attach = Some(Attach::open(bundle, names.map(|(dir, uuid)| Path::new(dir).join(uuid)))?);
        self.ctl = Some(Fifo::create(&bundle.join("ctl"), fifos::ctl)?);
        self.winsz = Some(Fifo::create(&bundle.join("winsz"), fifos::winsz)?);
        Ok(())
    }

    /// Removes the paths of a launch that has failed.
    pub fn remove(&mut self) {
        if let Some(attach) = &self.attach {
            attach.unlink_socket();
            attach.unlink_link();
        }
        for fifo in [&self.ctl, &self.winsz].into_iter().flatten() {
            remove(fifo.path());
        }
        if let Some(control) = &self.control {
            control.remove_socket();
        }
    }
}
