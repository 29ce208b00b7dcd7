//! What the supervisor does of its own.

use std::time::Duration;

use conward_protocol::record::HookStage;

use super::{LEAST, error, least};
use crate::plan::*;

#[test]
fn all_of_it() {
    let own = ["--control-dir", "/x", "--keep-state", "--delete-on-exit", "--pin-namespaces"];
    let hooks = ["--hook", "exited=/a=b", "--hook=created=/c", "--hook", "exited=/d", "--hook-timeout", "7"];
    let timeout = Duration::from_secs(7);
    let hook = |stage, path: &str| Hook { stage, path: path.into(), timeout };
    let lifecycle = least(&[own.as_slice(), &hooks].concat()).lifecycle;
    let hooks = [(HookStage::Exited, "/a=b"), (HookStage::Created, "/c"), (HookStage::Exited, "/d")];
    let hooks = hooks.map(|(stage, path)| hook(stage, path)).to_vec();
    assert_eq!(lifecycle, Lifecycle { keep_state: true, delete_on_exit: true, hooks, pin_namespaces: true });
    assert!(lifecycle.hooks_at(HookStage::Exited).map(|hook| hook.path.as_str()).eq(["/a=b", "/d"]));
    assert_eq!(least(&["--hook", "started=/x"]).lifecycle.hooks[0].timeout, Duration::from_secs(30));
}

#[test]
fn it_has_something_to_work_on() {
    let exec = ["-e", "--exec-process-spec", "p", "--control-dir", "/x"];
    let own: [&[&str]; 5] = [
        &["--keep-state"],
        &["--delete-on-exit"],
        &["--hook", "exited=/a"],
        &["--hook-timeout", "7"],
        &["--pin-namespaces"],
    ];
    for words in own {
        let line = [&LEAST[..], &exec, words].concat();
        let text = format!("conmon: {} is about containers and cannot be used with --exec", words[0]);
        assert_eq!(error(&line), text);
    }
    for more in [&["--control-dir", "", "--keep-state"], &["--cid=a/b", "--control-dir=/x", "--keep-state"]] {
        let error = error(&[&LEAST[..], more].concat());
        assert!(error.starts_with("conmon: --keep-state needs a control directory: "), "{error}");
    }
}

#[test]
fn faults_are_named() {
    let table: [(&[&str], &str); 9] = [
        (&["--hook", "exited"], "--hook “exited”: it is not of the form STAGE=PATH"),
        (&["--hook", ""], "--hook “”: it is not of the form STAGE=PATH"),
        (
            &["--hook", "Exited=/a"],
            "--hook “Exited=/a”: “Exited” is no stage; there are created, started, exited, deleted",
        ),
        (&["--hook", "exited=a"], "--hook “exited=a”: the path “a” is not absolute"),
        (&["--hook", "exited="], "--hook “exited=”: the path “” is not absolute"),
        (&["--hook-timeout", "0"], "hook-timeout must be at least 1, got 0"),
        (&["--hook-timeout=-1"], "hook-timeout must be at least 1, got -1"),
        (&["--pin-namespaces"], "--pin-namespaces is for hooks of the stage exited: there is none"),
        (
            &["--pin-namespaces", "--hook", "deleted=/a"],
            "--pin-namespaces is for hooks of the stage exited: there is none",
        ),
    ];
    for (more, text) in table {
        assert_eq!(error(&[&LEAST, more].concat()), format!("conmon: {text}"), "{more:?}");
    }
}
