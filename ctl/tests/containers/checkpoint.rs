//! `checkpoint` and `restore`, with the criu of this machine.

use conward_testkit::sandbox::need;
use conward_testkit::wait_until;

use crate::{Ctl, Done};

/// The first error in a log of criu's.
fn first_error(log: &std::path::Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    let found = text.lines().find_map(|line| line.split_once("Error (")?.1.split_once("): "));
    found.unwrap_or_else(|| panic!("no error in {text}")).1.to_owned()
}

/// criu knows the kernels of its time: what it makes of this one is seen when it is tried. Either the
/// container goes to disk and comes back, or it runs on and the refusal has criu's reason.
#[test]
fn to_disk_and_back_or_refused_with_the_reason_of_criu() {
    need("criu");
    let ctl = Ctl::new("trap 'exit 7' USR1; echo armed; while :; do sleep 0.1; done");
    let id = ctl.id();
    ctl.make("run", &["-d"]).ok();
    wait_until("it is armed", || ctl.ctl(&["logs", id]).out == "armed\n");
    let (image, work) = (ctl.container.path("image"), ctl.container.path("work"));
    let image_path = format!("--image-path={}", image.display());
    let work_path = format!("--work-path={}", work.display());
    let dumped = ctl.ctl(&["checkpoint", &image_path, &work_path, id]);
    if dumped.status == 0 {
        assert_eq!(ctl.ctl(&["wait", id]).status, 137);
        restored(&ctl, &image_path);
    } else {
        refused(&ctl, &image_path, dumped, &first_error(&work.join("dump.log")));
    }
}

fn restored(ctl: &Ctl, image: &str) {
    let message = ctl.make("restore", &[image]).failed(125);
    assert!(message.contains("delete it first"), "{message}");
    // The runtime has forgotten it already.
    ctl.ctl(&["delete", ctl.id()]).ok();
    ctl.make("restore", &[image]).ok();
    assert_eq!(ctl.state()["state"], "running");
    ctl.ctl(&["kill", "-s", "USR1", ctl.id()]).ok();
    assert_eq!(ctl.ctl(&["wait", ctl.id()]).status, 7);
}

fn refused(ctl: &Ctl, image: &str, dumped: Done, reason: &str) {
    let message = dumped.failed(125);
    assert!(message.contains("criu failed") && message.contains(reason), "{reason} is not in {message}");
    assert_eq!(ctl.state()["state"], "running");
    ctl.ctl(&["kill", "-s", "USR1", ctl.id()]).ok();
    wait_until("it has ended", || ctl.list(&["state=running"]).is_empty());
    // What is left of the image makes no container either.
    ctl.ctl(&["delete", ctl.id()]).ok();
    let message = ctl.make("restore", &[image]).failed(125);
    let reason = first_error(&ctl.container.bundle.path("restore.log"));
    assert!(message.contains(&reason), "{reason} is not in {message}");
}
