//! Many short lives, one after the other.

use conward_testkit::{Footprint, Script, Step, joined};

use crate::report::{Pace, scaled};
use crate::{launch, place};

/// Signals that a container may die of, without a core dump where the host would write one.
const SIGNALS: [i32; 8] = [1, 2, 6, 9, 10, 11, 13, 15];

/// Each status is the container's own, in both exit files and as that of the supervisor, and each log has its line.
#[test]
fn thousands_of_short_lives_in_a_row() {
    let count = scaled(150, 2_000);
    let mut pace = Pace::of(count);
    let mut footprints = Vec::new();
    for number in 0..count {
        let (end, status) = match number % 4 {
            3 => {
                let signal = SIGNALS[(number / 4) as usize % SIGNALS.len()];
                (Step::Die(signal), 128 + signal)
            }
            _ => (Step::Exit(number as u8), i32::from(number as u8)),
        };
        let place = place();
        let (line, newline) =
            (format!("life {number}"), if number.is_multiple_of(5) { "\r\n" } else { "\n" });
        place.script(&Script::of([Step::AwaitStart, Step::out(&format!("{line}\n")), end]));
        let terminal: &[&str] = if number.is_multiple_of(5) { &["-t"] } else { &[] };
        let mut running = launch(&place).args(terminal).start().created();
        footprints.push(Footprint::of(running.monitor().pid()));
        place.start_container();
        assert_eq!(running.status(), status, "life {number}");
        assert_eq!(place.exit_file(), Some(status.to_string()), "life {number}");
        assert_eq!(place.persist_exit(), Some(status.to_string()), "life {number}");
        let logged = joined(&place.log_records(), "stdout");
        assert_eq!(logged, format!("{line}{newline}").into_bytes(), "life {number}");
        drop(running);
        drop(place);
        pace.lap();
    }
    // Each has a supervisor of its own: these are the first one's and the last one's.
    pace.report("short lives in a row", footprints[0], footprints[footprints.len() - 1]);
}
