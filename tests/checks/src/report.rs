//! What a runtime writes to stderr before it fails, on its way to the caller.

use conward::core::Failure;
use conward::launch::failure_text;
use conward::plan::{ReportForm, Stdio};
use conward::serve::pipes::{MESSAGE_MAX, encode};
use conward_protocol::Exit;
use serde_json::Value;

/// The caller is told one line of JSON, within the bound, with a message: the runtime's own if it had any.
pub fn check(input: &[u8]) {
    let stdio = Stdio::Pipes { stdin: false, leave_open: false };
    for (form, key) in
        [(ReportForm::Pid, "pid"), (ReportForm::ExitCode, "exit_code"), (ReportForm::Data, "data")]
    {
        for failure in [Failure::Runtime(Exit::Code(1)), Failure::PidFile("no pid file".to_owned())] {
            let text = failure_text(&failure, "runc", stdio, input.to_vec());
            let line = encode(form, -1, Some(&text));
            assert!(line.len() <= MESSAGE_MAX, "{} bytes", line.len());
            assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
            let value: Value = serde_json::from_slice(&line).expect("JSON");
            assert_eq!(value[key], -1);
            let told = value["message"].as_str().expect("a message");
            let said = input.split(|&byte| byte == 0).next().unwrap_or_default();
            let said = String::from_utf8_lossy(said);
            assert!(!told.is_empty() && (said.is_empty() || said.starts_with(told)), "{told:?}");
        }
    }
}
