//! The manual page says what the program does: its options are those of the table. All pages can be read.
//!
//! `CONWARD_BLESS=1 cargo test --test man` writes them into the page.

use std::fs;
use std::process::Command;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/conward.8");
const BEGIN: &str =
    ".\\\" BEGIN OPTIONS: rendered from src/flags/table; CONWARD_BLESS=1 cargo test --test man\n";
const END: &str = ".\\\" END OPTIONS\n";

/// The page before, between and after its two marks.
fn parts(page: &str) -> (&str, &str, &str) {
    let (before, rest) = page.split_once(BEGIN).expect("the mark where OPTIONS begin");
    let (options, after) = rest.split_once(END).expect("the mark where OPTIONS end");
    (before, options, after)
}

#[test]
fn options_are_those_of_the_table() {
    let page = fs::read_to_string(PAGE).expect("man/conward.8");
    let (before, options, after) = parts(&page);
    let rendered = conward::flags::render::man_options();
    if std::env::var_os("CONWARD_BLESS").is_some() {
        // Renamed into place, because the other test may be reading.
        let fresh = format!("{PAGE}.new");
        fs::write(&fresh, [before, BEGIN, &rendered, END, after].concat()).expect("man/conward.8.new");
        fs::rename(&fresh, PAGE).expect("man/conward.8");
        return;
    }
    for (line, (written, wanted)) in options.lines().zip(rendered.lines()).enumerate() {
        assert_eq!(written, wanted, "line {} of OPTIONS; CONWARD_BLESS=1 rewrites them", line + 1);
    }
    assert_eq!(options.len(), rendered.len(), "OPTIONS were cut; CONWARD_BLESS=1 rewrites them");
}

#[test]
fn sections_are_all_there_and_in_order() {
    let page = fs::read_to_string(PAGE).expect("man/conward.8");
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    let wanted = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "ENVIRONMENT",
        "FILES",
        "SIGNALS",
        "\"EXIT STATUS\"",
        "DIAGNOSTICS",
        "EXAMPLES",
        "\"SEE ALSO\"",
    ];
    assert_eq!(sections, wanted);
}

#[test]
fn mandoc_warns_of_nothing() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/man");
    for page in ["conward.8", "conwardctl.1", "conward-protocol.7"] {
        let lint = Command::new("mandoc").current_dir(directory).args(["-Tlint", "-Wwarning", page]).output();
        let lint = lint.expect("mandoc(1), which tests/setup installs");
        assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
    }
}
