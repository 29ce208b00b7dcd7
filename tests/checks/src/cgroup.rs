//! What the kernel says of cgroups. The bytes are three files, apart by lines `%%`: /proc/PID/cgroup,
//! /proc/self/mountinfo and memory.events (or memory.oom_control).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use conward::serve::oom::Counts;
use conward::serve::oom::paths::{Hierarchy, memory_cgroup, mount};

/// The cgroup is one that is named, what is looked at is below a mount point, and what is counted stands
/// there.
pub fn check(input: &[u8]) {
    let mut files = sections(input).into_iter();
    let mut file = || files.next().unwrap_or_default();
    let (cgroups, mounts) = (file(), file());
    counts(file());
    let Some((hierarchy, path)) = memory_cgroup(cgroups) else { return };
    let names =
        |line: &[u8]| line.splitn(3, |&byte| byte == b':').nth(2) == Some(path.as_os_str().as_bytes());
    assert!(cgroups.split(|&byte| byte == b'\n').any(names), "{path:?}");

    if let Some(directory) = hierarchy.usual_mount().directory(path) {
        assert_is_below(&directory, Path::new("/sys/fs/cgroup"));
    }
    for line in mounts.split(|&byte| byte == b'\n') {
        for hierarchy in [Hierarchy::V1, Hierarchy::V2] {
            let Some(directory) = mount(line, hierarchy).and_then(|mount| mount.directory(path)) else {
                continue;
            };
            // A point that has nothing to be unescaped.
            let point = line.split(|&byte| byte == b' ').nth(4).expect("a mount point");
            if !point.contains(&b'\\') {
                assert_is_below(&directory, Path::new(OsStr::from_bytes(point)));
            }
        }
    }
}

fn sections(input: &[u8]) -> Vec<&[u8]> {
    const BETWEEN: &[u8] = b"\n%%\n";
    let mut found = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        found.push(&rest[..at + 1]);
        rest = &rest[at + BETWEEN.len()..];
    }
    found.push(rest);
    found
}

fn assert_is_below(directory: &Path, point: &Path) {
    let below = directory.strip_prefix(point).expect("a directory below the mount point");
    assert!(below.components().all(|part| matches!(part, Component::Normal(_))), "{directory:?}");
}

fn counts(text: &[u8]) {
    let counts = Counts::parse(text);
    for (name, count) in
        [("oom", counts.oom), ("oom_kill", counts.oom_kill), ("oom_group_kill", counts.oom_group_kill)]
    {
        let stands = |line: &[u8]| {
            let line = std::str::from_utf8(line).unwrap_or_default();
            line.split_once(' ').is_some_and(|(key, number)| key == name && number.parse() == Ok(count))
        };
        assert!(count == 0 || text.split(|&byte| byte == b'\n').any(stands), "{name} {count}");
    }
}
