//! Where the supervisor puts its sockets and fifos, and what may be in the way.

use crate::place;
use conward_testkit::{Launch, Script, Step};
use nix::sys::stat::Mode;
use std::fs;
use std::os::unix::net::UnixListener;

#[test]
fn stale_sockets_and_fifos_are_replaced() {
    let place = place();
    drop(UnixListener::bind(place.bundle().join("attach")).expect("a stale socket"));
    for name in ["ctl", "winsz"] {
        nix::unistd::mkfifo(&place.bundle().join(name), Mode::S_IRWXU).expect("a stale fifo");
    }
    place.script(&Script::of([Step::AwaitStart, Step::out("x")]));
    let running = Launch::create(&place).start().created();
    let client = running.attach();
    assert_eq!((place.mode("bundle/attach"), place.mode("bundle/ctl")), ("s700".into(), "p640".into()));
    place.start_container();
    assert_eq!(client.read_to_end().stdout, b"x");
}

#[test]
fn other_files_in_the_way_are_kept_and_reported() {
    for name in ["attach", "ctl", "winsz"] {
        let place = place();
        fs::write(place.bundle().join(name), "precious").expect("a file in the way");
        place.script(&Script::of([]));
        let mut running = Launch::create(&place).exit_command("hook.json").start();
        running.go();
        let message = running.message();
        assert_eq!(message.number, -1, "{name}");
        assert!(message.text.is_some_and(|text| text.contains(name)), "{name} is not named");
        assert_eq!(running.status(), 1);
        assert_eq!(fs::read_to_string(place.bundle().join(name)).expect("the file"), "precious");
    }
}

#[test]
fn a_symlink_in_the_way_is_not_followed() {
    let place = place();
    fs::write(place.path("precious"), "precious").expect("a file");
    std::os::unix::fs::symlink(place.path("precious"), place.bundle().join("ctl")).expect("a link");
    place.script(&Script::of([]));
    let mut running = Launch::create(&place).start();
    running.go();
    let _ = running.message();
    running.status();
    assert_eq!(fs::read_to_string(place.path("precious")).expect("the file"), "precious");
    assert_eq!(place.mode("precious"), "f644");
}

#[test]
fn the_bundle_may_have_a_long_path() {
    let mut place = place();
    place.set_bundle(format!("{}/{}", "a".repeat(150), "b".repeat(150)));
    for terminal in [false, true] {
        place.script(&Script::of([Step::AwaitStart, Step::out("far away\n")]));
        let launch = Launch::create(&place);
        let running = if terminal { launch.arg("-t") } else { launch }.start().created();
        let client = running.attach();
        place.ctl(b"1 24 80\n");
        place.start_container();
        assert!(client.read_to_end().stdout.starts_with(b"far away"));
    }
}

#[test]
fn a_long_tmpdir_does_not_keep_a_terminal_away() {
    let place = place();
    let tmp = place.path("t".repeat(200));
    fs::create_dir(&tmp).expect("TMPDIR of the test");
    place.script(&Script::of([Step::AwaitStart, Step::out("x")]));
    let mut running = Launch::create(&place).arg("-t").env("TMPDIR", &tmp).start().created();
    let client = running.attach();
    place.start_container();
    assert_eq!(client.read_to_end().stdout, b"x");
    running.status();
    assert_eq!(fs::read_dir(&tmp).expect("TMPDIR").count(), 0);
}

#[test]
fn a_link_in_the_socket_directory_leads_to_the_bundle_while_it_lives() {
    let place = place();
    let link = place.path("sockets").join(place.id());
    // A stale one is replaced.
    std::os::unix::fs::symlink("/nowhere", &link).expect("a stale link");
    place.script(&Script::of([Step::AwaitStart]));
    let mut running = Launch::crio_create(&place).start();
    running.go();
    running.pid();
    assert_eq!(fs::read_link(&link).expect("link"), place.bundle());
    let client = conward_testkit::Client::connect(&link.join("attach"));
    place.start_container();
    client.read_to_end();
    running.status();
    assert!(link.symlink_metadata().is_err(), "the link is left behind");
}

#[test]
fn a_missing_socket_directory_is_reported() {
    let place = place();
    fs::remove_dir(place.path("sockets")).expect("remove a directory");
    place.script(&Script::of([]));
    let mut running = Launch::crio_create(&place).start();
    running.go();
    let message = running.message();
    assert_eq!(message.number, -1);
    assert!(message.text.is_some_and(|text| text.contains("sockets")));
    assert_eq!(running.status(), 1);
}

#[test]
fn the_container_pid_file_has_a_place_of_its_own_by_default() {
    let place = place();
    fs::remove_file(place.path("pidfile")).ok();
    place.script(&Script { record: Some(place.path("call.json")), ..Script::of([]) });
    // As Podman's, without -p.
    let mut running = Launch::bare(&place)
        .args(["--api-version", "-c", place.id(), "-u", place.id(), "--full-attach", "-l", "none", "--sync"])
        .arg("-r")
        .arg(conward_testkit::fake_runtime())
        .arg("-b")
        .arg(place.bundle())
        .cwd(place.path("persist"))
        .start();
    let pid = running.pid();
    assert_eq!(running.status(), 0);
    let file = place.path("persist").join(format!("pidfile-{}", place.id()));
    assert_eq!(fs::read_to_string(file).expect("pid file"), pid.to_string());
}
