//! What clients do while a container runs that is tried with faults. An error is what they missed: one that begins
//! with `SILENCE` is an answer that never came, with `WRONG` one that is not true.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use conward_protocol::body::Descriptor;
use conward_protocol::client::{Answer, Client as Manager, Error};
use conward_protocol::request::{Attach, Exec, Stage, Stdin, Stream, Wait};
use conward_protocol::{Body, Exit, Request};
use conward_testkit::{Client, Place, Script, Step, readable};
use serde_json::{Value, json};

use crate::control::Control;

/// How long a client waits for an answer.
const ANSWER: Duration = Duration::from_secs(2);

/// What a client types, and the container or the session repeats.
pub const TYPED: &str = "typed\n";

/// The status of a session.
const SESSION: u8 = 5;

/// Input through the attach socket, a new log and a size through the fifo, a question and a wait
/// through the control socket. The error says what went unanswered.
pub fn visit(place: &Place) -> Result<(), String> {
    // As kubelet rotates: move the log away, then ask for a new one.
    fs::rename(place.log(), place.path("ctr.log.1")).map_err(|error| format!("no log: {error}"))?;
    place.try_ctl(b"2 0 0\n1 24 80\n");
    let attached = attach(place);
    let asked = ask(place);
    attached.and(asked)
}

fn attach(place: &Place) -> Result<(), String> {
    let client =
        Client::try_connect(&place.bundle().join("attach")).map_err(|error| format!("attach: {error}"))?;
    if !client.try_send(TYPED.as_bytes()) {
        return Err("the attach client was hung up on".into());
    }
    loop {
        match client.packet(ANSWER) {
            Some(Ok(packet)) if packet.ends_with(TYPED.as_bytes()) => return Ok(()),
            Some(Ok(_)) => {}
            Some(Err(_)) => return Err("the attach client was hung up on".into()),
            None => return Err("SILENCE: the attach client waits for ever".into()),
        }
    }
}

fn ask(place: &Place) -> Result<(), String> {
    let mut client = Control::connect(place, ANSWER)?;
    for request in ["state", "stats", "subscribe", "ps"] {
        client.ask(request)?;
    }
    Ok(())
}

/// A client that takes descriptors.
fn manager(place: &Place) -> Result<Manager, String> {
    // By way of a shorter path, as ever.
    let dir = place.path("control").join(place.id());
    let dir = File::open(dir).map_err(|error| format!("control: {error}"))?;
    let stream = UnixStream::connect(format!("/proc/self/fd/{}/control.sock", dir.as_raw_fd()));
    let stream = stream.map_err(|error| format!("control: {error}"))?;
    stream.set_read_timeout(Some(ANSWER)).expect("a time limit");
    Manager::over(stream).map_err(|error| missed("a greeting", &error))
}

fn missed(what: &str, error: &Error) -> String {
    match error {
        Error::Io(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            format!("SILENCE: {what} waits for ever")
        }
        error => format!("{what}: {error}"),
    }
}

fn call(client: &mut Manager, what: &str, request: Request) -> Result<Answer, String> {
    client.call(request).map_err(|error| missed(what, &error))
}

/// Takes the descriptor of that name out.
fn take(answer: &mut Answer, name: Descriptor) -> Result<File, String> {
    let at = answer.descriptors.iter().position(|(found, _)| *found == name);
    let (_, fd): (_, OwnedFd) = answer.descriptors.remove(at.ok_or(format!("WRONG: no {name} came"))?);
    Ok(File::from(fd))
}

/// Reads up to a text, or up to the end.
fn heard(stream: &mut File, end: &str) -> Result<String, String> {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        if !readable(&*stream, ANSWER) {
            return Err(format!("SILENCE: {end:?} is not heard after {:?}", String::from_utf8_lossy(&text)));
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(size) => text.extend_from_slice(&buffer[..size]),
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Input, output and what was before, all by descriptors.
pub fn handed(place: &Place) -> Result<(), String> {
    let mut client = manager(place)?;
    let request =
        Attach { streams: Stream::ALL.to_vec(), stdin: Stdin::Once, replay: Some(4096), exec: None };
    let mut answer = call(&mut client, "attach", Request::Attach(request))?;
    let mut before = String::new();
    let read = take(&mut answer, Descriptor::ReplayStdout)?.read_to_string(&mut before);
    read.map_err(|error| format!("replay: {error}"))?;
    let mut stdin = take(&mut answer, Descriptor::Stdin)?;
    stdin.write_all(TYPED.as_bytes()).map_err(|error| format!("stdin: {error}"))?;
    let now = heard(&mut take(&mut answer, Descriptor::Stdout)?, TYPED)?;
    match format!("{before}{now}") {
        both if both == format!("a line\n{TYPED}") => Ok(()),
        // It was told of the end of its attachment.
        both if !now.ends_with(TYPED) => Err(format!("only {both:?} was heard")),
        both => Err(format!("WRONG: {both:?} was heard")),
    }
}

/// Two sessions: one with pipes that repeats what is typed, and has it logged, and one with a terminal.
pub fn session(place: &Place) -> Result<(), String> {
    let mut client = manager(place)?;
    let mut request = exec(Script::of([Step::EchoLine, Step::Exit(SESSION)]), false);
    (request.stdin, request.log) = (Stdin::Once, true);
    let (name, mut answer) = start(&mut client, request)?;
    let mut stdin = take(&mut answer, Descriptor::Stdin)?;
    stdin.write_all(TYPED.as_bytes()).map_err(|error| format!("stdin: {error}"))?;
    let piped = heard(&mut take(&mut answer, Descriptor::Stdout)?, TYPED)?;
    ended(&mut client, name)?;
    let (name, mut answer) =
        start(&mut client, exec(Script::of([Step::out("tty\n"), Step::Exit(SESSION)]), true))?;
    let shown = heard(&mut take(&mut answer, Descriptor::Stdout)?, "\n")?;
    ended(&mut client, name)?;
    // It may have been written before the supervisor had the terminal, and could set ONLCR (tcgetattr(3)).
    match (piped.as_str(), shown.as_str()) {
        (TYPED, "tty\r\n" | "tty\n") => Ok(()),
        both => Err(format!("only {both:?} was heard")),
    }
}

fn exec(script: Script, terminal: bool) -> Exec {
    let Value::Object(process) = json!({"args": ["x"], "cwd": "/", "terminal": terminal, "script": script})
    else {
        unreachable!("it is an object")
    };
    Exec {
        process,
        id: None,
        streams: vec![Stream::Stdout],
        stdin: Stdin::None,
        timeout_ms: None,
        log: false,
    }
}

fn start(client: &mut Manager, request: Exec) -> Result<(String, Answer), String> {
    let answer = call(client, "exec", Request::Exec(request))?;
    match &answer.body {
        Body::ExecStarted(started) => Ok((started.exec.clone(), answer)),
        other => Err(format!("WRONG: {other:?}")),
    }
}

/// Its end is the true one, or unknown.
fn ended(client: &mut Manager, name: String) -> Result<(), String> {
    let wait = Wait { stage: Stage::Exited, exec: Some(name) };
    match call(client, "wait", Request::Wait(wait))?.body {
        Body::Waited(waited) if waited.exit == Some(Exit::Code(SESSION)) => Ok(()),
        Body::Waited(waited) if waited.exit == Some(Exit::Unknown) => Err("its end is unknown".to_owned()),
        other => Err(format!("WRONG: {other:?}")),
    }
}
