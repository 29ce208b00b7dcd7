//! Containers of real runc, by conwardctl alone, as a person would.

mod checkpoint;
mod delete;
mod exec;
mod lifecycle;
mod refusals;
mod run;
mod terminals;

use std::path::Path;
use std::process::{Command, Output};

use conward_testkit::bundle;
use conward_testkit::runc::Container;
use conward_testkit::sandbox::{feed, finish};
use serde_json::Value;

/// The program under test.
const CTL: &str = env!("CARGO_BIN_EXE_conwardctl");

/// A bundle, and a place where its supervisor is found.
struct Ctl {
    container: Container,
}

/// What a command came to.
#[derive(Debug)]
struct Done {
    status: i32,
    out: String,
    err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        Done {
            status: output.status.code().expect("an exit status"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Done {
    /// What it printed, if it has succeeded.
    fn ok(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.out
    }

    /// What it says of its failure.
    fn failed(self, status: i32) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.err
    }
}

impl Ctl {
    /// A bundle whose process is a shell script.
    fn new(script: &str) -> Ctl {
        Ctl::of(bundle::process(&["sh", "-c", script], false))
    }

    fn on_terminal(script: &str) -> Ctl {
        Ctl::of(bundle::process(&["sh", "-c", script], true))
    }

    fn of(process: Value) -> Ctl {
        Ctl { container: Container::with(process, None) }
    }

    fn id(&self) -> &str {
        &self.container.id
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.container.sandbox.limited(CTL);
        command.args(args);
        command
    }

    fn ctl(&self, args: &[&str]) -> Done {
        finish(&mut self.command(args), &format!("conwardctl {args:?}")).into()
    }

    /// `run` or `create`, with what tests need beside `options`.
    fn making(&self, verb: &str, options: &[&str]) -> Command {
        let mut command = self.command(&[verb, "--bundle"]);
        command.arg(self.container.bundle.dir());
        command.arg("--conward").arg(conward_testkit::conward());
        command.args(["--runtime-arg=--root", "--runtime-arg"]).arg(self.container.path("runc"));
        command.args(options).arg(self.id());
        command
    }

    fn make(&self, verb: &str, options: &[&str]) -> Done {
        finish(&mut self.making(verb, options), &format!("conwardctl {verb} {options:?}")).into()
    }

    fn run_with_input(&self, options: &[&str], input: &[u8]) -> Done {
        feed(&mut self.making("run", options), input, &format!("conwardctl run {options:?}")).into()
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.ctl(&["state", self.id()]).ok()).expect("JSON")
    }

    fn list(&self, filters: &[&str]) -> Vec<Value> {
        let mut args = vec!["ls", "--format=json"];
        args.extend(filters.iter().flat_map(|filter| ["--filter", filter]));
        serde_json::from_str(&self.ctl(&args).ok()).expect("an array")
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let path = self.container.bundle.path("config.json");
        let text = std::fs::read(&path).expect("config.json");
        let mut config = serde_json::from_slice(&text).expect("JSON");
        change(&mut config);
        std::fs::write(&path, config.to_string()).expect("config.json");
    }
}

/// Whether runc still knows the container.
fn known(ctl: &Ctl) -> bool {
    Path::new(&ctl.container.path("runc").join(ctl.id())).exists()
}
