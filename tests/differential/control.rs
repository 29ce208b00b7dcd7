//! Lines of the control fifo.

use crate::compare::Subject;
use conward_testkit::{Client, Place, Running};

/// The last line before the end.
fn last(client: &Client) -> String {
    let heard = client.read_to_end();
    let text = String::from_utf8_lossy(&heard.stdout).into_owned();
    format!("{} {:?}", text.lines().last().unwrap_or_default(), heard.ending)
}

pub fn good_lines(subject: &mut Subject) {
    for line in ["1 1 80\n", "  1 1 81\n", "1 001 0082\n", "1 1 83 and more\n", "1 1 0\n", "1 1 1000\n"] {
        let place = subject.place();
        let (_running, client) = Running::of_sizes(&place);
        place.ctl(line.as_bytes());
        subject.note(line, last(&client));
    }
}

/// Each refused line alone, followed by a good one in a write of its own.
pub fn bad_lines(subject: &mut Subject) {
    for line in ["x\n", "1 2\n", "1 1001 80\n", "1 -1 80\n", "3 24 80\n", "1 0x10 80\n", "1 2.5 80\n", "\n"] {
        let place = subject.place();
        let (mut running, client) = Running::of_sizes(&place);
        let pid = running.monitor().pid();
        place.ctl(line.as_bytes());
        // The reference drops what comes before it is done with a refused line.
        conward_testkit::wait_until("the line is read", || {
            fifo_is_empty(&place) && conward_testkit::state_of(pid) == Some('S')
        });
        place.ctl(b"1 1 90\n");
        subject.note(line, last(&client));
    }
}

fn fifo_is_empty(place: &Place) -> bool {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    let options = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).clone();
    let fifo = options.open(place.bundle().join("ctl")).expect("ctl");
    let mut waiting: libc::c_int = 0;
    // SAFETY: FIONREAD fills the int it is given (pipe(7)).
    unsafe { libc::ioctl(fifo.as_raw_fd(), libc::FIONREAD, &mut waiting) };
    waiting == 0
}
