//! The command line.

use std::path::PathBuf;

use crate::{Result, doing};

const USAGE: &str = "usage: conward-bench --ours PATH [--reference PATH] [--stub PATH] [--out DIR] \
                     [--chart FILE] [--label WORD] [--only NAME,…] [--quick]";

/// What was asked for.
pub struct Args {
    /// The supervisor under test.
    pub ours: PathBuf,
    /// What it is compared with.
    pub reference: PathBuf,
    /// The stub runtime; by default the one that was built beside the harness.
    pub stub: PathBuf,
    /// Where the raw numbers go; made if only the last part of the path is missing.
    pub out: PathBuf,
    /// Where the chart goes, if everything was measured.
    pub chart: PathBuf,
    /// Names the machine in the file's name. Its host name is nobody's business.
    pub label: String,
    /// Names of the groups to measure; all if absent.
    pub only: Option<String>,
    /// Few and small turns: shows that everything works. The numbers are not kept.
    pub quick: bool,
}

/// Parses the words after the program's name and checks that all three programs exist.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Args> {
    let (mut ours, mut stub, mut only, mut quick) = (None, None, None, false);
    let (mut reference, mut out) = (PathBuf::from("/usr/bin/conmon"), PathBuf::from("benches/runs"));
    let mut chart = PathBuf::from("benches/chart.svg");
    let mut label = String::from("local");
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
        match word.as_str() {
            "--ours" => ours = Some(PathBuf::from(value()?)),
            "--reference" => reference = value()?.into(),
            "--stub" => stub = Some(PathBuf::from(value()?)),
            "--out" => out = value()?.into(),
            "--chart" => chart = value()?.into(),
            "--label" => label = value()?,
            "--only" => only = Some(value()?),
            "--quick" => quick = true,
            _ => return Err(format!("unknown argument {word}\n{USAGE}")),
        }
    }
    let known = |name: &str| crate::groups::ALL.iter().any(|(group, _)| *group == name);
    if let Some(name) = only.iter().flat_map(|names| names.split(',')).find(|name| !known(name)) {
        return Err(format!("--only: no measurement is called {name:?}"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if label.is_empty() || !label.chars().all(plain) {
        return Err(format!("--label {label:?}: only ASCII letters, digits, - and _"));
    }
    let stub = match stub {
        Some(path) => path,
        None => std::env::current_exe().map_err(doing("find the harness"))?.with_file_name("stub-runtime"),
    };
    if !stub.exists() {
        return Err(format!("{}: not there; `cargo build` of this package makes it", stub.display()));
    }
    let found = |path: PathBuf| path.canonicalize().map_err(doing(path.display()));
    let ours = found(ours.ok_or(USAGE)?)?;
    Ok(Args { ours, reference: found(reference)?, stub: found(stub)?, out, chart, label, only, quick })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Args> {
        parse(line.split(' ').map(String::from))
    }

    #[test]
    fn wrong_words_are_refused() {
        let me = "--ours /proc/self/exe --reference /proc/self/exe --stub /proc/self/exe";
        assert!(parsed(&format!("{me} --quick --only log,idle")).is_ok());
        for wrong in ["--only logs", "--label a/b", "--label", "--ours /nowhere", "more"] {
            assert!(parsed(&format!("{me} --quick {wrong}")).is_err(), "{wrong}");
        }
        assert!(parsed("--quick").is_err());
    }
}
