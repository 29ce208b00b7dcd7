//! How much of it, and the numbers that come of it.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

use conward_testkit::{Footprint, wait_until};

/// How much memory of its own a supervisor may have more after all of it than before, in kB: what an allocator
/// holds back here and there. Had each of 100,000 cycles left a single byte, it would be more.
const GROWTH_MAX: u64 = 64;

/// The table's head, for who reads the numbers as Markdown.
const HEAD: &str = "\
| scenario | count | s | per s | slowest, ms | last quarter to first | private kB before | after | descriptors before | after |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
";

/// How many: all that was promised with `CONWARD_SOAK=all`, else few.
pub fn scaled(few: u64, all: u64) -> u64 {
    if std::env::var("CONWARD_SOAK").is_ok_and(|value| value == "all") { all } else { few }
}

/// Waits until what a process holds is back to what it was before.
pub fn await_flat(what: &str, before: Footprint, now: impl Fn() -> Footprint) -> Footprint {
    let mut after = now();
    wait_until(&format!("{what} is to hold {before:?} again, {GROWTH_MAX} kB more at most"), || {
        after = now();
        after.descriptors <= before.descriptors && after.private_kb <= before.private_kb + GROWTH_MAX
    });
    after
}

/// The time that each took.
pub struct Pace {
    count: u64,
    /// They are done side by side, so that none has a time of its own.
    together: bool,
    done: u64,
    begun: Instant,
    last: Instant,
    slowest: Duration,
    quarters: [Duration; 4],
}

impl Pace {
    /// So many are to be done, from now on.
    pub fn of(count: u64) -> Pace {
        let now = Instant::now();
        Pace {
            count,
            together: false,
            done: 0,
            begun: now,
            last: now,
            slowest: Duration::ZERO,
            quarters: [Duration::ZERO; 4],
        }
    }

    /// The same, all at once.
    pub fn of_all(count: u64) -> Pace {
        Pace { together: true, ..Pace::of(count) }
    }

    /// One more is done.
    pub fn lap(&mut self) {
        self.advance(1);
    }

    /// So many more are done.
    pub fn advance(&mut self, by: u64) {
        let took = self.last.elapsed();
        self.last += took;
        self.slowest = self.slowest.max(took);
        let quarter = (self.done * 4 / self.count).min(3);
        self.quarters[quarter as usize] += took;
        self.done += by;
    }

    /// All are done; what the supervisor held before and afterwards. The last must not have taken much longer than
    /// the first, or each makes the next one dearer.
    pub fn report(self, scenario: &str, before: Footprint, after: Footprint) {
        assert_eq!(self.done, self.count, "{scenario}");
        let seconds = (self.last - self.begun).as_secs_f64();
        let [first, .., last] = self.quarters.map(|quarter| quarter.as_secs_f64());
        let (slowest, growth) = match self.together {
            true => ("–".to_owned(), "–".to_owned()),
            false => (format!("{:.1}", self.slowest.as_secs_f64() * 1000.0), format!("{:.2}", last / first)),
        };
        // Generous, for a machine that is busy with other things.
        let even = self.together || last <= 3.0 * first + 2.0;
        assert!(even, "{scenario}: {last} s for the last quarter, {first} s for the first");
        let row = format!(
            "| {scenario} | {} | {seconds:.1} | {:.0} | {slowest} | {growth} | {} | {} | {} | {} |\n",
            self.count,
            self.count as f64 / seconds,
            before.private_kb,
            after.private_kb,
            before.descriptors,
            after.descriptors,
        );
        tell(&row);
    }
}

/// Adds a row to the table that `CONWARD_SOAK_REPORT` names.
fn tell(row: &str) {
    print!("{HEAD}{row}");
    let Some(path) = std::env::var_os("CONWARD_SOAK_REPORT") else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(&path).expect("the file for the report");
    let head = if file.metadata().expect("its size").len() == 0 { HEAD } else { "" };
    file.write_all(format!("{head}{row}").as_bytes()).expect("room for the report");
}
