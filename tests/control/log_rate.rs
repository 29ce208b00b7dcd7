//! Streams that write faster than `--log-rate` lets them be logged.

use std::time::{Duration, Instant, SystemTime};

use conward_protocol::request::Exec;
use conward_protocol::{Exit, Timestamp};
use conward_testkit::{LogRecord, Pattern, Place, Running, Script, Step, To, joined, wait_until};
use serde_json::Value;

use crate::client::Client;
use crate::exec::exec;
use crate::{directory, launch, place};

/// Bytes of a line, its newline counted.
const LINE: usize = 64;

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("{number:063}\n")).collect()
}

/// A container with these options that waits to be started, and a client.
fn created<'a>(place: &'a Place, steps: Vec<Step>, args: &[&str]) -> (Running<'a>, Client) {
    place.script(&Script::of([vec![Step::AwaitStart], steps].concat()));
    let running = launch(place).args(args).arg("--keep-state").env("TZ", "UTC").start().created();
    (running, Client::connect(place))
}

/// What the client is told of the standard output: what was read, and what its log did with it.
fn stdout(client: &mut Client) -> (u64, Value) {
    let stats = client.ok("stats");
    (stats["streams"][0]["read"].as_u64().expect("a count"), stats["sinks"][0].clone())
}

/// The markers in a log, and the other lines.
fn markers_and_lines(records: &[LogRecord]) -> (Vec<String>, Vec<String>) {
    let text = String::from_utf8(joined(records, "stdout")).expect("text");
    text.lines().map(str::to_owned).partition(|line| line.starts_with("[conward: "))
}

/// The container is slowed down: at no moment was more logged than the rate allows, and nothing is lost.
#[test]
fn by_itself_a_rate_holds_the_container_back() {
    const RATE: usize = 128 << 10;
    let total = 6144;
    let place = place();
    let before = SystemTime::now();
    let steps = vec![Step::out(&lines(total)), Step::Touch(place.path("wrote")), Step::Exit(7)];
    let (mut running, mut client) = created(&place, steps, &["--log-rate", "stdout=128k:32k"]);
    client.ok("start");
    // It is asked in the midst of it.
    wait_until("output to wait", || stdout(&mut client).1["waiting"].as_u64() > Some(0));
    assert_eq!(client.ok("state")["state"], "running");
    assert!(!place.path("wrote").exists());
    client.ok("wait recorded");
    drop(client);
    assert_eq!(running.status(), 7);
    let records = place.log_records();
    assert_eq!(joined(&records, "stdout"), lines(total).into_bytes());
    // A record has the time at which it was read; what was read before that was logged then, but for the end,
    // which nobody is held back by any more.
    let (mut logged, mut last) = (0, String::new());
    let mut moments = 0;
    for record in &records {
        if record.time != last {
            last.clone_from(&record.time);
            moments += 1;
            let elapsed = moment(&record.time).duration_since(before).unwrap_or(Duration::ZERO);
            let allowed = (32 << 10) + (elapsed.as_secs_f64() * RATE as f64) as usize + 8192;
            let rest = total * LINE - logged <= 2 * (64 << 10);
            assert!(logged <= allowed || rest, "{logged} bytes at {}, {allowed} are allowed", record.time);
        }
        logged += record.content.len() + usize::from(record.full);
    }
    assert!(moments > 3, "read in {moments} chunks");
}

/// The moment that a record tells, in UTC.
fn moment(text: &str) -> SystemTime {
    let utc = text.strip_suffix("+00:00").expect("UTC was asked for");
    let parsed: Timestamp = serde_json::from_value(Value::String(format!("{utc}Z"))).expect("a time");
    let seconds = u64::try_from(parsed.seconds()).expect("a time after 1970");
    SystemTime::UNIX_EPOCH + Duration::new(seconds, parsed.nanos())
}

/// A log that drops what is too much loses whole lines, and tells how many; clients hear all.
#[test]
fn what_is_dropped_is_counted_and_told() {
    for policy in ["drop-newest", "drop-oldest"] {
        let total = 10_000;
        let place = place();
        let mut gate = place.gate("gate");
        let steps = vec![Step::out(&lines(total)), Step::Await(gate.path().to_owned()), Step::Exit(7)];
        let args = ["--log-policy", policy, "--log-rate", "1k:32k"];
        let (mut running, mut client) = created(&place, steps, &args);
        let hears = running.attach();
        client.ok("start");
        wait_until("all to be read", || stdout(&mut client).0 == (total * LINE) as u64);
        let (read, sink) = stdout(&mut client);
        let sum = ["logged", "dropped", "withheld", "waiting"].map(|name| sink[name].as_u64().unwrap_or(0));
        assert_eq!(read, sum.iter().sum::<u64>(), "{sink}");
        assert_eq!(sink["drops"]["rate"]["bytes"], sink["dropped"], "{sink}");
        gate.open();
        client.ok("wait recorded");
        drop(client);
        assert_eq!(hears.read_to_end().stdout, lines(total).into_bytes());
        assert_eq!(running.status(), 7);
        let record = std::fs::read(directory(&place).join("exit.json")).expect("the record");
        let record: Value = serde_json::from_slice(&record).expect("JSON");
        let dropped = &record["sinks"][0]["drops"]["rate"];
        let (markers, kept) = markers_and_lines(&place.log_records());
        assert!(kept.iter().all(|line| line.len() == LINE - 1), "{policy}: a torn line");
        assert!(kept.is_sorted_by(|one, next| one < next), "{policy}: out of order");
        assert_eq!(dropped["lines"].as_u64(), Some((total - kept.len()) as u64), "{policy}: {record}");
        assert_eq!(
            dropped["bytes"].as_u64(),
            Some(((total - kept.len()) * LINE) as u64),
            "{policy}: {record}"
        );
        assert_eq!(record["log_complete"], false);
        // The burst first; then the newest, or what has waited.
        assert!(kept[511].ends_with("0511") && !markers.is_empty(), "{policy}: {markers:?}");
        let told = |marker: &String| {
            marker.contains(" lines) of stdout ") && marker.ends_with(": more than --log-rate allows]")
        };
        assert!(markers.iter().all(told), "{markers:?}");
        match policy {
            "drop-oldest" => {
                assert!(kept.len() > 4000 && kept.last().is_some_and(|line| line.ends_with("9999")))
            }
            _ => assert!(kept.len() < 1500, "{} lines", kept.len()),
        }
    }
}

/// A session's lines count as those of the stream that they are logged as.
#[test]
fn sessions_are_bound_by_it() {
    for policy in ["block", "drop-newest"] {
        let pattern = Pattern { seed: 71, bytes: 32 << 10, line: 60 };
        let mut written = pattern.bytes();
        written.push(b'\n');
        let written = String::from_utf8(written).expect("text");
        let place = place();
        let args = ["--log-policy", policy, "--log-rate", "16k:8k"];
        let (mut running, mut client) = created(&place, vec![Step::Pause], &args);
        client.ok("start");
        let script = Script::of([Step::Generate(To::Stdout, pattern), Step::out("\n"), Step::Exit(3)]);
        let (name, _) = client.start_exec(Exec { log: true, ..exec(script) });
        assert_eq!(client.wait_exec(&name), Exit::Code(3));
        assert_eq!(client.ok("state")["state"], "running");
        client.ok("kill KILL");
        client.ok("wait recorded");
        drop(client);
        assert_eq!(running.status(), 137);
        let (markers, kept) = markers_and_lines(&place.log_records());
        let mut lines = written.lines();
        assert!(kept.iter().all(|kept| lines.any(|line| line == kept)), "{policy}: a torn line");
        let lost = written.lines().count() - kept.len();
        if policy == "block" {
            assert_eq!((lost, markers.len()), (0, 0));
        } else {
            let bytes = written.len() - kept.iter().map(|line| line.len() + 1).sum::<usize>();
            assert!(bytes > 8 << 10, "{bytes} bytes are lost");
            let told = format!("[conward: {bytes} bytes ({lost} lines) of stdout not logged from ");
            assert!(markers.len() == 1 && markers[0].starts_with(&told), "{markers:?}");
        }
    }
}

/// The rate holds a session back as it does the container.
#[test]
fn a_session_waits_too() {
    let place = place();
    let (mut running, mut client) = created(&place, vec![Step::Pause], &["--log-rate", "1k"]);
    client.ok("start");
    let pattern = Pattern { seed: 72, bytes: 1 << 20, line: 60 };
    let script = Script::of([Step::Generate(To::Stdout, pattern), Step::Touch(place.path("wrote"))]);
    client.start_exec(Exec { log: true, ..exec(script) });
    wait_until("its first lines", || !place.log_records().is_empty());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(500) {
        assert_eq!(client.ok("state")["state"], "running");
        assert!(!place.path("wrote").exists());
    }
    client.ok("kill KILL");
    client.ok("wait recorded");
    drop(client);
    assert_eq!(running.status(), 137);
    let (markers, kept) = markers_and_lines(&place.log_records());
    let written = String::from_utf8(pattern.bytes()).expect("text");
    // What it had written, but for the end of it, which nobody has read.
    let kept = kept.join("\n");
    assert!(markers.is_empty() && written.starts_with(&kept), "not what it wrote");
}
