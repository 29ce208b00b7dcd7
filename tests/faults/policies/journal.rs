//! A journal whose socket is there, but not read.

use std::fs;
use std::time::Duration;

use conward_testkit::{Host, Place, wait_until};

use super::{Case, LINE, LINES, lines, logged, numbers, place};

fn begin<'a>(place: &'a Place, policy: &str) -> Case<'a> {
    fs::create_dir(place.path("logs")).expect("a directory");
    Case::begin(place, &["-l", "journald", "--log-policy", policy])
}

/// What the journal has got so far: the lines, and how many markers.
fn read(host: &Host, lines: &mut String) -> usize {
    let mut markers = 0;
    while let Some(entry) = host.journal(Duration::ZERO) {
        let entry = String::from_utf8(entry).expect("text");
        match entry.starts_with("[conward: ") {
            true => markers += 1,
            false => lines.push_str(&entry),
        }
    }
    markers
}

#[test]
fn it_blocks_the_container_until_it_moves() {
    let place = place();
    let mut case = begin(&place, "block");
    case.get_stuck();
    let mut text = String::new();
    while !place.path("wrote").exists() || case.count("waiting") > 0 {
        assert_eq!(read(&case.host, &mut text), 0);
    }
    let sink = case.end();
    assert_eq!(sink["dropped"], 0, "{sink}");
    assert_eq!(read(&case.host, &mut text), 0);
    assert_eq!(text, lines(0..LINES + 1));
    assert_eq!(logged(&place), (lines(0..LINES + 1), 0));
}

#[test]
fn a_container_that_is_blocked_by_it_can_be_ended() {
    let place = place();
    let mut case = begin(&place, "block");
    case.get_stuck();
    let sink = case.kill();
    assert!(sink["drops"]["room"]["lines"].as_u64() > Some(0), "{sink}");
}

#[test]
fn it_costs_the_newest_lines() {
    let place = place();
    let mut case = begin(&place, "drop-newest");
    case.go_on();
    wait_until("all to be read", || case.count("read") == (LINES * LINE) as u64);
    let mut text = String::new();
    let early = read(&case.host, &mut text);
    let sink = case.end();
    let markers = early + read(&case.host, &mut text);
    let numbers = numbers(&text);
    assert_eq!((numbers[0], numbers.last(), markers), (0, Some(&LINES), 1));
    let lost = LINES + 1 - numbers.len();
    assert!(lost > LINES / 2, "{lost}");
    assert_eq!(sink["drops"]["room"]["lines"].as_u64(), Some(lost as u64), "{sink}");
    assert_eq!(logged(&place), (lines(0..LINES + 1), 0), "the file is another log");
}

#[test]
fn it_costs_the_oldest_lines() {
    let place = place();
    let mut case = begin(&place, "drop-oldest");
    case.go_on();
    wait_until("all to be read", || case.count("read") == (LINES * LINE) as u64);
    let kept = usize::try_from(case.count("waiting")).expect("a number") / LINE;
    assert!(kept > 4000, "{kept} lines are kept");
    let (mut text, mut markers) = (String::new(), 0);
    wait_until("all to arrive", || {
        markers += read(&case.host, &mut text);
        case.count("waiting") == 0
    });
    let sink = case.end();
    markers += read(&case.host, &mut text);
    let numbers = numbers(&text);
    assert_eq!(markers, 1);
    assert_eq!(numbers[numbers.len() - kept - 1..], *(LINES - kept..=LINES).collect::<Vec<_>>());
    let lost = LINES + 1 - numbers.len();
    assert_eq!(sink["drops"]["room"]["lines"].as_u64(), Some(lost as u64), "{sink}");
    assert_eq!(logged(&place), (lines(0..LINES + 1), 0));
}
