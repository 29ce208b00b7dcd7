//! The manual page says what the command line does: it is made from the same types.
//!
//! `CONWARD_BLESS=1 cargo test -p conwardctl --test man` writes it.

use std::fs;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../man/conwardctl.1");

#[test]
fn page_is_that_of_the_command_line() {
    let wanted = conwardctl::man::page();
    if std::env::var_os("CONWARD_BLESS").is_some() {
        fs::write(PAGE, wanted).expect("writing man/conwardctl.1");
        return;
    }
    let page = fs::read_to_string(PAGE).expect("man/conwardctl.1");
    for (line, (written, wanted)) in page.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(written, wanted, "line {} of man/conwardctl.1; CONWARD_BLESS=1 rewrites it", line + 1);
    }
    assert_eq!(page.len(), wanted.len(), "man/conwardctl.1 was cut; CONWARD_BLESS=1 rewrites it");
}
