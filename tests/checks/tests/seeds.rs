//! The checks on the seeds, which are in the repository with every finding, and on mixtures of them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The names of a directory's entries, without what stands behind a dot.
fn names(directory: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    names
}

fn run(target: &str, check: fn(&[u8])) {
    let directory = fuzz().join("seeds").join(target);
    let mut seeds = Vec::new();
    for entry in fs::read_dir(&directory).expect("a directory of seeds") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a seed");
        println!("{}", path.display());
        check(&bytes);
        seeds.push(bytes);
    }
    assert!(seeds.len() > 2, "next to no seeds");
    seeds.sort();
    println!("mixtures");
    mixtures(seeds, check);
}

/// Bytes that are shown as they stand in a literal.
struct Mixture(Vec<u8>);

impl fmt::Debug for Mixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// The beginning of one seed and the end of another, with some bytes between them.
fn mixtures(seeds: Vec<Vec<u8>>, check: fn(&[u8])) {
    let seed = select(seeds);
    let strategy =
        (seed.clone(), any::<Index>(), prop::collection::vec(any::<u8>(), 0..4), seed, any::<Index>());
    let mixed = strategy.prop_map(|(head, to, between, tail, from)| {
        let (head, tail) = (&head[..to.index(head.len() + 1)], &tail[from.index(tail.len() + 1)..]);
        Mixture([head, &between, tail].concat())
    });
    let tested = TestRunner::default().run(&mixed, |Mixture(bytes)| {
        check(&bytes);
        Ok(())
    });
    if let Err(error) = tested {
        panic!("{error}");
    }
}

macro_rules! checks {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                run(stringify!($name), conward_checks::$name::check);
            }
        )*
    };
}

checks! {
    attach cgroup command_line control_line ctl_line journal lifecycle log log_file notify records report
    server_line
}

#[test]
fn each_check_is_fuzzed() {
    assert_eq!(names(fuzz().join("fuzz_targets")), NAMES);
    assert_eq!(names(fuzz().join("seeds")), NAMES);
}
