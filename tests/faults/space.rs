//! File systems that are full, read-only or gone when a container ends.

use std::fs::{self, File};
use std::path::PathBuf;

use crate::disk::Ext4;
use conward_testkit::{Host, Launch, PATIENCE, Place, Script, Step, conward, joined, parse_log, wait_for};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A small file system, for this test alone.
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// One with room for so many bytes over this directory.
    pub fn over(dir: PathBuf, bytes: u64) -> Tmpfs {
        fs::create_dir_all(&dir).expect("a directory");
        let options = format!("size={bytes}");
        mount(Some("conward-test"), &dir, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .unwrap_or_else(|error| panic!("mount a tmpfs (as root): {error}"));
        Tmpfs(dir)
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).expect("a file");
        let chunk = vec![0; 1 << 12];
        // The last write is the one that fails.
        while std::io::Write::write_all(&mut filler, &chunk).is_ok() {}
    }

    /// Gives it back.
    pub fn free(&self) {
        fs::remove_file(self.0.join("filler")).expect("the filler");
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a directory");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Whatever still has a file open in it: nothing of it stays visible.
        umount2(&self.0, MntFlags::MNT_DETACH).expect("unmount");
    }
}

fn place() -> Place {
    Place::new(conward())
}

/// A supervisor with its files in the place, and syslog of the test's own.
fn create<'a>(place: &'a Place, host: &Host) -> Launch<'a> {
    let launch = Launch::create(place).control();
    launch.host(host).arg("--syslog")
}

fn said(host: &Host) -> Vec<String> {
    std::iter::from_fn(|| host.syslog(std::time::Duration::ZERO)).collect()
}

/// The exit files are on a file system that is full when the container ends, but was not at its launch.
#[test]
fn an_exit_file_has_its_space_from_the_launch_on() {
    let place = place();
    let host = Host::new(&place);
    let disks = ["exits", "persist", "control"].map(|name| Tmpfs::over(place.path(name), 64 << 10));
    place.script(&Script::of([Step::AwaitStart, Step::Exit(7)]));
    let mut gate = place.gate("gate");
    let mut running = create(&place, &host).gated_exit_command("hook.json", &gate).start().created();
    running.launched();
    for disk in &disks {
        assert!(
            !disk.names().iter().any(|name| name.starts_with('.')),
            "seen by watchers: {:?}",
            disk.names()
        );
        disk.fill();
    }
    place.start_container();
    place.await_file("hook.json");
    assert_eq!((place.exit_file().as_deref(), place.persist_exit().as_deref()), (Some("7"), Some("7")));
    let record = place.path("control").join(place.id()).join("exit.json");
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(record).expect("the exit record")).expect("it is JSON");
    assert_eq!(record["exit"]["code"], 7, "{record}");
    gate.open();
    assert_eq!(running.status(), 7);
    let errors: Vec<String> =
        said(&host).into_iter().filter(|line| line.contains("cannot write exit")).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

/// A container writes while the disk of its log fills up and is freed: the log has whole records, a marker
/// for what is missing, and every byte is in the one or counted by the other.
#[test]
fn a_log_on_a_disk_that_fills_up_tells_its_gap() {
    let place = place();
    let host = Host::new(&place);
    let disk = Tmpfs::over(place.path("logs"), 256 << 10);
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    let mut gates = [place.gate("first"), place.gate("second")];
    place.script(&Script::of([
        Step::AwaitStart,
        Step::out(line),
        Step::Touch(place.path("begun")),
        Step::Await(gates[0].path().to_owned()),
        Step::out(&line.repeat(100)),
        Step::Touch(place.path("full")),
        Step::Await(gates[1].path().to_owned()),
        Step::out("the end\n"),
        Step::Exit(7),
    ]));
    let log = place.path("logs/ctr.log");
    let launch = create(&place, &host).arg("-l").arg(format!("k8s-file:{}", log.display()));
    let mut running = launch.start().created();
    place.start_container();
    place.await_file("begun");
    wait_for("the first line", PATIENCE, || fs::metadata(&log).is_ok_and(|log| log.len() > 0).then_some(()));
    disk.fill();
    // What is left of the log's own page is used first.
    gates[0].open();
    place.await_file("full");
    wait_for("the supervisor to notice", PATIENCE, || {
        said(&host).iter().any(|line| line.contains("output is lost until this changes")).then_some(())
    });
    disk.free();
    gates[1].open();
    assert_eq!(running.status(), 7);
    assert_eq!(place.exit_file().as_deref(), Some("7"));
    let records = parse_log(&fs::read(&log).expect("the log"));
    let text = String::from_utf8(joined(&records, "stdout")).expect("text");
    assert!(text.ends_with("the end\n"), "{text}");
    let kept = text.lines().filter(|&shown| shown == line.trim_end()).count();
    let missing = (101 - kept) * line.len();
    assert!(kept > 0 && missing > 0, "{kept} lines were kept");
    let strange: Vec<&str> =
        text.lines().filter(|shown| *shown != line.trim_end() && *shown != "the end").collect();
    assert!(strange.len() == 1 && strange[0].contains(&missing.to_string()), "{missing} bytes: {strange:?}");
}

/// The order of what is left at the end when none of the first files can be written.
#[test]
fn no_failed_step_holds_up_the_next() {
    // Gone, read-only, and something in the way.
    for fault in ["removed", "read-only", "in the way"] {
        let place = place();
        let host = Host::new(&place);
        let disk = Tmpfs::over(place.path("persist"), 64 << 10);
        place.script(&Script::of([Step::AwaitStart, Step::Exit(7)]));
        // Nothing is open in it, so that it may be made read-only.
        let mounts = match fault {
            "read-only" => {
                format!("mount -o remount,ro,bind {0} {0} || mount --bind -o ro {0} {0}", disk.0.display())
            }
            _ => "true".to_owned(),
        };
        let launch = Launch::create(&place).arg("--syslog").exit_command("hook.json");
        let launch = if fault == "read-only" { launch.mounts(&mounts) } else { launch.host(&host) };
        let persist = if fault == "removed" { place.path("persist/sub") } else { place.path("persist") };
        fs::create_dir_all(&persist).expect("a directory");
        let mut running = launch.arg("--persist-dir").arg(&persist).start().created();
        match fault {
            "removed" => fs::remove_dir(&persist).expect("to remove it"),
            "in the way" => fs::create_dir(persist.join("exit")).expect("a directory in the way"),
            _ => {}
        }
        place.start_container();
        assert_eq!(running.status(), 7, "{fault}");
        assert_eq!(place.exit_file().as_deref(), Some("7"), "{fault}");
        assert!(place.path("hook.json").exists(), "{fault}");
        assert!(!disk.names().iter().any(|name| name.starts_with('.')), "{fault}: {:?}", disk.names());
        if fault != "read-only" {
            let said = said(&host);
            assert!(said.iter().any(|line| line.contains("cannot write exit file")), "{fault}: {said:?}");
        }
    }
}

/// The disk of the log, of one exit directory or of the control directory goes read-only while the container
/// runs. The status comes by the others, in their order, and what is missing is told.
#[test]
fn a_disk_that_goes_read_only() {
    for whose in ["logs", "persist", "exits", "control"] {
        let place = place();
        let host = Host::new(&place);
        let disk = Ext4::over(place.path(whose), &place.path("image"));
        fs::create_dir_all(place.path("logs")).expect("a directory");
        let mut gate = place.gate("gate");
        place.script(&Script::of([
            Step::AwaitStart,
            Step::out("before\n"),
            Step::Touch(place.path("begun")),
            Step::Await(gate.path().to_owned()),
            Step::out("after\n"),
            Step::Exit(7),
        ]));
        let log = place.path("logs/ctr.log");
        let launch = create(&place, &host).arg("-l").arg(format!("k8s-file:{}", log.display()));
        let mut running = launch.exit_command("hook.json").start().created();
        place.start_container();
        place.await_file("begun");
        let logged = || fs::metadata(&log).is_ok_and(|log| log.len() > 0);
        wait_for("the first line", PATIENCE, || logged().then_some(()));
        disk.fail();
        gate.open();
        assert_eq!(running.status(), 7, "{whose}");
        let exits = [place.exit_file(), place.persist_exit()];
        let wanted = ["exits", "persist"].map(|dir| (dir != whose).then(|| "7".to_owned()));
        assert_eq!(exits, wanted, "{whose}");
        assert!(place.path("hook.json").exists(), "{whose}");
        let said = said(&host);
        let told = |text: &str| assert!(said.iter().any(|line| line.contains(text)), "{whose}: {said:?}");
        let records = parse_log(&fs::read(&log).expect("the log"));
        match whose {
            "logs" => {
                assert_eq!(joined(&records, "stdout"), b"before\n");
                told("6 bytes of stdout are missing from the log");
            }
            _ => {
                assert_eq!(joined(&records, "stdout"), b"before\nafter\n", "{whose}");
                told("Read-only file system");
            }
        }
    }
}
