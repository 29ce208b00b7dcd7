//! A log directory that vanishes while a container writes.

use std::fs;
use std::time::SystemTime;

use conward_testkit::{Place, wait_until};

use super::{Case, LINE, LINES, lines, log_file, logged, place};

/// The directory is gone, and the supervisor will notice: it looks once in each second in which there is output.
fn remove(place: &Place) {
    fs::remove_dir_all(place.path("logs")).expect("the directory of the log");
    let second = || SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_secs();
    let removed = second();
    wait_until("another second", || second() > removed);
}

fn begin<'a>(place: &'a Place, policy: &str) -> Case<'a> {
    fs::create_dir(place.path("logs")).expect("a directory");
    Case::begin(place, &["--log-policy", policy])
}

#[test]
fn it_keeps_nobody_from_writing_or_ending() {
    for policy in ["drop-newest", "drop-oldest"] {
        let place = place();
        let mut case = begin(&place, policy);
        remove(&place);
        case.go_on();
        let sink = case.end();
        let lost = (LINES + 1) as u64;
        assert_eq!(sink["drops"]["error"]["lines"].as_u64(), Some(lost), "{policy}: {sink}");
        assert_eq!(sink["dropped"].as_u64(), Some(lost * LINE as u64), "{policy}: {sink}");
        assert!(!log_file(&place).exists());
    }
}

/// To block is to wait for it, but not for ever.
#[test]
fn it_is_waited_for_a_while() {
    let place = place();
    let mut case = begin(&place, "block");
    remove(&place);
    case.get_stuck();
    let sink = case.end();
    assert_eq!(sink["drops"]["error"]["lines"].as_u64(), Some((LINES + 1) as u64), "{sink}");
}

#[test]
fn if_it_comes_back_the_log_goes_on() {
    let place = place();
    let mut case = begin(&place, "block");
    remove(&place);
    case.get_stuck();
    fs::create_dir(place.path("logs")).expect("a directory");
    let sink = case.end();
    // The first line was in the file that was removed.
    assert_eq!(sink["drops"]["error"]["lines"].as_u64(), Some(1), "{sink}");
    assert_eq!(logged(&place), (lines(1..LINES + 1), 1));
}
