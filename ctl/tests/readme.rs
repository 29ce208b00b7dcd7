//! What the README shows of a container's life by hand, done as it stands there: commands after `$ `, what
//! they print, and, to socat, the lines that are typed. `…` stands for anything.

use std::io::{BufRead, BufReader, Write};
use std::iter::Peekable;
use std::process::{Command, Stdio};

use conward_testkit::sandbox::{Sandbox, finish};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

/// The lines of the code blocks between the marks.
fn lines() -> Vec<String> {
    let text = std::fs::read_to_string(README).expect("README.md");
    let part = text.split("<!-- by-hand:begin -->").nth(1).expect("a beginning");
    let part = part.split("<!-- by-hand:end -->").next().expect("an end");
    part.split("```")
        .skip(1)
        .step_by(2)
        .flat_map(str::lines)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether the line is as the page says; how many blanks there are does not matter.
fn agrees(wanted: &str, line: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (wanted, line) = (words(wanted), words(line));
    let mut parts = wanted.split('…').map(str::trim);
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut exact = true;
    for part in parts {
        let Some(at) = rest.rfind(part) else { return false };
        // What comes last must be the end.
        exact = part.is_empty() || at + part.len() == rest.len();
        rest = &rest[at + part.len()..];
    }
    exact && (wanted.contains('…') || rest.is_empty())
}

/// A command on the path, in the directory of the sandbox.
fn shell(sandbox: &Sandbox, command: &str) -> Command {
    let mut shell = sandbox.limited("sh");
    let script = format!("cd {0}; PATH={0}:$PATH; {command}", sandbox.dir().display());
    shell.args(["-c", &script]);
    shell
}

/// Types what the page types, and hears what it says; gives what is heard after that.
fn converse<'a>(
    sandbox: &Sandbox,
    command: &str,
    lines: &mut Peekable<impl Iterator<Item = &'a String>>,
) -> String {
    let mut child = shell(sandbox, &format!("exec {command}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("socat");
    let mut typing = child.stdin.take().expect("piped stdin");
    let mut heard = BufReader::new(child.stdout.take().expect("piped stdout")).lines();
    while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
        if line.starts_with('{') {
            let said = heard.next().unwrap_or_else(|| panic!("not said: {line}")).expect("text");
            assert!(agrees(line, &said), "\n{line}\nis on the page, but said was\n{said}");
        } else {
            writeln!(typing, "{line}").expect("typing");
        }
    }
    drop(typing);
    let rest: Vec<String> = heard.map_while(Result::ok).collect();
    child.wait().expect("socat");
    rest.join("\n")
}

#[test]
fn a_container_by_hand() {
    let sandbox = Sandbox::new();
    sandbox.supervisor();
    std::fs::copy(env!("CARGO_BIN_EXE_conwardctl"), sandbox.dir().join("conwardctl")).expect("a copy");
    let lines = lines();
    let mut lines = lines.iter().peekable();
    while let Some(line) = lines.next() {
        let command = line.strip_prefix("$ ").unwrap_or_else(|| panic!("printed by nobody: {line}"));
        if command.starts_with("socat ") {
            let rest = converse(&sandbox, command, &mut lines);
            assert_eq!(rest, "", "said beyond what is on the page");
            continue;
        }
        let output = finish(&mut shell(&sandbox, command), command);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && err.is_empty(), "{command}: {}\n{err}", output.status);
        for printed in out.lines() {
            let wanted = lines.next_if(|line| !line.starts_with("$ "));
            let wanted =
                wanted.unwrap_or_else(|| panic!("{command} printed more than the page says: {printed}"));
            assert!(
                agrees(wanted, printed),
                "{command}:\n{wanted}\nis on the page, but printed was\n{printed}"
            );
        }
    }
}

#[test]
fn lines_that_agree() {
    for (wanted, line, agree) in [
        ("a b", "a   b", true),
        ("a b", "a b c", false),
        ("a … c", "a b c", true),
        ("a … c", "a b c d", false),
        ("{\"pid\":…}", "{\"pid\":7}", true),
        ("{\"pid\":…}", "{\"pod\":7}", false),
        ("a …", "a b c", true),
        ("x…y…z", "x1y2z", true),
        ("x…y…z", "x1z2y", false),
    ] {
        assert_eq!(agrees(wanted, line), agree, "{wanted} and {line}");
    }
}
