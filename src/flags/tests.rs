use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::{Charset, Words, parse};
use crate::error::Error;

fn words(line: &[&str]) -> Result<Words, String> {
    parse(line.iter().map(OsString::from), &Charset::Utf8).map_err(|error| error.to_string())
}

fn fine(line: &[&str]) -> Words {
    words(line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn defaults() {
    let wanted = Words {
        log_level: some("warning"),
        log_max_files: 1,
        log_size_max: -1,
        log_global_size_max: -1,
        hook_timeout: 30,
        socket_dir_path: some("/var/run/crio"),
        ..Words::default()
    };
    assert_eq!(fine(&[]), wanted);
}

/// Each line means the same as the other one.
#[test]
fn forms_of_the_same_meaning() {
    let table: [(&[&str], &[&str]); 19] = [
        (&["--cid=x"], &["--cid", "x"]),
        (&["-c", "x"], &["--cid", "x"]),
        (&["--cid="], &["-c", ""]),
        (&["--cid=a=b"], &["-c", "a=b"]),
        (&["-it"], &["-i", "-t"]),
        (&["-itc", "x"], &["-i", "-t", "-c", "x"]),
        (&["-cit", "x"], &["-i", "-t", "-c", "x"]),
        (&["-Ti", "5"], &["-i", "--timeout=5"]),
        (&["--terminal=no"], &["-t"]),
        (&["--terminal="], &["-t"]),
        (&["--api-version", "1"], &["--api-version"]),
        (&["foo", "-i", "bar", "-", ""], &["-i"]),
        (&["-i", "--", "-t", "--no-such"], &["-i"]),
        (&["-c", "a", "--cid", "b"], &["-c", "b"]),
        (&["-T", "1", "-T", "2"], &["-T", "2"]),
        (&["--pidfile", "p"], &["-p", "p"]),
        (&["--restore-arg", "a", "--runtime-opt", "b"], &["--runtime-opt=a", "--runtime-opt=b"]),
        (&["--seccomp-notify-socket", "-t", "--seccomp-notify-plugins=x"], &[]),
        (&["-T", " 0x10", "--exit-delay=010"], &["-T", "16", "--exit-delay", "+8"]),
    ];
    for (one, other) in table {
        assert_eq!(fine(one), fine(other), "{one:?} and {other:?}");
    }
}

#[test]
fn the_next_word_is_the_value_whatever_it_is() {
    assert_eq!(fine(&["-c", "--"]).cid, some("--"));
    assert_eq!(fine(&["--cid", "-t"]).cid, some("-t"));
    let line = ["--exit-command-arg", "--root", "--exit-command-arg", "", "--exit-command-arg=--version"];
    let words = fine(&line);
    assert_eq!(words.exit_command_arg, ["--root", "", "--version"]);
    assert!(!words.version);
}

#[test]
fn an_empty_restore_is_there() {
    assert_eq!(fine(&["--restore="]).restore, some(""));
    assert_eq!(fine(&[]).restore, None);
}

#[test]
fn help_ends_the_reading() {
    for line in
        [["--help", "--no-such"], ["-h", "--cid"], ["-?", "-q"], ["--help-all", "-Tx"], ["-ihq", "-T"]]
    {
        assert!(fine(&line).help, "{line:?}");
    }
    assert_eq!(words(&["-q", "--help"]), Err("conmon: option parsing failed: Unknown option -q".into()));
    assert!(!fine(&["--", "--help"]).help);
}

#[test]
fn version_does_not_end_the_reading() {
    assert!(fine(&["-e", "--version"]).version);
    assert_eq!(words(&["--version", "-q"]), Err("conmon: option parsing failed: Unknown option -q".into()));
}

#[test]
fn error_texts() {
    let table: [(&[&str], &str); 34] = [
        (&["--no-such"], "Unknown option --no-such"),
        (&["--no-such=v"], "Unknown option --no-such=v"),
        (&["--ci"], "Unknown option --ci"),
        (&["--no-terminal"], "Unknown option --no-terminal"),
        (&["--"], ""),
        (&["--="], "Unknown option --="),
        (&["--=x"], "Unknown option --=x"),
        (&["---"], "Unknown option ---"),
        (&["--help=x"], "Unknown option --help=x"),
        (&["--help-runtime"], "Unknown option --help-runtime"),
        (&["-q"], "Unknown option -q"),
        (&["-iqt"], "Unknown option -iqt"),
        (&["-it=5"], "Unknown option -it=5"),
        (&["-="], "Unknown option -="),
        (&["-ä"], "Unknown option -ä"),
        (&["-", "-W"], "Unknown option -W"),
        (&["x", "--no-such"], "Unknown option --no-such"),
        (&["--cid"], "Missing argument for --cid"),
        (&["--pidfile"], "Missing argument for --pidfile"),
        (&["--restore"], "Missing argument for --restore"),
        (&["--seccomp-notify-socket"], "Missing argument for --seccomp-notify-socket"),
        (&["--timeout"], "Missing argument for --timeout"),
        (&["-c"], "Missing argument for -c"),
        (&["-iT"], "Missing argument for -T"),
        (&["-cID"], "Missing argument for -c"),
        (&["-cID", "x"], "Unknown option -cID"),
        (&["-cb", "x", "y"], "Error parsing option -b"),
        (&["-cib", "x"], "Error parsing option -b"),
        (&["-T", "x"], "Cannot parse integer value “x” for -T"),
        (&["-iT", ""], "Cannot parse integer value “” for -T"),
        (&["--timeout=5 "], "Cannot parse integer value “5 ” for --timeout"),
        (&["--log-max-files", "-t"], "Cannot parse integer value “-t” for --log-max-files"),
        (&["--exit-delay=2147483648"], "Integer value “2147483648” for --exit-delay out of range"),
        (
            &["--log-size-max=9223372036854775808"],
            "Integer value “9223372036854775808” for --log-size-max out of range",
        ),
    ];
    for (line, text) in table {
        let wanted = match text {
            "" => Ok(fine(&[])),
            text => Err(format!("conmon: option parsing failed: {text}")),
        };
        assert_eq!(words(line), wanted, "{line:?}");
    }
}

/// Podman's own tests call with `LANG=C` and `--log-tag äöüß`, and look for this text.
#[test]
fn texts_must_be_in_the_charset() {
    let invalid = "conmon: option parsing failed: Invalid byte sequence in conversion input";
    for line in [["--log-tag", "äöüß"], ["--runtime-arg", "ä"], ["--seccomp-notify-socket", "ä"], ["-c", "ä"]]
    {
        let error = parse(line.iter().map(OsString::from), &Charset::Ascii).expect_err("7 bits only");
        assert!(matches!(error, Error::Usage(_)));
        assert_eq!(error.to_string(), invalid);
        fine(&line);
    }
    let ignored = ["ä", "--terminal=ä", "--", "--log-tag", "ä"];
    parse(ignored.iter().map(OsString::from), &Charset::Ascii).expect("words that are no values");
    let latin = OsString::from_vec(b"--name=\xe4".to_vec());
    assert_eq!(parse([latin], &Charset::Latin1).expect("Latin-1").name, some("ä"));
}

/// Words of the kind that comes close to options, and any others.
fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(
            super::table::flags().map(|flag| format!("--{}", flag.long)).collect::<Vec<_>>()
        )
        .prop_map(String::into_bytes),
        (
            prop::sample::select(super::table::flags().map(|flag| flag.long).collect::<Vec<_>>()),
            any::<Vec<u8>>()
        )
            .prop_map(|(long, value)| [b"--", long.as_bytes(), b"=", &value].concat()),
        "-[a-zA-Z0=]{0,4}".prop_map(String::into_bytes),
        "-?0?x?[0-9]{0,25}".prop_map(String::into_bytes),
        any::<Vec<u8>>(),
    ]
}

proptest! {
    #[test]
    fn any_words_give_words_or_a_usage_error(line in prop::collection::vec(word(), 0..8), utf8 in any::<bool>()) {
        let charset = if utf8 { Charset::Utf8 } else { Charset::Ascii };
        match parse(line.into_iter().map(OsString::from_vec), &charset) {
            Ok(_) => {}
            Err(Error::Usage(text)) => prop_assert!(text.starts_with("option parsing failed: ")),
            Err(Error::Fatal(text)) => prop_assert!(false, "fatal: {}", text),
        }
    }

    #[test]
    fn a_value_arrives_as_it_was_typed(value in any::<String>()) {
        prop_assert_eq!(fine(&["-n", &value]).name, Some(value.clone()));
        prop_assert_eq!(fine(&[&format!("--name={value}")]).name, Some(value));
    }

    #[test]
    fn an_integer_arrives_as_it_was_typed(value in any::<i64>()) {
        prop_assert_eq!(fine(&["--log-size-max", &value.to_string()]).log_size_max, value);
    }
}
