//! `man/conward-protocol.7` is `PROTOCOL.md`, rendered: there is one source.
//!
//! `CONWARD_BLESS=1 cargo test -p conward-protocol --test man` writes the page.

mod render;
mod table;
mod text;

use std::fs;

const SOURCE: &str = include_str!("../../PROTOCOL.md");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../man/conward-protocol.7");

#[test]
fn the_page_is_the_document() {
    let rendered = render::page(SOURCE);
    if std::env::var_os("CONWARD_BLESS").is_some() {
        return fs::write(PAGE, rendered).expect("man/conward-protocol.7");
    }
    let page = fs::read_to_string(PAGE).expect("man/conward-protocol.7");
    for (nth, (written, wanted)) in page.lines().zip(rendered.lines()).enumerate() {
        assert_eq!(written, wanted, "line {} of the page; CONWARD_BLESS=1 rewrites it", nth + 1);
    }
    assert_eq!(page.len(), rendered.len(), "the page was cut; CONWARD_BLESS=1 rewrites it");
}

#[test]
fn every_heading_and_row_is_there() {
    let page = render::page(SOURCE);
    let headings = SOURCE.lines().filter(|line| line.starts_with("## ") || line.starts_with("### "));
    let sections = page.lines().filter(|line| line.starts_with(".SH ") || line.starts_with(".SS "));
    // The list of contents is left out; NAME and SEE ALSO are added, and the introduction has a heading.
    assert_eq!(sections.count(), headings.count() - 1 + 3);
    let rules = SOURCE.lines().filter(|line| line.starts_with("|-")).count();
    assert_eq!(page.lines().filter(|line| *line == ".TS").count(), rules);
    assert_eq!(page.lines().filter(|line| *line == ".TE").count(), rules);
}
