//! The notify relay.

use crate::compare::Subject;
use conward_testkit::{Launch, PATIENCE, Script, Step, readable};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// What a container may send. Those that have `READY=1` in them must come to exactly that.
const TEXTS: [&str; 19] = [
    "READY=1",
    "READY=1\n",
    "READY=0",
    "ready=1",
    "MAINPID=7",
    "MAINPID=7\nREADY=1",
    "STATUS=a b\nFOO=1",
    "RELOADING=1\nMONOTONIC_USEC=5",
    "STOPPING=1",
    "WATCHDOG=1",
    "WATCHDOG=trigger",
    "WATCHDOG=2",
    "ERRNO=2\r\nBUSERROR=x",
    "FDSTORE=1",
    "BARRIER=1",
    "\n\n",
    "STATUS=",
    " STATUS=x",
    "EXTEND_TIMEOUT_USEC=5",
];

/// Datagrams of a container, each of which is answered by what the host's manager gets of it.
pub fn filter(subject: &mut Subject) {
    let place = subject.place();
    let host_path = place.path("host.sock");
    let host = UnixDatagram::bind(&host_path).expect("host socket");
    std::fs::create_dir(place.bundle().join("notify")).expect("notify directory");
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::create(&place).arg("--sdnotify-socket").arg(&host_path).start().created();
    subject.note("mode", place.mode("bundle/notify/notify.sock"));
    let container = UnixDatagram::unbound().expect("socket");
    let relay = place.bundle().join("notify/notify.sock");
    let receive = |limit| {
        readable(&host, limit).then(|| {
            let mut buffer = [0; 4096];
            let size = host.recv(&mut buffer).expect("receive");
            buffer[..size].escape_ascii().to_string()
        })
    };
    for text in TEXTS {
        container.send_to(text.as_bytes(), &relay).expect("send");
        // What follows shows that nothing came of it. No other line passes both supervisors.
        container.send_to(b"READY=1", &relay).expect("send");
        let first = receive(PATIENCE).expect("the relay is silent");
        let second = if first != "READY=1" || text.contains("READY=1") { receive(PATIENCE) } else { None };
        let got = if second.is_some() { first } else { "(nothing)".into() };
        subject.note(&format!("{text:?}"), got);
    }
    // Where the relay has gone for good, the send fails with ECONNREFUSED.
    let sent = [&b""[..], b"READY=1"].map(|text| container.send_to(text, &relay).is_ok());
    let got = if sent[1] { receive(Duration::from_secs(1)) } else { None };
    subject.note("after an empty datagram", got.unwrap_or("(nothing)".into()));
    place.start_container();
    subject.note("status", running.status());
}
