//! The same trouble for the reference and for conward. What each made of it stands in `docs/reliability.md`,
//! and nowhere else: the table is what is asserted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use conward_testkit::{
    Client, Launch, Place, Running, Script, Step, conward, joined, parse_log, reference, state_of, wait_until,
};
use nix::sys::signal::Signal;

use crate::disk::Ext4;
use crate::limits::{first_free, limit_descriptors};
use crate::space::Tmpfs;

const PAGE: &str = include_str!("../../docs/reliability.md");

/// How long one that waits for what never comes is watched.
pub const WATCHED: Duration = Duration::from_secs(4);

/// The cells of the row of this test: the outcomes for conward and for the reference.
fn row(test: &str) -> [&'static str; 2] {
    let name = format!(".rs` `{test}` |");
    let row = PAGE.lines().find(|line| line.contains(&name)).unwrap_or_else(|| panic!("no row has {name}"));
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    [cells[3], cells[4]]
}

/// Both must come to what the page says.
pub fn compare(test: &str, scenario: fn(&Path) -> String) {
    let [wanted, theirs] = row(test);
    let programs: [PathBuf; 2] = [conward(), reference()];
    let seen = programs.map(|program| scenario(&program));
    assert_eq!(seen, [wanted, theirs], "conward, and the reference");
}

/// A container that waits for a gate after its first steps and ends with 7.
pub fn launch<'a>(place: &'a Place, steps: &[Step]) -> Launch<'a> {
    let gate = place.gate("gate");
    let end = [Step::Touch(place.path("ran")), Step::Await(gate.path().to_owned()), Step::Exit(7)];
    place.script(&Script::of([&[Step::AwaitStart], steps, &end].concat()));
    Launch::create(place)
}

/// Starts it, and waits for its gate.
pub fn run(place: &Place) {
    place.start_container();
    wait_until("the container runs", || place.path("ran").exists());
}

/// Opens that.
pub fn end(place: &Place) {
    fs::write(place.path("gate"), "\0").expect("a gate");
}

/// The files that it left, when it has ended.
pub fn files(place: &Place, running: &mut Running) -> String {
    let status = running.status();
    let files = [("exit file", place.exit_file()), ("persist file", place.persist_exit())];
    let told = files.map(|(name, content)| match content.as_deref() {
        Some("7") => format!("{name} right"),
        Some("") => format!("{name} empty"),
        Some(_) => format!("{name} WRONG"),
        None => format!("no {name}"),
    });
    format!("{}, {}, status {status}", told[0], told[1])
}

#[test]
fn exit_directory_full() {
    compare("exit_directory_full", |program| {
        let place = Place::new(program.to_owned());
        let disk = Tmpfs::over(place.path("exits"), 64 << 10);
        let mut running = launch(&place, &[]).start().created();
        run(&place);
        disk.fill();
        end(&place);
        files(&place, &mut running)
    });
}

#[test]
fn persist_directory_removed() {
    compare("persist_directory_removed", |program| {
        let place = Place::new(program.to_owned());
        let mut running = launch(&place, &[]).start().created();
        run(&place);
        fs::remove_dir(place.path("persist")).expect("to remove it");
        end(&place);
        files(&place, &mut running)
    });
}

#[test]
fn no_descriptors_at_the_end() {
    compare("no_descriptors_at_the_end", |program| {
        let place = Place::new(program.to_owned());
        let mut running = launch(&place, &[]).start().created();
        run(&place);
        let pid = running.monitor().pid();
        limit_descriptors(&mut running, first_free(pid));
        end(&place);
        files(&place, &mut running)
    });
}

#[test]
fn log_disk_full_for_a_while() {
    compare("log_disk_full_for_a_while", |program| {
        let place = Place::new(program.to_owned());
        let disk = Tmpfs::over(place.path("logs"), 256 << 10);
        let log = place.path("logs/ctr.log");
        let (mut freed, line) = (place.gate("freed"), "0123456789abcdef0123456789abcde\n");
        let steps = [
            Step::Await(place.gate("full").path().to_owned()),
            Step::out(&line.repeat(300)),
            Step::Touch(place.path("written")),
            Step::Await(freed.path().to_owned()),
            Step::out("the end\n"),
        ];
        let launch = launch(&place, &steps).arg("-l").arg(format!("k8s-file:{}", log.display()));
        let mut running = launch.start().created();
        disk.fill();
        place.start_container();
        fs::write(place.path("full"), "\0").expect("a gate");
        place.await_file("written");
        // It has looked at everything when it sleeps.
        wait_until("the supervisor rests", || running.monitor().is_quiet());
        disk.free();
        freed.open();
        wait_until("the container is done", || place.path("ran").exists());
        end(&place);
        let status = running.status();
        let text = fs::read(&log).unwrap_or_default();
        let whole = std::panic::catch_unwind(|| parse_log(&text)).ok();
        let shown = whole.as_ref().map(|records| joined(records, "stdout")).unwrap_or_default();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let resumed =
            if shown.ends_with("the end\n") { "goes on when there is room" } else { "does not go on" };
        let kept = shown.lines().filter(|shown| *shown == line.trim_end()).count();
        let gap = match shown.lines().count() - kept {
            _ if kept == 300 => "nothing missing",
            2 => "the gap told",
            _ => "the gap hidden",
        };
        format!("log {resumed}, {gap}, status {status}")
    });
}

#[test]
fn a_client_that_never_reads() {
    compare("a_client_that_never_reads", |program| {
        let place = Place::new(program.to_owned());
        // More than its socket and its queue hold.
        let flood = Step::out(&"0123456789abcdef0123456789abcde\n".repeat(300_000));
        place.script(&Script::of([Step::AwaitStart, flood, Step::Exit(7)]));
        let mut running = Launch::create(&place).start().created();
        let client = Client::connect(&place.bundle().join("attach"));
        place.start_container();
        let since = Instant::now();
        while place.exit_file().is_none() && since.elapsed() < WATCHED * 3 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let recorded = place.exit_file().is_some();
        drop(client);
        assert_eq!(running.status(), 7);
        format!(
            "container {}",
            if recorded { "ends and is recorded" } else { "stuck until the client has gone" }
        )
    });
}

/// As when the host was suspended, or the supervisor starved: what came meanwhile is there afterwards.
#[test]
fn stopped_for_a_while() {
    compare("stopped_for_a_while", |program| {
        let place = Place::new(program.to_owned());
        let mut running = launch(&place, &[]).start();
        running.go();
        let container = running.pid();
        run(&place);
        running.kill(Signal::SIGSTOP);
        end(&place);
        wait_until("the container has ended", || state_of(container) == Some('Z'));
        assert!(!running.monitor().ended_within(Duration::from_millis(50)));
        running.kill(Signal::SIGCONT);
        files(&place, &mut running)
    });
}

/// A file system that hangs in write(2), which one thread cannot outlive; whoever starts it has to see to that. For the
/// log and for the exit directory: what waits, and what is whole afterwards.
fn frozen(program: &Path, whose: &str) -> String {
    let place = Place::new(program.to_owned());
    let disk = Ext4::over(place.path(whose), &place.path("image"));
    fs::create_dir_all(place.path("logs")).expect("a directory");
    let log = place.path("logs/ctr.log");
    let mut gate = place.gate("line");
    let steps = [
        Step::Touch(place.path("begun")),
        Step::Await(gate.path().to_owned()),
        Step::out("a line\n"),
        Step::Touch(place.path("written")),
    ];
    let mut running = launch(&place, &steps).arg("-l").arg(format!("k8s-file:{}", log.display())).start();
    running.go();
    let container = running.pid();
    place.start_container();
    place.await_file("begun");
    disk.freeze();
    gate.open();
    place.await_file("written");
    end(&place);
    wait_until("the container has ended", || state_of(container).is_none_or(|state| state == 'Z'));
    let supervisor = running.monitor().pid();
    // Any access to a disk may take a moment of that.
    let stuck = || {
        (0..60).all(|_| {
            std::thread::sleep(Duration::from_millis(5));
            state_of(supervisor) == Some('D')
        })
    };
    let since = Instant::now();
    let mut hangs = stuck();
    while !hangs && !running.monitor().ended_within(Duration::ZERO) && since.elapsed() < WATCHED {
        hangs = stuck();
    }
    let hangs = if hangs { "hangs with it" } else { "goes on" };
    let early = if place.exit_file().is_some() { "recorded" } else { "not recorded" };
    disk.thaw();
    let status = running.status();
    let whole = joined(&parse_log(&fs::read(&log).unwrap_or_default()), "stdout") == b"a line\n";
    let log = if whole { "log whole" } else { "log not whole" };
    let exit = if place.exit_file().as_deref() == Some("7") { "exit file right" } else { "no exit file" };
    format!("{hangs}, the end {early}; after it {log}, {exit}, status {status}")
}

#[test]
fn log_disk_hangs_for_a_while() {
    compare("log_disk_hangs_for_a_while", |program| frozen(program, "logs"));
}

#[test]
fn exit_disk_hangs_for_a_while() {
    compare("exit_disk_hangs_for_a_while", |program| frozen(program, "exits"));
}

/// Each row of each table has the cells of its head, and says what came of the reference.
#[test]
fn the_page_has_all_its_cells() {
    let mut columns = 0;
    for line in PAGE.lines() {
        match line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) {
            None if line.starts_with("|---") => {}
            None => {
                assert!(!line.starts_with('|'), "no whole row: {line}");
                columns = 0;
            }
            Some(head) if columns == 0 => {
                columns = head.split('|').count();
                assert!(
                    head.ends_with("| conmon"),
                    "a table without the reference, or a row without a head: {line}"
                );
            }
            Some(row) => {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                assert_eq!(cells.len(), columns, "{line}");
                assert!(cells.last().is_some_and(|cell| !cell.is_empty()), "{line}");
            }
        }
    }
}

/// Each file and each test that the page names exists.
#[test]
fn the_page_names_what_there_is() {
    let mut named = 0;
    for row in PAGE.lines().filter(|line| line.starts_with('|') && line.contains("`tests/")) {
        let mut words = row.split('`').skip(1).step_by(2).peekable();
        while let Some(file) = words.next() {
            if !(file.starts_with("tests/") || file.starts_with("src/")) {
                continue;
            }
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
            let mut tests = 0;
            while let Some(name) = words.next_if(|word| !word.contains('/')) {
                let test = source.contains(&format!("fn {name}(")) || source.contains(&format!(" {name} "));
                assert!(test, "{file} has no test {name}");
                tests += 1;
            }
            assert!(tests > 0, "no test of {file} is named: {row}");
            named += tests;
        }
    }
    assert!(named > 20, "only {named} tests are named");
}
