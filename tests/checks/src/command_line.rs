//! The command line: each line of the bytes is a word, or, where it begins with `$`, a variable of the
//! environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use conward::error::Error;
use conward::front::{self, Asked};
use conward::plan::{Detach, Plan, ReportForm, Stdio, Verb};
use conward_protocol::record::HookStage;

/// The words have one meaning, or are refused with a reason; and what is planned can be done.
pub fn check(input: &[u8]) {
    let (mut words, mut variables) = (Vec::new(), Vec::new());
    for line in input.split(|&byte| byte == b'\n') {
        match line.strip_prefix(b"$") {
            Some(variable) => variables.push(variable),
            None => words.push(OsString::from_vec(line.to_vec())),
        }
    }
    let env = |name: &str| {
        let value =
            |variable: &&[u8]| Some(variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
        variables.iter().find_map(value).map(OsString::from_vec)
    };
    let ask = |more: Option<&str>| front::ask(words.iter().cloned().chain(more.map(OsString::from)), &env);
    let asked = told(ask(None));
    assert_eq!(told(ask(None)), asked);
    match &asked {
        Told::Run(plan) => {
            sound(plan);
            // What stands for itself means nothing.
            assert_eq!(told(ask(Some("word"))), asked);
        }
        Told::Refused(reason) => assert!(!reason.is_empty()),
        Told::Text => {}
    }
}

/// What came of it.
#[derive(Debug, PartialEq)]
enum Told {
    Run(Box<Plan>),
    Refused(String),
    Text,
}

fn told(asked: Result<Asked, Error>) -> Told {
    match asked {
        Ok(Asked::Run { plan, .. }) => Told::Run(plan),
        Ok(Asked::Help | Asked::Version) => Told::Text,
        Ok(Asked::Unreadable(error)) | Err(error) => Told::Refused(error.to_string()),
    }
}

fn sound(plan: &Plan) {
    let is_exec = matches!(plan.verb, Verb::Exec { .. });
    let lifecycle = &plan.lifecycle;
    if let Some(directory) = &plan.endpoints.control_dir {
        assert!(!is_exec);
        assert_eq!(directory.file_name(), Some(OsStr::new(&plan.identity.id)));
    }
    assert!(!lifecycle.keep_state || plan.endpoints.control_dir.is_some());
    assert!(!lifecycle.pin_namespaces || lifecycle.hooks_at(HookStage::Exited).next().is_some());
    assert!(!is_exec || (lifecycle.hooks.is_empty() && !lifecycle.keep_state && !lifecycle.delete_on_exit));
    for hook in &lifecycle.hooks {
        assert!(hook.path.starts_with('/') && !hook.timeout.is_zero(), "{hook:?}");
    }
    let report = &plan.report;
    let pipes: Vec<i32> =
        [report.start_pipe, report.sync_pipe, report.attach_pipe].into_iter().flatten().collect();
    let is_alone = |pipe: &&i32| pipes.iter().filter(|other| other == pipe).count() == 1;
    assert!(pipes.iter().all(|pipe| *pipe > 2) && pipes.iter().filter(is_alone).count() == pipes.len());
    assert_eq!(report.attach_pipe.is_some(), matches!(plan.verb, Verb::Exec { gated: true, .. }));
    assert!(report.form != ReportForm::Pid || !is_exec);
    if let Some(file) = &plan.logs.file {
        assert!(!file.path.as_os_str().is_empty());
        assert!(
            [file.size_max, file.global_max].iter().all(|bytes| *bytes != Some(0)) && file.keep != Some(0)
        );
    }
    if let Some(journal) = &plan.logs.journal {
        for label in &journal.labels {
            let name = label.split('=').next().unwrap_or_default();
            let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(!name.is_empty() && name.len() < label.len() && name.bytes().all(known), "{label:?}");
        }
    }
    assert!(plan.stdio != Stdio::Passthrough || plan.endpoints.socket_dir.is_none());
    assert!(plan.timeout.is_none_or(|limit| !limit.is_zero()));
    assert!(plan.diagnostics.ident.chars().count() <= 20);
    if let Detach::Yes { pid_file: Some(path) } = &plan.detach {
        assert!(std::str::from_utf8(path.as_os_str().as_bytes()).is_ok());
    }
}
