//! Where a log, a line or the room for lines of sessions ends.

use std::time::{Duration, Instant};

use super::{CONTAINER, OUT, valve, write};
use crate::plan::{LogPolicy, LogRate, Stream};
use crate::sink::Whose;
use crate::sink::policy::Why;
use crate::sink::policy::lane::BACKLOG_MAX;
use crate::sys::clock::Timestamp;

#[test]
fn a_rate_holds_nothing_back_from_a_log_that_is_complete() {
    let rate = Some(LogRate { bytes: 1, burst: 8 });
    for policy in [None, Some(LogPolicy::Block), Some(LogPolicy::DropOldest), Some(LogPolicy::DropNewest)] {
        let mut valve = valve(policy, rate);
        (valve.log.room, valve.log.complete) = (1000, 4);
        write(&mut valve, "one\ntwo\nthree\nfo");
        // One chunk may be on its way yet.
        valve.turn(Instant::now());
        for chunk in ["ur\nfive\n", "six\n"] {
            write(&mut valve, chunk);
            assert!(!valve.holds() && !valve.blocks(OUT), "{policy:?}");
        }
        let logged = valve.log.text.replace('#', "").len();
        assert_eq!(valve.log.withheld + logged, 28, "{policy:?}");
        assert_eq!(valve.log.lost, [(0, 0); 3], "{policy:?}");
    }
}

#[test]
fn a_log_that_becomes_complete_lets_go_of_what_waits_for_it() {
    let mut valve = valve(Some(LogPolicy::Block), Some(LogRate { bytes: 1, burst: 4 }));
    valve.log.room = 1000;
    write(&mut valve, "one\ntwo\n");
    valve.log.complete = 4;
    let now = Instant::now();
    assert!(valve.blocks(OUT) && valve.deadline().is_some_and(|due| due <= now));
    valve.turn(now);
    assert_eq!((valve.blocks(OUT), valve.deadline(), valve.log.withheld), (false, None, 4));
}

#[test]
fn what_follows_of_a_lost_line_is_lost_beyond_lines_of_sessions() {
    let mut valve = valve(Some(LogPolicy::DropOldest), None);
    write(&mut valve, "head ");
    valve.write(Timestamp::now(), OUT, Whose::Session, b"session\n");
    write(&mut valve, "middle ");
    write(&mut valve, "tail\n");
    write(&mut valve, &format!("{}\n", "x".repeat(BACKLOG_MAX - 400)));
    assert_eq!(valve.log.lost, [(0, 0); 3]);
    write(&mut valve, &format!("{}\n", "y".repeat(10)));
    assert_eq!(valve.log.lost[Why::Room as usize], (17, 1));
    valve.log.room = usize::MAX;
    valve.turn_all(Instant::now());
    assert!(valve.log.text.starts_with("#session\nxxx"), "{:.40}", valve.log.text);
}

#[test]
fn only_what_is_logged_costs_tokens() {
    let mut valve = valve(Some(LogPolicy::DropNewest), Some(LogRate { bytes: 1, burst: 8 }));
    write(&mut valve, "one\ntwo\n");
    assert_eq!(valve.log.lost[Why::Room as usize], (8, 2));
    valve.log.room = 1000;
    write(&mut valve, "one\ntwo\n");
    assert_eq!(valve.log.text, "#one\ntwo\n");
}

#[test]
fn lines_of_sessions_that_wait_for_a_log_have_a_bound() {
    let mut valve = valve(Some(LogPolicy::Block), None);
    write(&mut valve, "one\n");
    let lines = b"session\n".repeat(8 * 1024);
    for _ in 0..10 {
        valve.admit(Instant::now(), OUT, &lines);
    }
    assert!(valve.blocks(OUT) && !valve.guests().have_room());
    let bound = 4 * lines.len();
    assert_eq!(valve.log.lost[Why::Room as usize], (6 * lines.len() as u64, 6 * 8 * 1024));
    valve.log.room = usize::MAX;
    valve.turn_all(Instant::now());
    valve.let_in(Timestamp::now(), OUT);
    assert_eq!(valve.log.text.replace('#', "").len(), 4 + bound);
    assert!(!valve.guests().wait());
}

#[test]
fn a_line_is_open_where_it_waits_or_is_logged() {
    let mut valve = valve(Some(LogPolicy::DropOldest), None);
    valve.log.room = 5;
    write(&mut valve, "begun");
    assert!(valve.line_is_open(OUT));
    valve.write(Timestamp::now(), OUT, CONTAINER, b" and");
    assert!(valve.line_is_open(OUT) && valve.holds());
    write(&mut valve, " ended\n");
    assert!(!valve.line_is_open(OUT) && valve.holds());
    assert!(valve.deadline().is_some_and(|due| due <= Instant::now() + Duration::from_secs(1)));
    assert!(!valve.blocks(Stream::Stderr));
}
