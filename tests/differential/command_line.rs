//! Words that are refused, and in which words.

use crate::compare::{Subject, normal};
use crate::life::diagnostics;
use conward_testkit::{Launch, Place, Script};

/// Runs it and notes status, words and what was left.
fn outcome(subject: &mut Subject, fact: &str, prepare: impl FnOnce(&Place) -> Launch<'_>) {
    let place = subject.place();
    place.script(&Script::of([]));
    let launched = prepare(&place).start().launched();
    let stderr = diagnostics(&place, &launched.stderr);
    let out = normal(&place, &launched.stdout);
    let log = if place.log().exists() { " (log made)" } else { "" };
    subject.note(fact, format!("{} {out}{stderr}{log}", launched.status));
}

pub fn parse_errors(subject: &mut Subject) {
    for words in [
        &["--nonsense"][..],
        &["-X"],
        &["-cID"],
        &["-c"],
        &["--cid"],
        &["--timeout", "abc"],
        &["--timeout", "99999999999"],
        &["--timeout=1x"],
        &["--log-size-max", ""],
        &["--log-size-max", "99999999999999999999"],
        &["-pc", "x"],
        &["--no-sync"],
        &["--termina"],
        &["--stdin=yes", "--nonsense"],
    ] {
        outcome(subject, &words.join(" "), |place| Launch::bare(place).args(words));
    }
    let place = subject.place();
    let stderr = Launch::bare(&place).args(["-c", "x", "-u", "x"]).start().launched().stderr;
    subject.note("the mark of an error", stderr);
    for locale in ["C", "C.UTF-8"] {
        outcome(subject, &format!("not ASCII in {locale}"), |place| {
            Launch::bare(place).env("LC_ALL", locale).args(["--log-tag", "äöü"])
        });
    }
}

pub fn validation(subject: &mut Subject) {
    outcome(subject, "no words at all", |place| Launch::bare(place));
    outcome(subject, "no uuid", |place| Launch::bare(place).args(["-c", "x"]));
    outcome(subject, "an empty id", |place| Launch::bare(place).args(["--cid=", "-u", "x"]));
    outcome(subject, "no runtime", |place| Launch::bare(place).args(["-c", "x", "-u", "x"]));
    outcome(subject, "a runtime that is not there", |place| {
        Launch::bare(place).args(["-c", "x", "-u", "x", "-r", "/nonexistent"])
    });
    outcome(subject, "a runtime that is no program", |place| {
        Launch::bare(place).args(["-c", "x", "-u", "x", "-r", "/etc/passwd"])
    });
    outcome(subject, "no log", |place| Launch::least(place));
    for words in [
        &["--log-level", "loud"][..],
        &["-e", "--restore", "x"],
        &["--exec-attach"],
        &["-e", "--exec-attach"],
        &["-e"],
        &["-e", "--api-version"],
        &["--exit-delay", "-1", "-l", "none"],
        &["--log-max-files", "-1"],
    ] {
        outcome(subject, &words.join(" "), |place| Launch::least(place).args(words));
    }
}

pub fn log_options(subject: &mut Subject) {
    for words in [
        &["-l", ""][..],
        &["-l", ":"],
        &["-l", "k8s-file:"],
        &["-l", "k8s-file"],
        &["-l", "json-file:/x"],
        &["-l", "what:/x"],
        &["-l", "what:"],
        &["-l", "k8s-file:LOG.missing/x"],
        &["-l", "journald", "-c", "short"],
        &["-l", "k8s-file:LOG", "--log-tag", "t"],
        &["-l", "k8s-file:LOG", "--log-label", "A=B"],
        &["-l", "journald", "--log-label", "A"],
        &["-l", "journald", "--log-label", "a=b"],
    ] {
        outcome(subject, &words.join(" "), |place| {
            let log = place.log().display().to_string();
            Launch::least(place).args(words.iter().map(|word| word.replace("LOG", &log)))
        });
    }
    outcome(subject, "a log that is a device", |place| {
        Launch::least(place).args(["-l", "k8s-file:/dev/null"])
    });
    outcome(subject, "a log that is a link", |place| {
        std::os::unix::fs::symlink(place.path("elsewhere"), place.path("link")).expect("link");
        Launch::least(place).arg("-l").arg(place.path("link"))
    });
}

pub fn accepted_words(subject: &mut Subject) {
    for words in [
        &["-l", "none"][..],
        &["-l", "off"],
        &["-l", "null:whatever"],
        &["-l", "none", "stray", "words", "-", "--", "--nonsense"],
        &["-l", "none", "--timeout", "0x10"],
        &["-l", "none", "--timeout", " 010"],
        &["-l", "none", "--stdin=anything"],
        &["-l", "none", "-ti"],
        &["-l", "none", "--log-level", "DEBUG", "--log-level", "error"],
        &["-l", "none", "--exit-command-arg", "unused"],
        &["-l", "LOG"],
        &["-l", ":LOG"],
        &["-l", "k8s-file:LOG", "-l", "none"],
        &["-l", "none", "--leave-stdin-open", "--exec-process-spec", "x"],
    ] {
        outcome(subject, &words.join(" "), |place| {
            let log = place.log().display().to_string();
            Launch::least(place).args(words.iter().map(|word| word.replace("LOG", &log)))
        });
    }
}
