//! `conwardctl`: see the manual page.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    conwardctl::main()
}
