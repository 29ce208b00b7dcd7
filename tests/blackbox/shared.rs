//! What several supervisors have in common: directories, and the names in them.

use crate::place;
use conward_testkit::{Launch, Script, Step, wait_until};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;

#[test]
fn sockets_and_files_of_others_in_tmpdir_are_left_alone() {
    let place = place();
    let tmp = place.path("tmp");
    fs::create_dir(&tmp).expect("TMPDIR of the test");
    place.script(&Script::of([Step::Exit(4)]));
    let mut running = Launch::create(&place).sync().arg("-t").env("TMPDIR", &tmp).start();
    // A supervisor with the same pid in another pid namespace may share the directory.
    let pid = running.launcher_pid();
    let sockets = (0..4).map(|nth| tmp.join(format!("conmon-term.{pid}.{nth}")));
    let sockets: Vec<_> =
        sockets.map(|path| (UnixListener::bind(&path).expect("socket of another"), path)).collect();
    fs::write(tmp.join("conmon-term.file"), "theirs").expect("file of another");
    let inodes = || -> Vec<u64> {
        sockets.iter().map(|(_, path)| fs::symlink_metadata(path).map_or(0, |found| found.ino())).collect()
    };
    let before = inodes();
    running.go();
    running.pid();
    assert_eq!(running.status(), 4);
    assert_eq!(inodes(), before);
    assert_eq!(fs::read_to_string(tmp.join("conmon-term.file")).expect("still there"), "theirs");
    assert_eq!(fs::read_dir(&tmp).expect("TMPDIR").count(), before.len() + 1, "something is left behind");
}

#[test]
fn supervisors_with_one_tmpdir_get_each_its_own_terminal() {
    let places = [(); 6].map(|()| place());
    let tmp = places[0].path("tmp");
    fs::create_dir(&tmp).expect("TMPDIR of the test");
    let mut gates = Vec::new();
    let mut lives: Vec<_> = places
        .iter()
        .map(|place| {
            let gate = place.gate("gate");
            let before = vec![Step::Await(gate.path().to_owned())];
            place.script(&Script { before, ..Script::of([Step::AwaitStart, Step::out(place.id())]) });
            gates.push(gate);
            let mut running = Launch::create(place).arg("-t").env("TMPDIR", &tmp).start();
            running.go();
            running
        })
        .collect();
    wait_until("each has its socket", || fs::read_dir(&tmp).expect("TMPDIR").count() == places.len());
    gates.iter_mut().for_each(|gate| gate.open());
    for (running, place) in lives.iter_mut().zip(&places) {
        running.pid();
        place.start_container();
        assert_eq!(running.status(), 0);
        let records = place.log_records();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].content, place.id().as_bytes());
    }
    assert_eq!(fs::read_dir(&tmp).expect("TMPDIR").count(), 0);
}

#[test]
fn a_link_that_the_exit_command_made_anew_survives_the_end() {
    let place = place();
    let link = place.path("sockets").join(place.id());
    // As a supervisor does that the exit command starts for the same container: the same link to the
    // same bundle, and often with the inode number that has just become free.
    let again = format!("rm {0} && ln -s {1} {0}", link.display(), place.bundle().display());
    place.script(&Script::of([Step::Exit(5)]));
    let words = ["--exit-command", "/bin/sh", "--exit-command-arg", "-c", "--exit-command-arg", &again];
    let mut running = Launch::crio_create(&place).args(words).start().created();
    assert_eq!(running.status(), 5);
    assert_eq!(fs::read_link(&link).expect("the new link"), place.bundle());

    // Nobody else wants it: it goes.
    let place = self::place();
    place.script(&Script::of([Step::Exit(5)]));
    let mut running = Launch::crio_create(&place).start().created();
    assert_eq!(running.status(), 5);
    assert!(fs::symlink_metadata(place.path("sockets").join(place.id())).is_err(), "the link is left behind");
}
