//! What went wrong once, found by reading and not by a test.

use crate::place;
use conward_testkit::{
    Client, Container, Ending, Host, Launch, PATIENCE, Pattern, Place, Running, Script, Step, Sum, To,
    children, descriptors, joined, state_of, wait_until,
};
use nix::sys::signal::Signal;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Bytes of a container's last words: they fit into a pipe, so that it need not wait for a reader.
const LAST_WORDS: u64 = 60_000;

/// Stops the supervisor, so that all that comes now comes in one round of its loop.
fn stop(running: &mut Running<'_>) -> i32 {
    running.kill(Signal::SIGSTOP);
    let pid = running.monitor().pid();
    wait_until("the supervisor stands still", || state_of(pid) == Some('T'));
    pid
}

fn logged(place: &Place, stream: &str) -> Sum {
    Sum::of(&joined(&place.log_records(), stream))
}

#[test]
fn a_silent_client_costs_the_log_nothing_whenever_its_queue_fills_up() {
    // Its queue and its socket hold about 4.3 MB, so that it fills up before, with or after the end.
    let sizes = (4_190_000..4_400_000).step_by(20_000);
    let life = |bytes: u64| {
        let place = place();
        let stdout = Pattern { seed: bytes, bytes, line: 500 };
        let stderr = Pattern { seed: 60, bytes: LAST_WORDS, line: 90 };
        let steps =
            [Step::AwaitStart, Step::Generate(To::Stdout, stdout), Step::Generate(To::Stderr, stderr)];
        place.script(&Script::of([&steps[..], &[Step::Exit(5)]].concat()));
        let mut running = Launch::create(&place).start().created();
        let silent = running.attach();
        place.start_container();
        wait_until("the end is recorded", || place.exit_file().as_deref() == Some("5"));
        for (stream, pattern) in [("stdout", stdout), ("stderr", stderr)] {
            assert_eq!(logged(&place, stream), Sum::of(&pattern.bytes()), "{stream} after {bytes} bytes");
        }
        drop(silent);
        assert_eq!(running.status(), 5);
    };
    std::thread::scope(|scope| {
        let lives: Vec<_> = sizes.map(|bytes| scope.spawn(move || life(bytes))).collect();
        lives.into_iter().for_each(|life| life.join().expect("a life"));
    });
}

#[test]
fn a_slow_journal_costs_the_log_file_nothing_and_what_it_missed_is_counted() {
    let place = place();
    let host = Host::new(&place);
    let stdout = Pattern { seed: 61, bytes: LAST_WORDS, line: 100 };
    let stderr = Pattern { seed: 62, bytes: LAST_WORDS, line: 100 };
    let steps = [Step::AwaitStart, Step::Generate(To::Stdout, stdout), Step::Generate(To::Stderr, stderr)];
    place.script(&Script::of(steps));
    let mut running = Launch::create(&place).host(&host).args(["-l", "journald", "--syslog"]).start();
    running.go();
    running.pid();
    place.start_container();
    let mut messages = Vec::new();
    // It moves, but takes many times longer than anybody waits for the end.
    while place.exit_file().is_none() {
        messages.extend(host.journal(Duration::from_millis(20)));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(running.status(), 0);
    assert_eq!(logged(&place, "stdout"), Sum::of(&stdout.bytes()));
    assert_eq!(logged(&place, "stderr"), Sum::of(&stderr.bytes()));

    messages.extend(std::iter::from_fn(|| host.journal(Duration::ZERO)));
    let entries = messages.iter().filter(|message| !message.starts_with(b"[conward: "));
    let arrived: usize = entries.map(Vec::len).sum();
    let told = std::iter::from_fn(|| host.syslog(Duration::ZERO));
    let counts = told.filter_map(|line| {
        let (head, _) = line.split_once(" bytes of std")?;
        assert!(line.ends_with(" are missing from the journal"), "{line}");
        head.rsplit(' ').next()?.parse::<usize>().ok()
    });
    let lost: usize = counts.sum();
    assert!(arrived > 0 && lost > 0, "{arrived} bytes arrived, {lost} were lost");
    assert_eq!(arrived + lost, 2 * LAST_WORDS as usize);
}

#[test]
fn syslog_hears_what_goes_wrong_after_the_exit_file() {
    let place = place();
    let host = Host::new(&place);
    place.script(&Script::of([Step::Exit(6)]));
    let args = ["--syslog", "--exit-command", "/nonexistent"];
    let mut running = Launch::create(&place).host(&host).args(args).start().created();
    assert_eq!(running.status(), 6);
    let lines: Vec<String> = std::iter::from_fn(|| host.syslog(Duration::ZERO)).collect();
    let wanted = "cannot execute exit command /nonexistent";
    assert!(lines.iter().any(|line| line.contains(wanted)), "{lines:?}");
}

#[test]
fn clients_that_leave_before_their_input_was_read_leave_no_descriptor() {
    let place = place();
    let (mut first, mut second) = (place.gate("first"), place.gate("second"));
    place.script(&Script::of([
        Step::AwaitStart,
        Step::Await(first.path().to_owned()),
        Step::EchoLine,
        Step::Await(second.path().to_owned()),
    ]));
    let mut running = Launch::create(&place).args(["-i", "--leave-stdin-open"]).start().created();
    place.start_container();
    let pid = running.monitor().pid();
    let before = descriptors(pid).len();
    // More than the pipe and the supervisor hold: the rest stays in the socket.
    let talker = running.attach();
    (0..7).for_each(|_| talker.send(&[b'x'; 20_000]));
    talker.send(&[&[b'x'; 19_999][..], b"\n"].concat());
    let others = [(); 3].map(|()| running.attach());
    others.iter().for_each(|client| client.send(b"me too"));
    wait_until("all are accepted", || descriptors(pid).len() == before + 4);
    drop((talker, others));
    first.open();
    wait_until("all are gone", || descriptors(pid).len() == before);
    second.open();
    assert_eq!(running.status(), 0);
    let echo = joined(&place.log_records(), "stdout");
    assert_eq!(echo.iter().filter(|&&byte| byte == b'x').count(), 159_999, "what they sent counts");
}

#[test]
fn neither_do_those_that_said_much_to_a_container_that_does_not_listen() {
    let place = place();
    let mut gate = place.gate("gate");
    place.script(&Script::of([Step::AwaitStart, Step::Await(gate.path().to_owned())]));
    let mut running = Launch::create(&place).start().created();
    place.start_container();
    let pid = stop(&mut running);
    let before = descriptors(pid).len();
    // More packets than are taken in one turn.
    for _ in 0..5 {
        let client = running.attach();
        (0..100).for_each(|_| client.send(b"x"));
    }
    // Accepted after all of them, so the count cannot be right before they came.
    let last = running.attach();
    running.kill(Signal::SIGCONT);
    wait_until("only the last is there", || descriptors(pid).len() == before + 1);
    drop(last);
    wait_until("all are gone", || descriptors(pid).len() == before);
    gate.open();
    assert_eq!(running.status(), 0);
}

#[test]
fn while_the_exit_command_runs_all_is_closed_and_the_log_is_final() {
    for terminal in [false, true] {
        let place = place();
        let host = Host::new(&place);
        std::fs::create_dir(place.bundle().join("notify")).expect("directory of the notify socket");
        let mut gate = place.gate("gate");
        place.script(&Script::of([Step::AwaitStart, Step::out("last words\n")]));
        let launch = Launch::create(&place).arg("-i").arg("--sdnotify-socket").arg(place.path("nobody"));
        let launch = if terminal { launch.arg("-t") } else { launch.host(&host).args(["-l", "journald"]) };
        let mut running = launch.gated_exit_command("hook.json", &gate).start().created();
        let pid = running.monitor().pid();
        place.start_container();
        place.await_file("hook.json");

        let mut open = descriptors(pid);
        open.sort();
        open.dedup_by(|a, b| a == b && a == "/dev/null");
        let kinds: Vec<&str> = open.iter().map(|name| name.split('[').next().unwrap_or(name)).collect();
        // What it waits with, its signals, and the control socket, by which managers hear of the end.
        assert_eq!(kinds, ["/dev/null", "anon_inode:", "anon_inode:", "socket:"], "{open:?}");

        match Client::try_connect(&place.bundle().join("attach")) {
            Err(_) => {}
            Ok(client) => assert_eq!(client.packet(PATIENCE), Some(Err(Ending::Eof))),
        }
        let log = std::fs::read(place.log()).expect("log");
        let ctl = std::fs::OpenOptions::new().read(true).write(true).open(place.bundle().join("ctl"));
        ctl.and_then(|mut ctl| ctl.write_all(b"2 0 0\n")).expect("ctl");
        gate.open();
        assert_eq!(running.status(), 0);
        assert_eq!(std::fs::read(place.log()).expect("log"), log);
        assert!(!log.is_empty());
    }
}

#[test]
fn each_packet_of_a_pipe_of_packets_is_logged_though_others_hold_it_open() {
    let place = place();
    let (mut gate, mut stays) = (place.gate("gate"), place.gate("stays"));
    let packets: Vec<String> = (0..12).map(|number| format!("packet {number}\n")).collect();
    let mut steps = vec![
        Step::AwaitStart,
        Step::Packets(To::Stdout),
        Step::Fork(vec![Step::Await(stays.path().to_owned())]),
        Step::Await(gate.path().to_owned()),
    ];
    steps.extend(packets.iter().map(|packet| Step::out(packet)));
    steps.push(Step::Exit(3));
    place.script(&Script::of(steps));
    let mut running = Launch::create(&place).start();
    running.go();
    let container = running.pid();
    place.start_container();
    stop(&mut running);
    gate.open();
    wait_until("the container has ended", || state_of(container) == Some('Z'));
    running.kill(Signal::SIGCONT);
    assert_eq!(running.status(), 3);
    assert_eq!(String::from_utf8_lossy(&joined(&place.log_records(), "stdout")), packets.concat());
    stays.open();
}

#[test]
fn a_signal_that_comes_with_the_end_of_the_runtime_reaches_the_container() {
    let place = place();
    let mut gate = place.gate("gate");
    let term = vec![libc::SIGTERM];
    let steps = [Step::Block(term.clone()), Step::Touch(place.path("there")), Step::AwaitSignal(term)];
    let after = vec![Step::Touch(place.path("created")), Step::Await(gate.path().to_owned())];
    place.script(&Script { after, ..Script::of(steps) });
    let mut running = Launch::create(&place).start();
    running.go();
    place.await_file("there");
    place.await_file("created");
    let pid = stop(&mut running);
    gate.open();
    wait_until("the runtime has ended", || {
        children(pid).into_iter().any(|child| state_of(child) == Some('Z'))
    });
    running.kill(Signal::SIGTERM);
    running.kill(Signal::SIGCONT);
    running.pid();
    assert_eq!(running.status(), 0);
    assert_eq!(joined(&place.log_records(), "stdout"), b"signal 15\n");
}

#[test]
fn the_status_of_a_container_that_is_reaped_late_is_the_true_one_or_unknown() {
    let place = place();
    let mut stranger = Command::new("sh");
    let mut stranger = stranger.args(["-c", "read line; exit 7"]).stdin(Stdio::piped()).spawn().expect("sh");
    place.script(&Script { container: Container::Other(stranger.id().cast_signed()), ..Script::of([]) });
    let mut running = Launch::create(&place).start().created();
    drop(stranger.stdin.take());
    // That long its parent is busy with something else.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(stranger.wait().expect("wait").code(), Some(7));
    // Since Linux 6.15 a pidfd tells.
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("release of the kernel");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let known = (numbers.next(), numbers.next()) >= (Some(6), Some(15));
    running.status();
    assert_eq!(place.exit_file().as_deref(), Some(if known { "7" } else { "-1" }));
}

#[test]
fn who_pauses_while_the_container_goes_on_below_the_bound_misses_nothing() {
    let place = place();
    let mut gate = place.gate("gate");
    let pattern = Pattern { seed: 63, bytes: 3 << 20, line: 100 };
    let steps = [Step::AwaitStart, Step::Generate(To::Stdout, pattern), Step::Touch(place.path("written"))];
    let rest = [Step::Await(gate.path().to_owned()), Step::out("end\n")];
    place.script(&Script::of([&steps[..], &rest].concat()));
    let mut running = Launch::create(&place).start().created();
    let late = running.attach();
    place.start_container();
    place.await_file("written");
    gate.open();
    let heard = late.read_to_end();
    assert_eq!(Sum::of(&heard.stdout), Sum::of(&[&pattern.bytes()[..], b"end\n"].concat()));
    assert_eq!(heard.ending, Ending::Eof);
    assert_eq!(running.status(), 0);
}
