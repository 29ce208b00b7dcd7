//! Users and groups of a container, by the files that it has in `/etc`.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};

use crate::error::Error;

/// Bytes of such a file that are read at most; entries beyond are not found.
const FILE_MAX: u64 = 1024 * 1024;

/// Somebody in the container.
#[derive(Debug, PartialEq, Eq)]
pub struct Who {
    pub uid: u32,
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// `USER[:GROUP]`, each by name or number, below this root.
///
/// # Errors
/// A name is not known there, or the files cannot be read.
pub fn find(root: &Path, wanted: &str) -> Result<Who, Error> {
    pick(wanted, &read(root, "etc/passwd")?, &read(root, "etc/group")?).map_err(Error::new)
}

/// A file of the container. Its links are followed as if its root was ours: they cannot lead out of it.
/// None there: nobody is known.
fn read(root: &Path, name: &str) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::io(format_args!("/{name} of the container"), error);
    let root = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = root.and_then(|root| openat2(root, name, flags, Mode::empty(), ResolveFlags::IN_ROOT));
    let file = match opened.map_err(std::io::Error::from) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        other => File::from(other.map_err(failed)?),
    };
    let mut text = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut text).map_err(failed)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// passwd(5): name, password, uid, gid, …; group(5): name, password, gid, members.
fn pick(wanted: &str, passwd: &str, groups: &str) -> Result<Who, String> {
    let entries = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
    };
    let number = |fields: &[String], nth: usize| fields.get(nth).and_then(|field| field.parse::<u32>().ok());
    let (user, group) = wanted.split_once(':').map_or((wanted, None), |(user, group)| (user, Some(group)));
    let of_number = user.parse::<u32>().ok();
    // Names first: one may consist of digits.
    let users = entries(passwd);
    let entry = users.iter().find(|fields| fields[0] == user);
    let entry =
        entry.or_else(|| users.iter().find(|fields| of_number.is_some() && number(fields, 2) == of_number));
    let uid = entry.and_then(|fields| number(fields, 2)).or(of_number);
    let uid = uid.ok_or_else(|| format!("{user}: no such user in /etc/passwd of the container"))?;
    let all = entries(groups);
    if let Some(group) = group {
        let entry = all.iter().find(|fields| fields[0] == group);
        let gid = entry.and_then(|fields| number(fields, 2)).or_else(|| group.parse().ok());
        let gid = gid.ok_or_else(|| format!("{group}: no such group in /etc/group of the container"))?;
        return Ok(Who { uid, gid, groups: Vec::new() });
    }
    let Some(entry) = entry else { return Ok(Who { uid, gid: 0, groups: Vec::new() }) };
    let member = |fields: &&Vec<String>| {
        fields.get(3).is_some_and(|list| list.split(',').any(|name| name == entry[0]))
    };
    let groups = all.iter().filter(member).filter_map(|fields| number(fields, 2)).collect();
    Ok(Who { uid, gid: number(entry, 3).unwrap_or(0), groups })
}

#[cfg(test)]
mod tests {
    use super::{Who, find, pick};

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh\n77:x:8:9::/:/bin/sh\nbad\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:\nlog:x:50:root,web\ndisk:x:6:web\n";

    #[test]
    fn users_and_groups() {
        let table: [(&str, u32, u32, &[u32]); 8] = [
            ("root", 0, 0, &[50]),
            ("web", 33, 34, &[50, 6]),
            ("33", 33, 34, &[50, 6]),
            ("77", 8, 9, &[]),
            ("1000", 1000, 0, &[]),
            ("web:log", 33, 50, &[]),
            ("web:7", 33, 7, &[]),
            ("1000:disk", 1000, 6, &[]),
        ];
        for (wanted, uid, gid, groups) in table {
            let who = Who { uid, gid, groups: groups.to_vec() };
            assert_eq!(pick(wanted, PASSWD, GROUP), Ok(who), "{wanted}");
        }
        for wanted in ["nobody", "", "web:nogroup", ":log", "bad", "-1", "4294967296"] {
            assert!(pick(wanted, PASSWD, GROUP).is_err(), "{wanted:?}");
        }
    }

    #[test]
    fn links_do_not_lead_out_of_the_container() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("etc")).expect("a directory");
        assert!(find(dir.path(), "web").is_err());
        assert_eq!(find(dir.path(), "5:6"), Ok(Who { uid: 5, gid: 6, groups: Vec::new() }));
        // Absolute, so of the container's root; and up, which ends there.
        std::fs::write(path("users"), PASSWD).expect("a file");
        std::os::unix::fs::symlink("/users", path("etc/passwd")).expect("a link");
        std::os::unix::fs::symlink("../../../../etc/hostname", path("etc/group")).expect("a link");
        assert_eq!(find(dir.path(), "web"), Ok(Who { uid: 33, gid: 34, groups: Vec::new() }));
    }
}
