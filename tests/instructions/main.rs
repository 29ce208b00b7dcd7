//! How many instructions the release binary takes where it matters. Counts do not depend on who else uses the
//! machine, so they can be a gate where times cannot. callgrind sees user space alone; what the kernel does for it is
//! for `make bench` to see.
//!
//! Without `CONWARD_BIN`, as `make test` sets it, there is only a debug build, whose counts mean nothing.

use std::fs;
use std::process::Command;

use conward_testkit::{Launch, Place, Running, Script, Step, conward, wait_until};

/// By how much a count may differ, in percent. Other releases of compiler and C library make some of it, and the
/// processor's features, by which the latter chooses its string functions.
const TOLERANCE: i64 = 15;

/// Reads of output over which the mean is taken.
const READS: i64 = 16;
/// Bytes of a read at most. More are copied by a string instruction, which counts as one for each byte or word.
const READ_MAX: usize = 2000;

/// What was counted last, with musl and with glibc; to be changed with whatever moves it. The process that the caller
/// spawns; the supervisor until the container is created, with what was before its fork; one read of output, of as many
/// lines of this length as [`READ_MAX`] holds; from the container's end to the supervisor's own.
const EXPECTED: [(&str, [i64; 2]); 6] = [
    ("launcher", [107_000, 108_000]),
    ("launch", [239_000, 205_000]),
    ("125 lines of 16 bytes", [23_200, 22_600]),
    ("25 lines of 80 bytes", [9_260, 8_480]),
    ("2 lines of 1000 bytes", [5_710, 5_030]),
    ("end", [169_000, 132_000]),
];

#[test]
fn of_a_life() {
    if std::env::var_os("CONWARD_BIN").is_none() {
        return;
    }
    let place = Place::new(conward());
    let mut gate = place.gate("gate");
    let pass = Step::Await(gate.path().to_owned());
    let chunks =
        [16, 80, 1000].map(|length| format!("{}\n", "x".repeat(length - 1)).repeat(READ_MAX / length));
    let mut steps = vec![Step::AwaitStart];
    for chunk in &chunks {
        steps.extend((0..READS).flat_map(|_| [pass.clone(), Step::out(chunk)]));
    }
    steps.extend([pass, Step::Exit(7)]);
    place.script(&Script::of(steps));

    let mut running = traced(&place);
    let launcher = running.launcher_pid();
    let supervisor = running.monitor().pid();
    place.start_container();
    wait_until("the launch is over", || running.monitor().is_quiet());
    let mut counted = vec![total(&place, &launcher.to_string()), part(&place, supervisor, 1)];
    let mut lines = 0;
    for (number, chunk) in (2..).zip(&chunks) {
        for _ in 0..READS {
            gate.open();
            lines += chunk.lines().count();
            wait_until("the output is logged", || {
                fs::read_to_string(place.log()).unwrap().lines().count() == lines
            });
        }
        wait_until("the output is delivered", || running.monitor().is_quiet());
        counted.push(part(&place, supervisor, number) / READS);
    }
    gate.open();
    assert_eq!(running.status(), 7);
    counted.push(total(&place, &supervisor.to_string()));
    compare(&counted);
}

/// Starts a container whose supervisor is counted.
fn traced(place: &Place) -> Running<'_> {
    let counts = format!("--callgrind-out-file={}", place.path("counts.%p").display());
    // A forked process can only be asked if children are traced; those that become a program are not.
    let children = ["--trace-children=yes", "--trace-children-skip=*"];
    let words = ["valgrind", "--log-file=/dev/null", "--tool=callgrind", &counts];
    // The C library looks at each variable of the environment when a program starts.
    let inherited = std::env::vars_os().map(|(name, _)| name);
    let needless = inherited.filter(|name| name != "PATH" && name != "XDG_RUNTIME_DIR");
    let launch = Launch::create(place).through(words).through(children);
    needless.fold(launch, Launch::without_env).start().created()
}

/// Has the supervisor's counts since the last time written; gives them.
fn part(place: &Place, supervisor: i32, number: u32) -> i64 {
    let output = Command::new("vgdb").args([&format!("--pid={supervisor}"), "dump", "counted"]).output();
    let output = output.expect("run vgdb");
    assert!(output.status.success(), "{output:?}");
    total(place, &format!("{supervisor}.{number}"))
}

/// The instructions of a file of callgrind's.
fn total(place: &Place, part: &str) -> i64 {
    let path = place.path(format!("counts.{part}"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a line with the totals");
    line.trim().parse().expect("a number")
}

/// Whether the supervisor was built with glibc. It has the name of a variable that it looks for.
fn has_glibc() -> bool {
    let program = fs::read(conward()).expect("read the supervisor");
    let name = b"GLIBC_TUNABLES";
    program.windows(name.len()).any(|bytes| bytes == name)
}

fn compare(counted: &[i64]) {
    let mut moved = false;
    let libc = usize::from(has_glibc());
    for ((what, expected), counted) in EXPECTED.into_iter().zip(counted) {
        let expected = expected[libc];
        let percent = (counted - expected) * 100 / expected.max(1);
        eprintln!("{what}: {counted} instructions, {percent:+} %");
        moved |= percent.abs() > TOLERANCE;
    }
    assert!(!moved, "more or fewer instructions than expected");
}
