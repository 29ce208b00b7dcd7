//! Running a scenario under both supervisors and comparing what was seen.

use crate::differences::{DIFFERENCES, Difference};
use conward_testkit::{Place, conward, reference};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One supervisor in one scenario, and what was seen of it so far.
pub struct Subject {
    program: PathBuf,
    facts: BTreeMap<String, String>,
}

impl Subject {
    /// A new place for this supervisor.
    pub fn place(&self) -> Place {
        Place::new(self.program.clone())
    }

    /// Notes a fact under a name that is new in the scenario.
    pub fn note(&mut self, fact: &str, value: impl std::fmt::Display) {
        let old = self.facts.insert(fact.to_owned(), value.to_string());
        assert!(old.is_none(), "the scenario notes {fact:?} twice");
    }
}

/// Runs the scenario twice and fails on anything but the listed differences.
pub fn compare(scenario: &str, run: fn(&mut Subject)) {
    let mut subjects = [reference(), conward()].map(|program| Subject { program, facts: BTreeMap::new() });
    // Side by side: each waits for processes most of the time.
    std::thread::scope(|scope| {
        for subject in &mut subjects {
            // A panic tells the thread's name.
            let thread = std::thread::Builder::new().name(subject.program.display().to_string());
            thread.spawn_scoped(scope, || run(subject)).expect("a thread");
        }
    });
    let [theirs, ours] = subjects.map(|subject| subject.facts);
    let names: Vec<&String> =
        theirs.keys().chain(ours.keys().filter(|name| !theirs.contains_key(*name))).collect();
    assert!(!names.is_empty(), "the scenario {scenario} sees nothing");
    let listed = |fact: &str| DIFFERENCES.iter().find(|d| d.scenario == scenario && d.fact == fact);
    let none = "(nothing)".to_owned();
    let mut faults = Vec::new();
    for name in &names {
        let (theirs, ours) = (theirs.get(*name).unwrap_or(&none), ours.get(*name).unwrap_or(&none));
        if let Some(fault) = judge(name, theirs, ours, listed(name)) {
            faults.push(fault);
        }
    }
    for known in DIFFERENCES.iter().filter(|known| known.scenario == scenario) {
        if !names.iter().any(|name| *name == known.fact) {
            faults.push(format!("{}: listed, but never looked at", known.fact));
        }
    }
    assert!(faults.is_empty(), "{scenario}:\n{}", faults.join("\n"));
}

fn judge(fact: &str, theirs: &str, ours: &str, known: Option<&Difference>) -> Option<String> {
    let shown = format!("{fact}:\n    reference {theirs:?}\n    conward   {ours:?}");
    match known {
        None if theirs == ours => None,
        None => Some(format!("{shown}\n    differ, and are not listed")),
        Some(_) if theirs == ours => Some(format!("{shown}\n    are listed as different and are the same")),
        Some(known) if !matches(known.reference, theirs) => {
            Some(format!("{shown}\n    of the reference {:?} was expected", known.reference))
        }
        Some(known) if !matches(known.conward, ours) => {
            Some(format!("{shown}\n    of conward {:?} was expected", known.conward))
        }
        Some(_) => None,
    }
}

/// Whether a text has this form, in which `*` stands for anything.
fn matches(form: &str, text: &str) -> bool {
    match form.split_once('*') {
        None => form == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            (0..=text.len()).filter(|&at| text.is_char_boundary(at)).any(|at| matches(rest, &text[at..]))
        }),
    }
}

/// A text in which everything that is different in each run has a name instead.
pub fn normal(place: &Place, text: &str) -> String {
    text.replace(place.id(), "ID").replace(&place.path("").display().to_string(), "DIR/")
}

#[test]
fn forms() {
    assert!(matches("a*c", "abc") && matches("*", "") && matches("a*b*", "a-b-c") && matches("abc", "abc"));
    assert!(!matches("a*c", "abd") && !matches("", "a") && !matches("a*b*c", "abd"));
}

#[test]
fn every_listed_difference_has_a_reason() {
    for known in DIFFERENCES {
        assert!(known.why.len() > 20, "{} / {}", known.scenario, known.fact);
        assert!(crate::NAMES.contains(&known.scenario), "no scenario is called {}", known.scenario);
    }
}
