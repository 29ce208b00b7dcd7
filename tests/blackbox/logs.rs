//! The log of a container, end to end. The encoders have their own tests beside them.

use crate::place;
use conward_testkit::{Launch, Pattern, Script, Step, Sum, To, joined, parse_log};
use std::os::unix::fs::PermissionsExt;

#[test]
fn lines_come_back_as_they_went() {
    let place = place();
    let text = b"one\n\ntwo \x00\x1b[0m\xff\r\n";
    place.script(&Script::of([Step::AwaitStart, Step::Write(To::Stdout, text.to_vec()), Step::err("tail")]));
    let mut running = Launch::create(&place).start().created();
    place.start_container();
    running.status();
    let records = place.log_records();
    assert_eq!(joined(&records, "stdout"), text);
    assert_eq!(joined(&records, "stderr"), b"tail");
    assert!(records.iter().all(|record| record.full == (record.stream == "stdout")));
    assert_eq!(place.mode("ctr.log"), "f640");
}

#[test]
fn a_line_of_a_megabyte_and_one_without_an_end() {
    let place = place();
    let line = Pattern { seed: 41, bytes: 1 << 20, line: 0 };
    let steps = [
        Step::AwaitStart,
        Step::Generate(To::Stdout, line),
        Step::out("\n"),
        Step::Generate(To::Stderr, line),
    ];
    place.script(&Script::of(steps));
    let mut running = Launch::create(&place).start().created();
    place.start_container();
    running.status();
    let records = place.log_records();
    assert_eq!(Sum::of(&joined(&records, "stderr")), Sum::of(&line.bytes()));
    assert_eq!(Sum::of(&joined(&records, "stdout")), Sum::of(&[line.bytes(), vec![b'\n']].concat()));
    assert!(
        records.iter().all(|record| record.content.len() <= 8192),
        "a record beyond the readers' buffers"
    );
}

#[test]
fn both_streams_at_once() {
    let place = place();
    let mut gate = place.gate("gate");
    let (out, err) =
        (Pattern { seed: 42, bytes: 4 << 20, line: 20_000 }, Pattern { seed: 43, bytes: 4 << 20, line: 9 });
    let fork = Step::Fork(vec![Step::Generate(To::Stderr, err), Step::Touch(place.path("done"))]);
    let last = Step::Await(gate.path().to_owned());
    place.script(&Script::of([Step::AwaitStart, fork, Step::Generate(To::Stdout, out), last]));
    let mut running = Launch::create(&place).start().created();
    place.start_container();
    place.await_file("done");
    gate.open();
    running.status();
    let records = place.log_records();
    assert_eq!(Sum::of(&joined(&records, "stdout")), Sum::of(&out.bytes()));
    assert_eq!(Sum::of(&joined(&records, "stderr")), Sum::of(&err.bytes()));
    let mut times: Vec<&str> = records.iter().map(|record| record.time.as_str()).collect();
    let logged = times.clone();
    times.sort_unstable();
    assert_eq!(times, logged, "time runs backwards");
}

#[test]
fn rotation_by_size_loses_nothing() {
    let place = place();
    let pattern = Pattern { seed: 44, bytes: 3 << 20, line: 5000 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern)]));
    let args = ["--log-size-max", "65536", "--log-rotate", "--log-max-files", "200"];
    let mut running = Launch::create(&place).args(args).start().created();
    place.start_container();
    running.status();
    let mut all = Vec::new();
    let rotated = (1..).take_while(|number| place.path(format!("ctr.log.{number}")).exists()).count();
    assert!(rotated > 40, "only {rotated} old files");
    for number in (0..=rotated).rev() {
        let name = if number == 0 { "ctr.log".to_owned() } else { format!("ctr.log.{number}") };
        let bytes = std::fs::read(place.path(&name)).expect("log file");
        assert!(bytes.len() <= 65536, "{name} has {} bytes", bytes.len());
        all.extend(parse_log(&bytes));
    }
    assert_eq!(Sum::of(&joined(&all, "stdout")), Sum::of(&pattern.bytes()));
}

#[test]
fn the_whole_limit_holds_over_restarts() {
    let place = place();
    let line = "x".repeat(955) + "\n"; // 1000 bytes a record
    let steps = vec![Step::out(&line.repeat(3)), Step::Exit(0)];
    for _ in 0..6 {
        place.script(&Script::of(steps.clone()));
        let mut running = Launch::create(&place).args(["--log-global-size-max", "5000"]).start().created();
        running.status();
    }
    let size = std::fs::metadata(place.log()).expect("log").len();
    assert!((5000..=6001).contains(&size), "{size} bytes");
}

#[test]
fn a_log_that_cannot_grow_costs_lines_and_nothing_else() {
    // A limit of the process stands for a full disk: write(2) fails with EFBIG, after a short write.
    let place = place();
    let pattern = Pattern { seed: 45, bytes: 1 << 20, line: 100 };
    place.script(&Script::of([Step::AwaitStart, Step::Generate(To::Stdout, pattern), Step::Exit(8)]));
    let mut running =
        Launch::create(&place).exit_command("hook.json").file_size_limit(100_000).start().created();
    let client = running.attach();
    place.start_container();
    assert_eq!(Sum::of(&client.read_to_end().stdout), Sum::of(&pattern.bytes()));
    assert_eq!(running.status(), 8);
    assert_eq!(place.exit_file().as_deref(), Some("8"));
    assert!(place.path("hook.json").exists());
    let log = std::fs::read(place.log()).expect("log");
    assert!(log.len() > 90_000, "given up after {} bytes", log.len());
}

#[test]
fn without_a_log_clients_still_hear() {
    let place = place();
    place.script(&Script::of([Step::AwaitStart, Step::out("heard")]));
    let running = Launch::create(&place).args(["-l", "none"]).start().created();
    let client = running.attach();
    place.start_container();
    assert_eq!(client.read_to_end().stdout, b"heard");
}

#[test]
fn an_existing_log_is_continued_with_its_own_mode() {
    let place = place();
    let old = "2026-11-21T17:32:00.226934934+00:00 stdout F old\n";
    std::fs::write(place.log(), old).expect("log");
    std::fs::set_permissions(place.log(), PermissionsExt::from_mode(0o604)).expect("chmod");
    place.script(&Script::of([Step::out("new\n")]));
    Launch::create(&place).start().created().status();
    assert_eq!(joined(&place.log_records(), "stdout"), b"old\nnew\n");
    assert_eq!(place.mode("ctr.log"), "f604");
}
