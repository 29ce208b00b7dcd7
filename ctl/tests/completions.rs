//! Completions, by the shells that they are for.

use std::process::{Command, Output};

const CTL: &str = env!("CARGO_BIN_EXE_conwardctl");

fn script(shell: &str) -> String {
    let output = Command::new(CTL).args(["completions", shell]).output().expect("conwardctl");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn of_bash_complete_commands_and_options() {
    for (words, wanted) in [("conwardctl che", "checkpoint"), ("conwardctl exec --work", "--workdir")] {
        let count = words.split(' ').count();
        let ask = format!(
            "{}\nCOMP_WORDS=({words}); COMP_CWORD={}; _conwardctl conwardctl {} {}; echo \"${{COMPREPLY[@]}}\"",
            script("bash"),
            count - 1,
            words.split(' ').next_back().expect("a word"),
            words.split(' ').nth(count - 2).expect("a word"),
        );
        let Output { stdout, stderr, .. } = Command::new("bash").args(["-c", &ask]).output().expect("bash");
        let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert_eq!(out.trim(), wanted, "{words}: {err}");
    }
}

/// These shells are not on every machine: their scripts must at least name all commands.
#[test]
fn of_other_shells_name_all_commands() {
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = script(shell);
        for command in ["run", "create", "exec", "attach", "delete", "checkpoint", "restore", "debug"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    let wrong = Command::new(CTL).args(["completions", "tcsh"]).output().expect("conwardctl");
    assert_eq!(wrong.status.code(), Some(125));
}
