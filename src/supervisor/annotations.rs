//! What the supervisor reads of the bundle's `config.json`: the annotations, whenever they are needed.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use conward_protocol::{STOP_SIGNAL_ANNOTATION, Signal};
use serde::Deserialize;

/// Bytes of `config.json` at most. A longer one is not read.
const CONFIG_MAX: u64 = 4 << 20;

/// The annotations of this bundle.
///
/// # Errors
/// The file cannot be read, is too long, or is no such configuration.
pub(super) fn read(bundle: &str) -> io::Result<BTreeMap<String, String>> {
    let path = Path::new(bundle).join("config.json");
    // A fifo in the place of the file must not hold anybody up.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut text = Vec::new();
    file.take(CONFIG_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > CONFIG_MAX {
        return Err(io::Error::other(format!("it has more than {CONFIG_MAX} bytes")));
    }
    parse(&text)
}

fn parse(config: &[u8]) -> io::Result<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        annotations: Option<BTreeMap<String, String>>,
    }
    let config: Config = serde_json::from_slice(config)?;
    Ok(config.annotations.unwrap_or_default())
}

/// The stop signal that the annotations of this bundle name, if they do.
///
/// # Errors
/// Those of [`read`]; or it is no signal.
pub(super) fn stop_signal(bundle: &str) -> io::Result<Option<Signal>> {
    named_signal(&read(bundle)?)
}

fn named_signal(annotations: &BTreeMap<String, String>) -> io::Result<Option<Signal>> {
    let Some(name) = annotations.get(STOP_SIGNAL_ANNOTATION).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let signal = Signal::parse(name);
    signal.map(Some).ok_or_else(|| io::Error::other(format!("no signal {name:?}")))
}

#[cfg(test)]
mod tests {
    use conward_protocol::{STOP_SIGNAL_ANNOTATION, Signal};

    use super::{named_signal, parse};

    #[test]
    fn the_annotation_names_the_signal() {
        let table = [
            ("SIGINT", Ok(Some("INT"))),
            ("3", Ok(Some("QUIT"))),
            ("RTMIN+3", Ok(Some("RTMIN+3"))),
            ("", Ok(None)),
            ("BANG", Err(())),
        ];
        for (value, name) in table {
            let config =
                format!(r#"{{"linux":{{}},"annotations":{{"a":"b","{STOP_SIGNAL_ANNOTATION}":"{value}"}}}}"#);
            let annotations = parse(config.as_bytes()).expect("a config");
            assert_eq!(annotations["a"], "b");
            let wanted = name.map(|name| name.and_then(Signal::parse));
            assert_eq!(named_signal(&annotations).map_err(|_| ()), wanted, "{value}");
        }
    }

    #[test]
    fn a_config_without_annotations_has_none_and_other_files_are_errors() {
        for config in ["{}", r#"{"annotations":null}"#, r#"{"annotations":{}}"#] {
            let annotations = parse(config.as_bytes()).expect("a config");
            assert!(
                annotations.is_empty() && named_signal(&annotations).expect("none").is_none(),
                "{config}"
            );
        }
        for config in ["", "7", r#"{"annotations":7}"#, r#"{"annotations":{"a":null}}"#] {
            assert!(parse(config.as_bytes()).is_err(), "{config}");
        }
    }
}
