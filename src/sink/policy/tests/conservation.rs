//! Nothing goes astray, whatever a log takes and when.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{CONTAINER, GAP, OUT, valve, write};
use crate::plan::{LogPolicy, LogRate};

#[derive(Clone, Debug)]
enum Act {
    Write(usize),
    Room(usize),
    Broken(bool),
    Turn(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1usize..200).prop_map(Act::Write),
        2 => (0usize..300).prop_map(Act::Room),
        1 => any::<bool>().prop_map(Act::Broken),
        3 => (0u64..2000).prop_map(Act::Turn),
    ]
}

fn limits() -> impl Strategy<Value = (Option<LogPolicy>, Option<LogRate>)> {
    let policy = prop_oneof![
        Just(None),
        Just(Some(LogPolicy::Block)),
        Just(Some(LogPolicy::DropOldest)),
        Just(Some(LogPolicy::DropNewest)),
    ];
    let rate = (1u32..500, 1u32..500).prop_map(|(bytes, burst)| LogRate { bytes, burst });
    (policy, proptest::option::of(rate))
}

/// Whatever happens, each byte is in the log, waits, or is counted as lost. After a gap the log goes on with
/// the beginning of a line, where a policy was asked for that drops.
fn nothing_goes_astray(
    (policy, rate): (Option<LogPolicy>, Option<LogRate>),
    lengths: &[usize],
    acts: &[Act],
    scale: usize,
) -> Result<(), TestCaseError> {
    let line = |(nth, length): (usize, &usize)| format!("{nth}{}\n", "x".repeat(*length * scale));
    let output: String = lengths.iter().enumerate().map(line).collect();
    let mut valve = valve(policy, rate);
    let (mut done, mut now) = (0, Instant::now());
    for act in acts {
        match *act {
            Act::Write(length) if !valve.blocks(OUT) => {
                let end = (done + length * scale).min(output.len());
                write(&mut valve, &output[done..end]);
                done = end;
            }
            Act::Write(_) => prop_assert!(valve.deadline().is_some(), "it waits for nothing"),
            Act::Room(room) => valve.log.room = room * scale,
            Act::Broken(broken) => valve.log.broken = broken,
            Act::Turn(millis) => {
                now += Duration::from_millis(millis);
                valve.turn(now);
            }
        }
        prop_assert_eq!(valve.deadline().is_some(), valve.holds());
        let lost: u64 = valve.log.lost.iter().map(|lost| lost.0).sum();
        let logged = valve.log.text.bytes().filter(|byte| *byte != GAP as u8).count() as u64;
        prop_assert_eq!(logged + lost + valve.counts(OUT, CONTAINER).waiting, done as u64);
    }
    valve.stop_waiting(now);
    prop_assert!(!valve.holds());
    let text = &valve.log.text;
    let lost = valve.log.lost.iter().fold((0, 0), |sum, lost| (sum.0 + lost.0, sum.1 + lost.1));
    prop_assert_eq!(text.matches('\n').count() as u64 + lost.1, output[..done].matches('\n').count() as u64);
    prop_assert_eq!(text.replace(GAP, "").len() as u64 + lost.0, done as u64);
    if matches!(policy, Some(LogPolicy::DropOldest | LogPolicy::DropNewest)) {
        let mut originals = output.lines();
        for logged in text.split(['\n', GAP]).filter(|logged| !logged.is_empty()) {
            let found = originals.any(|original| original.starts_with(logged));
            prop_assert!(found, "{:?} in {:?}", logged, text);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn conservation(
        limits in limits(),
        lengths in proptest::collection::vec(0usize..120, 40),
        acts in proptest::collection::vec(act(), 1..60),
    ) {
        nothing_goes_astray(limits, &lengths, &acts, 1)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// With more than any backlog holds.
    #[test]
    fn conservation_of_much(
        limits in limits(),
        lengths in proptest::collection::vec(0usize..120, 40),
        acts in proptest::collection::vec(act(), 1..60),
    ) {
        nothing_goes_astray(limits, &lengths, &acts, 300)?;
    }
}
