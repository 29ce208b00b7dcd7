//! The words of `--log-path`, and what else is said about the log.

use std::path::PathBuf;

use super::{fatal, log_limits};
use crate::error::Error;
use crate::flags::Words;
use crate::plan::{FileLog, JournalLog, LogPlan};

/// Journal entries carry the first 12 characters of the id as its short form, and the id must be
/// longer than that.
const SHORT_ID: usize = 12;

/// One value of `--log-path`.
#[derive(Debug, PartialEq, Eq)]
enum Driver<'a> {
    File(&'a str),
    Journal,
    Nothing,
    Passthrough,
}

/// The sinks, and whether the container gets the supervisor's own streams instead.
pub(super) fn plan(words: &Words, id: &str) -> Result<(LogPlan, bool), Error> {
    if words.log_path.is_empty() {
        return Err(fatal("Log driver not provided. Use --log-path"));
    }
    let (mut path, mut journal, mut passthrough) = (None, false, false);
    for value in &words.log_path {
        match driver(value)? {
            Driver::File(last) => path = Some(last), // earlier ones are not even created
            Driver::Journal => journal = true,
            Driver::Nothing => {}
            Driver::Passthrough => passthrough = true,
        }
    }
    if path.is_some() && !journal {
        check_file(words)?;
    }
    if journal {
        check_journal(words, id)?;
    }
    let file = path.map(|path| FileLog {
        path: PathBuf::from(path),
        size_max: limit(words.log_size_max),
        global_max: limit(words.log_global_size_max),
        keep: u32::try_from(words.log_max_files).ok().filter(|_| words.log_rotate),
        allowed_dirs: words.log_allowlist_dir.iter().map(PathBuf::from).collect(),
        sync: !words.no_sync_log,
    });
    let journal = journal.then(|| JournalLog {
        tag: words.log_tag.clone(),
        labels: words.log_label.clone(),
        mark_partial: !words.no_container_partial_message,
        priority_prefix: words.log_journal_priority,
    });
    Ok((LogPlan { file, journal, limits: log_limits::limits(words)? }, passthrough))
}

/// A tag or a label has no place in the records of a file.
fn check_file(words: &Words) -> Result<(), Error> {
    if words.log_tag.is_some() {
        return Err(fatal("k8s-file doesn't support --log-tag"));
    }
    if !words.log_label.is_empty() {
        return Err(fatal("k8s-file doesn't support --log-label"));
    }
    Ok(())
}

fn check_journal(words: &Words, id: &str) -> Result<(), Error> {
    if id.len() <= SHORT_ID {
        return Err(fatal("Container ID must be longer than 12 characters"));
    }
    words.log_label.iter().try_for_each(|label| check_label(label))
}

fn check_label(label: &str) -> Result<(), Error> {
    let name = label.split('=').next().unwrap_or_default();
    let fault = if label.starts_with('=') {
        "labels must be in format LABEL=VALUE (no LABEL present in"
    } else if label.matches('=').count() != 1 {
        "labels must be in format LABEL=VALUE (none or more than one '=' present in"
    } else if !name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') {
        "label names must contain only uppercase letters, numbers and underscore (in"
    } else {
        return Ok(());
    };
    Err(fatal(format!("Container {fault} '{label}')")))
}

/// Reads `[driver:]path`. Only the first colon separates, and none does in a path that begins with a
/// slash: the reference cuts a path at its second colon.
fn driver(value: &str) -> Result<Driver<'_>, Error> {
    if value.bytes().all(|b| b == b':') {
        return Err(fatal("log-path must not be empty"));
    }
    if value.starts_with('/') {
        return Ok(Driver::File(value));
    }
    let (name, path) = match value.split_once(':') {
        Some((name, path)) => (name, Some(path)),
        None => (value, None),
    };
    match (name, path) {
        ("", Some(path)) => Ok(Driver::File(path)),
        ("k8s-file", Some(path)) if !path.is_empty() => Ok(Driver::File(path)),
        ("k8s-file", _) => Err(fatal("k8s-file requires a filename")),
        ("journald", _) => Ok(Driver::Journal),
        ("none" | "off" | "null", _) => Ok(Driver::Nothing),
        ("passthrough", _) => Ok(Driver::Passthrough),
        (path, None) => Ok(Driver::File(path)),
        (name, Some(_)) => Err(fatal(format!("No such log driver {name}"))),
    }
}

/// A limit in bytes; 0 and less mean that there is none.
fn limit(bytes: i64) -> Option<u64> {
    u64::try_from(bytes).ok().filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::{Driver, check_label, driver, limit, plan};
    use crate::flags::Words;
    use crate::plan::{FileLog, JournalLog};
    use std::path::PathBuf;

    const ID: &str = "0123456789abc";

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn drivers_and_paths() {
        let no_driver = |name: &str| Err(format!("[conmon:e]: No such log driver {name}"));
        let table = [
            ("k8s-file:/a", Ok(Driver::File("/a"))),
            ("k8s-file:/a:b", Ok(Driver::File("/a:b"))),
            ("k8s-file:a", Ok(Driver::File("a"))),
            ("/a", Ok(Driver::File("/a"))),
            ("/a:b", Ok(Driver::File("/a:b"))),
            ("a", Ok(Driver::File("a"))),
            (":a", Ok(Driver::File("a"))),
            (":none", Ok(Driver::File("none"))),
            (":/a:b", Ok(Driver::File("/a:b"))),
            ("journald", Ok(Driver::Journal)),
            ("journald:", Ok(Driver::Journal)),
            ("journald:/x", Ok(Driver::Journal)),
            ("none", Ok(Driver::Nothing)),
            ("off:x", Ok(Driver::Nothing)),
            ("null:", Ok(Driver::Nothing)),
            ("passthrough", Ok(Driver::Passthrough)),
            ("passthrough:x", Ok(Driver::Passthrough)),
            ("json-file:/a", no_driver("json-file")),
            ("kubernetes-log-file:/a", no_driver("kubernetes-log-file")),
            ("a:", no_driver("a")),
            ("a/b:c", no_driver("a/b")),
            ("k8s-file", Err("[conmon:e]: k8s-file requires a filename".into())),
            ("k8s-file:", Err("[conmon:e]: k8s-file requires a filename".into())),
            ("", Err("[conmon:e]: log-path must not be empty".into())),
            (":", Err("[conmon:e]: log-path must not be empty".into())),
            ("::", Err("[conmon:e]: log-path must not be empty".into())),
        ];
        for (value, wanted) in table {
            assert_eq!(driver(value).map_err(|error| error.to_string()), wanted, "{value:?}");
        }
    }

    #[test]
    fn labels() {
        let format = "Container labels must be in format LABEL=VALUE";
        let names = "Container label names must contain only uppercase letters, numbers and underscore";
        let table = [
            ("A=b", None),
            ("A_1=", None),
            ("=b", Some(format!("{format} (no LABEL present in '=b')"))),
            ("=", Some(format!("{format} (no LABEL present in '=')"))),
            ("ab", Some(format!("{format} (none or more than one '=' present in 'ab')"))),
            ("", Some(format!("{format} (none or more than one '=' present in '')"))),
            ("A=b=c", Some(format!("{format} (none or more than one '=' present in 'A=b=c')"))),
            ("a=b", Some(format!("{names} (in 'a=b')"))),
            ("A B=c", Some(format!("{names} (in 'A B=c')"))),
        ];
        for (label, wanted) in table {
            let error = check_label(label).err().map(|error| error.text().to_owned());
            assert_eq!(error, wanted, "{label:?}");
        }
    }

    #[test]
    fn which_combinations_are_refused() {
        let long = "Container ID must be longer than 12 characters";
        let (tag, label) = ("k8s-file doesn't support --log-tag", "k8s-file doesn't support --log-label");
        // Id, log paths, whether there is a tag, label, and the error; empty for none.
        let table: [(&str, &[&str], bool, &str, &str); 14] = [
            (ID, &[], false, "", "Log driver not provided. Use --log-path"),
            (ID, &["a"], false, "", ""),
            (ID, &["a"], true, "", tag),
            (ID, &["a"], false, "A=b", label),
            (ID, &["a"], true, "bad", tag),
            (ID, &["a", "journald"], true, "", ""),
            (ID, &["journald", "a"], false, "A=b", ""),
            (ID, &["none"], true, "bad", ""),
            (ID, &["passthrough"], true, "bad", ""),
            ("0123456789ab", &["journald"], false, "", long),
            ("0123456789ab", &["journald"], true, "bad", long),
            ("x", &["a", "none"], false, "", ""),
            ("x", &["journald", "json-file:a"], false, "", "No such log driver json-file"),
            (ID, &["", "json-file:a"], true, "", "log-path must not be empty"),
        ];
        for (id, paths, tag, label, wanted) in table {
            let words = Words {
                log_path: strings(paths),
                log_tag: tag.then(|| "t".to_owned()),
                log_label: strings(&[label]).into_iter().filter(|label| !label.is_empty()).collect(),
                ..Words::default()
            };
            let error = plan(&words, id).err().map_or(String::new(), |error| error.text().to_owned());
            assert_eq!(error, wanted, "{id} {paths:?} {tag} {label}");
        }
    }

    #[test]
    fn the_last_file_wins_beside_the_journal() {
        let words = Words {
            log_path: strings(&["/a", "journald", "none", "k8s-file:/b"]),
            log_tag: Some("t".into()),
            log_label: strings(&["A=b"]),
            log_size_max: 10,
            log_rotate: true,
            log_max_files: 3,
            log_allowlist_dir: strings(&["/"]),
            no_sync_log: true,
            no_container_partial_message: true,
            log_journal_priority: true,
            ..Words::default()
        };
        let (logs, passthrough) = plan(&words, ID).expect("a valid choice");
        assert!(!passthrough);
        let file = FileLog {
            path: PathBuf::from("/b"),
            size_max: Some(10),
            global_max: None,
            keep: Some(3),
            allowed_dirs: vec![PathBuf::from("/")],
            sync: false,
        };
        let journal = JournalLog {
            tag: Some("t".into()),
            labels: words.log_label,
            mark_partial: false,
            priority_prefix: true,
        };
        assert_eq!((logs.file, logs.journal), (Some(file), Some(journal)));
    }

    #[test]
    fn limits() {
        assert_eq!([-5, -1, 0, 1, i64::MAX].map(limit), [None, None, None, Some(1), Some(i64::MAX as u64)]);
    }
}
