//! Where a process's memory cgroup is, out of the texts of /proc/PID/cgroup and
//! /proc/self/mountinfo. Pure functions of bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The two kinds of cgroup hierarchy that can have the memory controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// One of several, each with controllers of its own.
    V1,
    /// The unified one.
    V2,
}

impl Hierarchy {
    /// The file that counts OOM kills.
    pub fn counters(self) -> &'static str {
        match self {
            Hierarchy::V1 => "memory.oom_control",
            Hierarchy::V2 => "memory.events",
        }
    }

    /// Where nearly every host has it.
    pub fn usual_mount(self) -> Mount {
        let point = match self {
            Hierarchy::V1 => "/sys/fs/cgroup/memory",
            Hierarchy::V2 => "/sys/fs/cgroup",
        };
        Mount { root: "/".into(), point: point.into() }
    }
}

/// A place where a hierarchy, or a part of it, is mounted.
#[derive(Debug, PartialEq, Eq)]
pub struct Mount {
    /// The cgroup that is seen at the mount point.
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// The directory of the cgroup `path`; `None` if this mount does not show it.
    pub fn directory(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.root).ok()?;
        // Seen from a cgroup namespace, cgroups outside begin with `/..` (cgroup_namespaces(7)).
        // No mount has a name for them.
        if below.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        Some(self.point.join(below))
    }
}

/// The cgroup that accounts a process's memory, out of its /proc/PID/cgroup: of the v1 hierarchy
/// with the memory controller if there is one (then v2 has none), else of v2.
pub fn memory_cgroup(text: &[u8]) -> Option<(Hierarchy, &Path)> {
    let mut unified = None;
    for line in text.split(|&byte| byte == b'\n') {
        // ID:CONTROLLER,CONTROLLER…:PATH, where the path may have colons too.
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let path = Path::new(OsStr::from_bytes(path));
        if controllers.split(|&byte| byte == b',').any(|name| name == b"memory") {
            return Some((Hierarchy::V1, path));
        }
        if id == b"0" && controllers.is_empty() {
            unified = Some((Hierarchy::V2, path));
        }
    }
    unified
}

/// Reads a line of mountinfo (proc_pid_mountinfo(5)): what it mounts if that is of `hierarchy`.
pub fn mount(line: &[u8], hierarchy: Hierarchy) -> Option<Mount> {
    // ID PARENT DEV ROOT POINT OPTIONS [TAG…] - TYPE SOURCE SUPER-OPTIONS
    let mut fields = line.split(|&byte| byte == b' ');
    // A path that is not absolute would lead out of the mount point.
    let mut path = |nth| fields.nth(nth).filter(|path| path.starts_with(b"/"));
    let (root, point) = (path(3)?, path(0)?);
    let mut filesystem = fields.skip_while(|&field| field != b"-").skip(1);
    let kind = filesystem.next()?;
    let options = filesystem.nth(1)?;
    let wanted = match hierarchy {
        Hierarchy::V1 => {
            kind == b"cgroup" && options.split(|&byte| byte == b',').any(|name| name == b"memory")
        }
        Hierarchy::V2 => kind == b"cgroup2",
    };
    wanted.then(|| Mount { root: unescape(root), point: unescape(point) })
}

/// Undoes the octal escapes (`\040`) of blanks and backslashes in mountinfo.
fn unescape(field: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] = rest {
            plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
        } else {
            plain.push(byte);
            rest = after;
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

#[cfg(test)]
mod tests {
    use super::Hierarchy::{V1, V2};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cgroup_lines() {
        let table: [(&str, Option<(Hierarchy, &str)>); 13] = [
            ("0::/user.slice/x.scope\n", Some((V2, "/user.slice/x.scope"))),
            ("0::/no/newline", Some((V2, "/no/newline"))),
            ("4:memory:/box\n0::/\n", Some((V1, "/box"))),
            ("0::/first\n4:memory:/box\n", Some((V1, "/box"))),
            ("6:cpu,memory,pids:/a:b:c\n", Some((V1, "/a:b:c"))),
            ("2:cpu,cpuacct:/cpu\n1:name=systemd:/s\n0::/u\n", Some((V2, "/u"))),
            ("3:name=memory:/no\n2:memoryx:/no\n1:xmemory,memory2:/no\n", None),
            ("10::/not-unified\n", None),
            ("0::/with:colons:\n", Some((V2, "/with:colons:"))),
            ("0::/../outside\n", Some((V2, "/../outside"))),
            ("garbage\n::\n:\n\n0:\n4:memory\n", None),
            ("4:memory\n0::/u", Some((V2, "/u"))),
            ("", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(hierarchy, path)| (hierarchy, Path::new(path)));
            assert_eq!(memory_cgroup(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn mountinfo_lines() {
        let memory = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory";
        let several = "35 31 0:32 /docker/1 /cg rw master:1 propagate_from:2 - cgroup cgroup rw,cpu,memory";
        let unified = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate";
        let spaces = r"41 31 0:38 /a\040b /cg\134\011x\9 rw - cgroup2 none rw";
        type Expected<'a> = Option<(&'a str, &'a str)>;
        let table: [(&str, Hierarchy, Expected); 12] = [
            (memory, V1, Some(("/", "/sys/fs/cgroup/memory"))),
            (memory, V2, None),
            (several, V1, Some(("/docker/1", "/cg"))),
            (unified, V2, Some(("/", "/sys/fs/cgroup"))),
            (unified, V1, None),
            (spaces, V2, Some(("/a b", "/cg\\\tx\\9"))),
            ("37 31 0:34 / /cg/freezer rw - cgroup cgroup rw,freezer", V1, None),
            ("37 31 0:34 / /cg/memory rw - cgroup cgroup rw,name=memory", V1, None),
            ("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,memory", V1, None),
            ("35 31 0:32 / /cg rw - cgroup cgroup", V1, None),
            ("35 31 0:32 / /cg rw cgroup cgroup rw,memory", V1, None),
            ("", V2, None),
        ];
        for (line, hierarchy, expected) in table {
            let expected = expected.map(|(root, point)| Mount { root: root.into(), point: point.into() });
            assert_eq!(mount(line.as_bytes(), hierarchy), expected, "{line:?}");
        }
    }

    #[test]
    fn directories() {
        let table = [
            ("/", "/cg", "/a/b", Some("/cg/a/b")),
            ("/", "/cg", "/", Some("/cg/")),
            ("/docker/1", "/cg", "/docker/1/sub", Some("/cg/sub")),
            ("/docker/1", "/cg", "/docker/1", Some("/cg/")),
            ("/docker/1", "/cg", "/docker/12", None),
            ("/docker/1", "/cg", "/", None),
            ("/", "/cg", "/../outside", None),
            ("/..", "/cg", "/../outside", Some("/cg/outside")),
            ("/a", "/cg", "/a/../../etc", None),
        ];
        for (root, point, path, expected) in table {
            let mount = Mount { root: root.into(), point: point.into() };
            assert_eq!(mount.directory(Path::new(path)), expected.map(PathBuf::from), "{root} {path}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "([0-9:,/.a \\\\-]|memory|cgroup2?|\n|\\PC){0,80}") {
            if let Some((_, path)) = memory_cgroup(text.as_bytes()) {
                for hierarchy in [V1, V2] {
                    if let Some(mount) = mount(text.as_bytes(), hierarchy) {
                        let _ = mount.directory(path);
                    }
                    if let Some(directory) = hierarchy.usual_mount().directory(path) {
                        prop_assert!(directory.starts_with("/sys/fs/cgroup"));
                    }
                }
            }
        }

        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = memory_cgroup(&text);
            prop_assert_eq!(mount(&text, V2).is_some(), false);
            prop_assert!(unescape(&text).as_os_str().len() <= text.len());
        }
    }
}
