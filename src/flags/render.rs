//! Texts made from the table: help, version, and the OPTIONS part of the manual.

use std::fmt::Write;

use super::table::{Flag, GROUPS, Set};

/// Columns before the description in help.
const INDENT: usize = 39;

/// What `--help` prints.
pub fn help() -> String {
    let mut text = String::from(
        "Usage:\n  conward [OPTION...]\n\n\
         Supervises one OCI container: its standard streams, log, exit status and attached clients.\n\
         The value of an option is the next word, whatever it begins with; other words are ignored.\n",
    );
    for group in &GROUPS {
        let _ = writeln!(text, "\n{}:", group.title);
        for flag in group.flags.iter().filter(|flag| !flag.hidden) {
            let mut names = match flag.short {
                Some(letter) => format!("  -{}, --{}", char::from(letter), flag.long),
                None => format!("      --{}", flag.long),
            };
            if !flag.placeholder.is_empty() {
                names = format!("{names} {}", flag.placeholder);
            }
            let _ = write!(text, "{names:INDENT$} {}", flag.help);
            if let Some(default) = flag.default {
                let _ = write!(text, " (default {default})");
            }
            text.push('\n');
        }
    }
    text
}

/// What `--version` prints. Callers parse the first line, whatever this program is called, to learn
/// which command line it understands; the others tell what it is.
pub fn version() -> String {
    format!(
        "conmon version 2.2.1\ncommit: {}\nconward {}\n",
        option_env!("CONWARD_COMMIT").unwrap_or("unknown"),
        env!("CARGO_PKG_VERSION"),
    )
}

/// The OPTIONS part of conward(8), in the macros of groff_man(7).
pub fn man_options() -> String {
    let mut text = String::new();
    for group in &GROUPS {
        let _ = writeln!(text, ".SS {}", roff(group.title));
        for flag in group.flags.iter().filter(|flag| !flag.hidden) {
            let _ = writeln!(text, ".TP\n{}\n{}", man_names(flag), man_doc(flag));
        }
    }
    text
}

fn man_names(flag: &Flag) -> String {
    let mut names = format!("\\fB\\-\\-{}\\fR", roff(flag.long));
    if let Some(letter) = flag.short {
        names = format!("\\fB\\-{}\\fR, {names}", char::from(letter));
    }
    if !flag.placeholder.is_empty() {
        let _ = write!(names, " \\fI{}\\fR", roff(flag.placeholder));
    }
    names
}

fn man_doc(flag: &Flag) -> String {
    let mut doc = String::new();
    for (number, part) in roff(flag.doc).split('`').enumerate() {
        doc += if number == 0 {
            ""
        } else if number % 2 == 1 {
            "\\fB"
        } else {
            "\\fR"
        };
        doc += part;
    }
    if matches!(flag.set, Set::List(_)) {
        doc += " May be given several times.";
    }
    if let Some(default) = flag.default {
        let _ = write!(doc, " Default: {}.", roff(default));
    }
    // A new sentence on a line of its own, as roff wants it; none of them begins with a control character.
    doc.replace(". ", ".\n")
}

/// Text in which roff finds nothing to interpret.
fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::{help, man_options, version};
    use crate::flags::table;

    #[test]
    fn callers_can_read_the_version() {
        let text = version();
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(words[..4], ["conmon", "version", "2.2.1", "commit:"]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "conmon version 2.2.1");
        assert!(lines[1].len() > "commit: ".len());
        assert_eq!(lines[2], concat!("conward ", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn help_and_manual_name_each_option_once_and_no_hidden_one() {
        let (help, man) = (help(), man_options());
        let entries: Vec<&str> =
            man.split(".TP\n").skip(1).filter_map(|entry| entry.lines().next()).collect();
        for flag in table::flags() {
            let wanted = usize::from(!flag.hidden);
            let name = format!("--{}", flag.long);
            let in_help =
                help.lines().filter(|line| line.split_whitespace().take(2).any(|word| word == name));
            assert_eq!(in_help.count(), wanted, "{name} in help");
            let name = format!("\\fB{}\\fR", name.replace('-', "\\-"));
            let in_man = entries.iter().filter(|line| line.split(' ').take(2).any(|word| word == name));
            assert_eq!(in_man.count(), wanted, "{name} in the manual");
        }
        assert!(help.contains("--log-global-size-max"), "callers look for it");
    }

    #[test]
    fn help_fits_a_terminal_and_no_name_runs_into_its_description() {
        for line in help().lines() {
            assert!(line.len() <= 110, "{line}");
        }
        for line in help().lines().filter(|line| line.trim_start().starts_with('-')) {
            assert_eq!(line.as_bytes()[super::INDENT], b' ', "{line}");
            assert_ne!(line.as_bytes()[super::INDENT + 1], b' ', "{line}");
        }
    }

    #[test]
    fn no_line_of_the_manual_is_taken_for_a_request() {
        for line in man_options().lines().filter(|line| !line.starts_with(".SS ") && *line != ".TP") {
            assert!(!line.starts_with(['.', '\'']) && !line.is_empty(), "{line:?}");
        }
    }
}
