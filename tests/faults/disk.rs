//! A disk that fails or hangs, for one test alone.

use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, umount2};

/// A file system on a disk of its own, that goes read-only at its first error, as those of hosts do.
pub struct Ext4 {
    dir: PathBuf,
    device: String,
    frozen: Cell<bool>,
}

impl Ext4 {
    /// An empty one over this directory, which is made, in a file of this name. (As root, with loop devices.)
    pub fn over(dir: PathBuf, image: &Path) -> Ext4 {
        fs::create_dir_all(&dir).expect("a directory");
        let made = File::create(image).and_then(|file| file.set_len(8 << 20));
        made.expect("an image");
        let (image, place) = (image.display().to_string(), dir.display().to_string());
        run("mkfs.ext4", &["-q", &image]);
        run("mount", &["-o", "loop,errors=remount-ro", &image, &place]);
        let device = run("findmnt", &["-n", "-o", "SOURCE", &place]);
        Ext4 { dir, device: device.trim().trim_start_matches("/dev/").to_owned(), frozen: Cell::new(false) }
    }

    /// What an unreadable block would lead to.
    pub fn fail(&self) {
        let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", self.device);
        fs::write(trigger, "1").expect("an error of the file system");
    }

    /// From here on whoever writes to it waits, and cannot be killed.
    pub fn freeze(&self) {
        run("fsfreeze", &["--freeze", &self.dir.display().to_string()]);
        self.frozen.set(true);
    }

    /// They go on.
    pub fn thaw(&self) {
        if self.frozen.replace(false) {
            run("fsfreeze", &["--unfreeze", &self.dir.display().to_string()]);
        }
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        self.thaw();
        umount2(&self.dir, MntFlags::MNT_DETACH).expect("unmount");
    }
}

fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().expect(program);
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
