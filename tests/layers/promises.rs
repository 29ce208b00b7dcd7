//! `SECURITY.md` names for each promise the test that holds it: they exist. And what can only be held by
//! looking at all of the code.

use super::{none, paths, product, read, sources};

/// The rows of the table of promises, each with its line and its last cell.
fn promises(page: &str) -> Vec<(usize, &str)> {
    let lines = page.lines().enumerate().skip_while(|(_, line)| !line.starts_with("| promise | held by |"));
    let rows = lines.skip(2).take_while(|(_, line)| line.starts_with('|'));
    rows.map(|(nth, row)| (nth + 1, row.trim_end_matches('|').rsplit('|').next().unwrap_or_default()))
        .collect()
}

/// Whether the text has a test of this name.
fn has_test(code: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(nth, line)| {
        let above = lines[..nth].iter().rev().take_while(|line| line.starts_with("#["));
        line.starts_with(&function) && above.clone().any(|line| *line == "#[test]")
    })
}

#[test]
fn each_promise_has_its_test() {
    let page = read("SECURITY.md");
    let (mut broken, mut tests) = (Vec::new(), 0);
    for (line, cell) in promises(&page) {
        let mut file = None;
        let before = tests;
        for word in cell.split('`').skip(1).step_by(2) {
            if word.ends_with(".rs") {
                file = Some(read(word));
                continue;
            }
            tests += 1;
            if !file.as_ref().is_some_and(|code| has_test(code, word)) {
                broken.push(format!("SECURITY.md:{line}: there is no test `{word}` in the file before it"));
            }
        }
        if tests == before {
            broken.push(format!("SECURITY.md:{line}: a promise that no test holds"));
        }
    }
    none(broken);
    assert!(tests > 20, "the page names next to no test: {tests}");
    let code = "#[test]\n#[cfg(x)]\nfn there() {}\nfn helper() {}";
    assert!(has_test(code, "there") && !has_test(code, "helper") && !has_test(code, "the"));
}

/// By number, only where a comment says why the number cannot be another process's.
#[test]
fn signals_are_sent_in_sys_alone() {
    const SENDERS: [&str; 7] = ["kill", "killpg", "tgkill", "tkill", "sigqueue", "SYS_kill", "SYS_tgkill"];
    let mut broken = Vec::new();
    let mut seen = 0;
    for path in sources("src").iter().chain(&sources("protocol/src")) {
        for (line, used) in paths(&product(path)) {
            let outside = ["libc::", "nix::", "signal::"].iter().any(|prefix| used.starts_with(prefix));
            if !outside || !used.rsplit("::").next().is_some_and(|last| SENDERS.contains(&last)) {
                continue;
            }
            seen += 1;
            if !path.starts_with("src/sys") {
                broken.push(format!("{}:{line}: `{used}`: signals are sent in src/sys", path.display()));
            }
        }
    }
    none(broken);
    assert!(seen >= 2, "the rule sees none of the signals that are sent");
}
