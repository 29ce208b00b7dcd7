//! The process of an `exec`, as far as the supervisor must understand it. All else is the runtime's.

use conward_protocol::{Failure, Op};
use serde_json::{Map, Value};

/// Checks it, and returns whether it is to have a terminal.
///
/// # Errors
///
/// `bad-request`, which names the place in the object.
pub fn wants_terminal(process: &Map<String, Value>) -> Result<bool, Failure> {
    check_args(process.get("args"))?;
    match process.get("cwd") {
        Some(Value::String(path)) if path.starts_with('/') => {}
        Some(Value::String(path)) => return Err(wrong("cwd", &format!("{path:?} is no absolute path"))),
        Some(Value::Null) | None => return Err(wrong("cwd", "is missing; expected an absolute path")),
        Some(other) => return Err(wrong("cwd", &format!("expected an absolute path, not {}", kind(other)))),
    }
    match process.get("terminal") {
        Some(Value::Bool(terminal)) => Ok(*terminal),
        Some(Value::Null) | None => Ok(false),
        Some(other) => Err(wrong("terminal", &format!("expected true or false, not {}", kind(other)))),
    }
}

fn check_args(args: Option<&Value>) -> Result<(), Failure> {
    const EXPECTED: &str = "an array of texts that begins with the program";
    let args = match args {
        Some(Value::Array(args)) => args,
        Some(Value::Null) | None => return Err(wrong("args", &format!("is missing; expected {EXPECTED}"))),
        Some(other) => return Err(wrong("args", &format!("expected {EXPECTED}, not {}", kind(other)))),
    };
    if args.is_empty() {
        return Err(wrong("args", &format!("is empty; expected {EXPECTED}")));
    }
    match args.iter().enumerate().find(|(_, arg)| !arg.is_string()) {
        Some((nth, other)) => {
            Err(wrong(&format!("args[{nth}]"), &format!("expected a text, not {}", kind(other))))
        }
        None => Ok(()),
    }
}

fn wrong(place: &str, message: &str) -> Failure {
    Failure::field(Op::Exec, &format!("process.{place}"), message)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use conward_protocol::ErrorCode;
    use serde_json::{Value, json};

    use super::wants_terminal;

    fn checked(process: Value) -> Result<bool, conward_protocol::Failure> {
        let Value::Object(process) = process else { panic!("no object") };
        wants_terminal(&process)
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let table = [
            (json!({"cwd": "/"}), "process.args"),
            (json!({"args": null, "cwd": "/"}), "process.args"),
            (json!({"args": "sh", "cwd": "/"}), "process.args"),
            (json!({"args": [], "cwd": "/"}), "process.args"),
            (json!({"args": ["sh", "-c", 7], "cwd": "/"}), "process.args[2]"),
            (json!({"args": [null], "cwd": "/"}), "process.args[0]"),
            (json!({"args": ["sh"]}), "process.cwd"),
            (json!({"args": ["sh"], "cwd": ""}), "process.cwd"),
            (json!({"args": ["sh"], "cwd": "tmp"}), "process.cwd"),
            (json!({"args": ["sh"], "cwd": {}}), "process.cwd"),
            (json!({"args": ["sh"], "cwd": "/", "terminal": "yes"}), "process.terminal"),
        ];
        for (process, field) in table {
            let failure = checked(process.clone()).expect_err("refused");
            assert_eq!((failure.code, failure.field.as_deref()), (ErrorCode::BadRequest, Some(field)));
            assert!(failure.message.starts_with(&format!("exec: {field}: ")), "{failure:?}");
        }
    }

    #[test]
    fn the_terminal_is_found_and_all_else_is_the_runtimes() {
        for (terminal, wanted) in [(json!(true), true), (json!(false), false), (json!(null), false)] {
            let process = json!({"args": ["sh"], "cwd": "/", "terminal": terminal, "user": "whatever"});
            assert_eq!(checked(process).expect("a process"), wanted);
        }
        assert!(!checked(json!({"args": [""], "cwd": "/x"})).expect("a process"));
    }
}
