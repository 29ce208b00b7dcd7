//! The manual page, made from the command line's own description.

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::Cli;

/// What no option tells.
const REST: &str = r#".SH "EXIT STATUS"
.TP
0 to 255
.BR run ,
.BR attach ,
.B exec
and
.B wait
end with the status of the container, or of the process that was added to it: what the program has exited with, 128 and the number of the
signal that has killed it, or 255 where nobody knows, which is said on standard error. Other commands end with 0.
.TP
125
conwardctl itself, the supervisor or the runtime failed; the reason is on standard error.
.TP
126
The program cannot be run.
.TP
127
The program does not exist.
.TP
128+N
.BR run ,
.B attach
or
.BR exec ,
on a terminal, was ended by signal N; the process runs on.
.SH SIGNALS
Without a terminal,
.BR run ,
.B attach
and
.B exec
send INT, TERM, HUP, QUIT, USR1 and USR2 to the container. With one, keys reach it as they are typed,
and a new size of the terminal is passed on. However they end, the terminal is left as it was found, also while they are stopped by TSTP.
.SH INPUT
The end of standard input is the end of the program's input with
.B "run \-i"
and
.BR "exec \-i" ,
which nobody else writes to meanwhile. Those who
.B attach
write side by side, and end nothing when they leave.
.SH FILES
.TP
.I /run/conward/ID/control.sock
The control socket of a supervisor.
.TP
.I /run/conward/ID/state.json
Its last state.
.TP
.I /run/conward/ID/exit.json
The exit record.
.TP
.I BUNDLE/ctr.log
The log of a container, where no other was asked for.
.SH EXAMPLES
.nf
conwardctl run \-\-rm \-it \-\-bundle ./busybox box
conwardctl create \-\-bundle ./web web && conwardctl start web
conwardctl logs \-f \-\-tail 10 web
conwardctl ls \-\-filter state=running
.fi
.SH "SEE ALSO"
.BR conward\-protocol (7),
.BR conward (8),
.BR runc (8)
"#;

/// The whole page: one section for each command.
pub fn page() -> String {
    let mut command = Cli::command();
    // Without a version: the page is that of the sources beside it, and changes only with them.
    command = command.version(None::<&str>).disable_help_subcommand(true);
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone())
        .title("CONWARDCTL")
        .section("1")
        .date("2026-11-21")
        .source("conward")
        .manual("User Commands");
    let rendered = man
        .render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| man.render_description_section(&mut page))
        .and_then(|()| man.render_options_section(&mut page));
    debug_assert!(rendered.is_ok(), "memory can be written");
    let mut page = String::from_utf8_lossy(&page).into_owned();
    page.push_str(".SH COMMANDS\n");
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        page.push_str(&section(sub));
    }
    page.push_str(REST);
    // The generator's way to write an empty line.
    once(&page).replace("\n.br\n\n.br\n", "\n.sp\n")
}

/// Each section brings the definition of an apostrophe; one is enough.
fn once(page: &str) -> String {
    let definition = |line: &&str| line.starts_with(".ie ") || line.starts_with(".el ");
    let head = page.split_inclusive('\n').take_while(definition);
    let rest = page.split_inclusive('\n').filter(|line| !definition(line));
    head.chain(rest).collect()
}

/// What a command does, and its options; those of all commands are not repeated.
fn section(command: &Command) -> String {
    let own = command.clone().mut_args(|arg| {
        let everywhere = arg.is_global_set() || arg.get_id() == "help";
        arg.hide(everywhere)
    });
    let man = Man::new(own);
    let mut text = Vec::new();
    let rendered = man
        .render_synopsis_section(&mut text)
        .and_then(|()| man.render_description_section(&mut text))
        .and_then(|()| man.render_options_section(&mut text));
    debug_assert!(rendered.is_ok(), "memory can be written");
    let mut section = format!(".SS {}\n", command.get_name());
    for line in String::from_utf8_lossy(&text).lines() {
        match line {
            ".SH SYNOPSIS" | ".SH OPTIONS" => {}
            heading if heading.starts_with(".SH") => section.push_str(".PP\n"),
            line => {
                section.push_str(line);
                section.push('\n');
            }
        }
    }
    section
}
