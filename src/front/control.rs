//! Where the control socket is made.

use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::Env;

/// The directory of this container's control socket. `None` for an exec session, whose id is that
/// of the container; where an empty one was asked for; where a user has no runtime directory; and
/// for an id that is no name of a directory.
pub(super) fn directory(wanted: Option<&str>, exec: bool, id: &str, env: Env<'_>) -> Option<PathBuf> {
    let base = match wanted {
        Some("") => return None,
        Some(dir) => PathBuf::from(dir),
        None if geteuid().is_root() => PathBuf::from("/run/conward"),
        None => Path::new(&env("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty())?).join("conward"),
    };
    let plain = !matches!(id, "" | "." | "..") && !id.contains('/');
    (!exec && plain).then(|| base.join(id))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::directory;

    #[test]
    fn one_directory_for_each_container() {
        let env = |name: &str| (name == "XDG_RUNTIME_DIR").then(|| OsString::from("/run/user/7"));
        let own = |id: &str| directory(Some("/x"), false, id, &env);
        assert_eq!(own("abc"), Some(PathBuf::from("/x/abc")));
        assert_eq!(directory(Some("/x"), true, "abc", &env), None);
        assert_eq!(directory(Some(""), false, "abc", &env), None);
        for id in ["", ".", "..", "a/b", "../x"] {
            assert_eq!(own(id), None, "{id:?}");
        }
        let found = directory(None, false, "abc", &env);
        let wanted =
            if nix::unistd::geteuid().is_root() { "/run/conward/abc" } else { "/run/user/7/conward/abc" };
        assert_eq!(found, Some(PathBuf::from(wanted)));
    }
}
