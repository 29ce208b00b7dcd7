//! The order in which files come and go.

use crate::{PATIENCE, Place, readable};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::os::fd::AsFd;

/// Records what happens in the directories of a place. One inotify queue keeps the order between
/// directories too (inotify(7)).
#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    names: Vec<(WatchDescriptor, String)>,
    seen: Vec<String>,
}

impl Watch {
    /// Watches these directories of the place; `.` is the place itself. Events are named
    /// `+DIRECTORY/NAME` when a file appears complete or empty, and `-DIRECTORY/NAME` when it goes.
    /// Names with a dot or a suffix of random letters (temporary files) are left out, and the
    /// container's id is written `ID`.
    pub fn new(place: &Place, directories: &[&str]) -> Watch {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).expect("inotify");
        let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE;
        let add = |name: &&str| {
            let path = if *name == "bundle" { place.bundle().to_owned() } else { place.path(name) };
            (inotify.add_watch(&path, flags).expect("watch a directory"), (*name).to_owned())
        };
        let names = directories.iter().map(add).collect();
        Watch { inotify, names, seen: Vec::new() }
    }

    /// All events so far, oldest first, that concern the named entries.
    pub fn events(&mut self, place: &Place, wanted: &[&str]) -> Vec<String> {
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                let directory = self.names.iter().find(|(watch, _)| *watch == event.wd).map(|(_, name)| name);
                let (Some(directory), Some(name)) = (directory, event.name) else { continue };
                let sign = if event.mask.contains(AddWatchFlags::IN_DELETE) { '-' } else { '+' };
                let name = name.to_string_lossy().replace(place.id(), "ID");
                self.seen.push(format!("{sign}{directory}/{name}"));
            }
        }
        self.seen.iter().filter(|event| wanted.contains(&&event[1..])).cloned().collect()
    }

    /// Waits until this event was seen.
    pub fn wait(&mut self, place: &Place, event: &str) {
        while self.events(place, &[&event[1..]]).iter().all(|seen| seen != event) {
            assert!(readable(self.inotify.as_fd(), PATIENCE), "never seen: {event}; but {:?}", self.seen);
        }
    }
}
