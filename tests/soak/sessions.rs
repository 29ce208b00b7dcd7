//! Many exec sessions over one connection.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use conward_protocol::client::{Client, Incoming, Ticket};
use conward_protocol::request::{Exec, Stage, Stdin, Stream, Wait};
use conward_protocol::{Body, Exit, Request};
use conward_testkit::{Footprint, Script, Step, joined};
use serde_json::{Value, json};

use crate::report::{Pace, await_flat, scaled};
use crate::{ask, launch, manager, place};

/// Sessions at once.
const AT_ONCE: u64 = 8;

/// Signals that sessions die of.
const SIGNALS: [i32; 4] = [1, 9, 10, 15];

/// One session: with or without a terminal, heard or not, logged or not, all by its number.
struct Session {
    number: u64,
    /// Its output, if it is heard.
    stdout: Option<OwnedFd>,
}

impl Session {
    fn end(&self) -> (Step, Exit) {
        match self.number % 8 {
            7 => {
                let signal = SIGNALS[(self.number / 8) as usize % SIGNALS.len()];
                (Step::Die(signal), Exit::Signal(signal as u8))
            }
            _ => (Step::Exit(self.number as u8), Exit::Code(self.number as u8)),
        }
    }

    fn is_logged(&self) -> bool {
        self.number % 4 == 3
    }

    fn request(&self) -> Request {
        let script = Script::of([Step::out(&format!("session {}\n", self.number)), self.end().0]);
        let terminal = self.number % 4 == 2;
        let process = json!({"args": ["fake"], "cwd": "/", "terminal": terminal, "script": script});
        let Value::Object(process) = process else { panic!("no object") };
        let streams = if self.number.is_multiple_of(4) { vec![] } else { vec![Stream::Stdout] };
        let (stdin, log) = (Stdin::None, self.is_logged());
        Request::Exec(Exec { process, id: None, streams, stdin, timeout_ms: None, log })
    }

    /// It has ended so, and what it wrote was heard.
    fn check(self, exit: Option<Exit>) {
        assert_eq!(exit, Some(self.end().1), "session {}", self.number);
        if let Some(stdout) = self.stdout {
            let mut heard = String::new();
            File::from(stdout).read_to_string(&mut heard).expect("output up to its end");
            assert_eq!(heard.trim_end(), format!("session {}", self.number));
        }
    }
}

/// Keeps sessions going until so many have ended, each as it should.
fn run(client: &mut Client, numbers: std::ops::Range<u64>, mut ended: impl FnMut()) {
    let mut left = numbers.clone();
    let mut asked: BTreeMap<Ticket, Session> = BTreeMap::new();
    let mut begin = |client: &mut Client, asked: &mut BTreeMap<Ticket, Session>| {
        if let Some(number) = left.next() {
            let session = Session { number, stdout: None };
            asked.insert(client.send(session.request()).expect("sent"), session);
        }
    };
    (0..AT_ONCE).for_each(|_| begin(client, &mut asked));
    while !asked.is_empty() {
        let Incoming::Answered(ticket) = client.receive().expect("an answer") else { continue };
        let mut session = asked.remove(&ticket).expect("one of ours");
        let mut answer =
            client.answer(ticket).unwrap_or_else(|error| panic!("session {}: {error}", session.number));
        match answer.body {
            Body::ExecStarted(started) => {
                session.stdout = answer.descriptors.pop().map(|(_, fd)| fd);
                let wait = Wait { stage: Stage::Exited, exec: Some(started.exec) };
                asked.insert(client.send(Request::Wait(wait)).expect("sent"), session);
            }
            Body::Waited(waited) => {
                session.check(waited.exit);
                ended();
                begin(client, &mut asked);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn thousands_of_execs_over_one_connection() {
    // From the first some hundred on it knows as many events and outcomes as it will ever.
    let (first, count) = (scaled(200, 2_000), scaled(500, 10_000));
    let place = place();
    let mut gate = place.gate("gate");
    place.script(&Script::of([Step::AwaitStart, Step::Await(gate.path().to_owned()), Step::Exit(7)]));
    let mut running = launch(&place).start().created();
    let supervisor = running.monitor().pid();
    let mut client = manager(&place);
    ask(&mut client, Request::Start);
    run(&mut client, 0..first, || ());
    let before = Footprint::of(supervisor);
    let mut pace = Pace::of(count);
    run(&mut client, first..first + count, || pace.lap());
    let after = await_flat("the supervisor", before, || Footprint::of(supervisor));
    let Body::Stats(stats) = ask(&mut client, Request::Stats) else { panic!("no stats") };
    assert_eq!((stats.execs, stats.execs_total), (0, first + count));
    gate.open();
    drop(client);
    assert_eq!(running.status(), 7);
    let logged = String::from_utf8(joined(&place.log_records(), "stdout")).expect("text");
    let mut logged: Vec<&str> = logged.lines().collect();
    logged.sort_unstable();
    let all = (0..first + count).map(|number| Session { number, stdout: None });
    let mut wanted: Vec<String> =
        all.filter(Session::is_logged).map(|session| format!("session {}", session.number)).collect();
    wanted.sort_unstable();
    assert_eq!(logged, wanted);
    pace.report("execs over one connection", before, after);
}
