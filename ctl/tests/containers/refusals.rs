//! What cannot work is refused, with the reason and a status that scripts know.

use conward_testkit::{bundle, wait_until};
use serde_json::json;

use crate::{Ctl, known};

/// What is changed in `config.json`.
type Change = fn(&mut serde_json::Value);

#[test]
fn bundles_that_cannot_work_start_nothing() {
    let ctl = Ctl::new("true");
    let faults: [(&str, Change); 4] = [
        ("root.path: ", |config| config["root"]["path"] = json!("nope")),
        ("process.args: is empty", |config| config["process"]["args"] = json!([])),
        ("process.user.uid: ", |config| config["process"]["user"]["uid"] = json!("root")),
        ("process: is missing", |config| drop(config.as_object_mut().expect("an object").remove("process"))),
    ];
    for (wanted, change) in faults {
        let before = std::fs::read(ctl.container.bundle.path("config.json")).expect("config.json");
        ctl.change(change);
        for verb in ["create", "run"] {
            let message = ctl.make(verb, &[]).failed(125);
            assert!(message.contains("config.json: ") && message.contains(wanted), "{verb}: {message}");
        }
        std::fs::write(ctl.container.bundle.path("config.json"), before).expect("config.json");
    }
    let message = ctl.make("run", &["-t"]).failed(125);
    assert!(message.contains("process.terminal: is not true, but -t asks for a terminal"), "{message}");
    assert!(!known(&ctl) && !ctl.container.bundle.path("ctr.log").exists(), "something was started");
}

#[test]
fn programs_that_cannot_run() {
    for (program, status) in [("no-such-program", 127), ("/etc/passwd", 126)] {
        let ctl = Ctl::of(bundle::process(&[program], false));
        let message = ctl.make("run", &["--rm"]).failed(status);
        assert!(message.contains(program), "{message}");
        wait_until("nothing of it is left", || ctl.list(&[]).is_empty());
    }
}

#[test]
fn ids_that_name_nothing_or_too_much() {
    let ctl = Ctl::new("sleep 1000");
    let message = ctl.ctl(&["state", "nope"]).failed(125);
    assert!(message.contains("nope: no container of this id below /run/conward"), "{message}");
    ctl.make("create", &[]).ok();
    let message = ctl.make("create", &[]).failed(125);
    assert!(message.contains("there is a container of this id already"), "{message}");
    ctl.container.sandbox.script(&format!("mkdir /run/conward/{}-other", ctl.id()));
    let short = &ctl.id()[..ctl.id().len() - 1];
    let message = ctl.ctl(&["state", short]).failed(125);
    assert!(message.contains(&format!("could be any of {0}, {0}-other", ctl.id())), "{message}");
    assert_eq!(ctl.state()["state"], "created", "the whole id is meant");
    // What this supervisor does not know is an error like any other.
    let message = ctl.ctl(&["frobnicate"]).failed(125);
    assert!(message.contains("frobnicate"), "{message}");
}
