//! Which files a log is made of, and where it has gaps: for who reads it back.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use conward_protocol::k8s::Spot;

use super::place::{FileId, Place};
use crate::plan::Stream;

/// Files of this supervisor that are remembered. Of older ones that are still there the order of their
/// names is known; a reader that has missed one says so.
const FILES_MAX: usize = 64;

/// The files that a log was written to, in their order. It outlives the sink.
#[derive(Debug)]
pub struct Trail {
    /// Where they are.
    pub place: Place,
    /// The newest last. `None`: it is gone.
    files: VecDeque<Option<FileId>>,
    /// The number of the newest.
    newest: i64,
    /// Where each stream last lost something, by its number.
    lost: [Option<Spot>; 2],
}

impl Trail {
    /// A trail that begins with this file.
    pub fn new(place: Place, file: &File) -> io::Result<Trail> {
        let files = VecDeque::from([Some(FileId::of(file)?)]);
        Ok(Trail { place, files, newest: 0, lost: [None; 2] })
    }

    /// The log goes on in another file.
    pub fn add(&mut self, file: &File) {
        let id = FileId::of(file).ok();
        // A file that has the inode number of an older one proves that one gone.
        for old in self.files.iter_mut().filter(|old| **old == id) {
            *old = None;
        }
        if self.files.len() == FILES_MAX {
            self.files.pop_front();
        }
        self.files.push_back(id);
        self.newest += 1;
    }

    /// Something is missing behind so many bytes of the newest file.
    pub fn lose(&mut self, stream: Stream, at: u64) {
        self.lost[stream as usize] = Some(Spot { file: self.newest, at });
    }

    /// Where something was lost last, by the numbers of the streams.
    pub fn lost(&self) -> [Option<Spot>; 2] {
        self.lost
    }

    /// The number of the newest file. Each has the number after that of the one before it.
    pub fn newest(&self) -> i64 {
        self.newest
    }

    /// The files after the one of this number, the oldest first: number and, if it is still there, id.
    /// The first ones may be forgotten.
    pub fn after(&self, number: i64) -> impl Iterator<Item = (i64, Option<FileId>)> {
        let numbers = (0..=self.newest).rev().zip(self.files.iter().rev());
        let mut files: Vec<_> =
            numbers.take_while(|(of, _)| *of > number).map(|(of, id)| (of, *id)).collect();
        files.reverse();
        files.into_iter()
    }

    /// All files of the log that are still there, also those of earlier supervisors, the oldest first.
    pub fn all(&self) -> io::Result<VecDeque<(i64, FileId)>> {
        let there = self.place.list()?;
        let ours = self.after(i64::MIN).filter_map(|(number, id)| Some((number, id?)));
        let mut all: VecDeque<_> =
            ours.filter(|(number, id)| *number == self.newest || there.contains(id)).collect();
        let mut number = self.newest - self.files.len() as i64;
        for id in there {
            if !self.files.contains(&Some(id)) {
                all.push_front((number, id));
                number -= 1;
            }
        }
        Ok(all)
    }
}
