//! The Markdown that `PROTOCOL.md` is written in, as man(7).

use crate::table;
use crate::text::{self, inline, verbatim, wrapped};

const HEAD: &str = r#"'\" t
.\" Rendered from protocol/PROTOCOL.md; CONWARD_BLESS=1 cargo test -p conward-protocol --test man
.TH CONWARD-PROTOCOL 7 2026-11-21 conward "Miscellaneous Information"
.ad l
.nh
.SH NAME
conward\-protocol \- the language of the control socket of conward
.SH DESCRIPTION
"#;

const TAIL: &str = r#".SH "SEE ALSO"
.BR conwardctl (1),
.BR recvmsg (2),
.BR cmsg (3),
.BR unix (7),
.BR conward (8)
"#;

/// The whole page. Its lines of text are at most [`text::WIDTH`] long, and all of it is ASCII, so that it
/// looks the same on every terminal.
pub fn page(source: &str) -> String {
    let mut page = HEAD.to_owned();
    let mut lines = source.lines().skip_while(|line| !line.is_empty()).peekable();
    // After a heading nothing is between it and its text.
    let mut fresh = true;
    while let Some(line) = lines.next() {
        if line == "## Contents" {
            while lines.next_if(|line| !line.starts_with("## ")).is_some() {}
        } else if let Some(heading) = line.strip_prefix("## ") {
            page.push_str(&format!(".SH \"{}\"\n", text::plain(heading).to_uppercase()));
            fresh = true;
        } else if let Some(heading) = line.strip_prefix("### ") {
            page.push_str(&format!(".SS \"{}\"\n", text::plain(heading)));
            fresh = true;
        } else if line.starts_with("```") {
            let block: Vec<&str> = std::iter::from_fn(|| lines.next_if(|line| *line != "```")).collect();
            lines.next();
            page.push_str(if fresh { ".nf\n" } else { ".PP\n.nf\n" });
            page.push_str(&verbatim(&block));
            page.push_str(".fi\n");
            fresh = false;
        } else if line.starts_with('|') {
            let rest = std::iter::from_fn(|| lines.next_if(|line| line.starts_with('|')));
            let rows: Vec<&str> = std::iter::once(line).chain(rest).collect();
            page.push_str(if fresh { "" } else { ".PP\n" });
            page.push_str(&table::table(&rows));
            fresh = false;
        } else if !line.is_empty() {
            let more =
                |line: &&str| !line.is_empty() && !line.starts_with(['|', '#']) && !line.starts_with("```");
            let rest = std::iter::from_fn(|| lines.next_if(more));
            let paragraph = std::iter::once(line).chain(rest).collect::<Vec<_>>().join(" ");
            page.push_str(if fresh { "" } else { ".PP\n" });
            page.push_str(&wrapped(&inline(&paragraph)));
            fresh = false;
        }
    }
    page.push_str(TAIL);
    assert!(page.is_ascii(), "text::ascii does not know all characters of the document");
    page
}

#[cfg(test)]
mod tests {
    use super::{HEAD, TAIL, page};

    #[test]
    fn each_kind_of_block() {
        let source = "# Title\n\nFirst `a`\nline.\n\n## Contents\n\n[A](#a)\n\n## The *A*\n\n| b |\n|---|\n| c |\n\n### `op`\n\n```\nx\\\n```\n";
        let body =
            "First \\fBa\\fR line.\n.SH \"THE A\"\n.TS\nlB\nl.\nb\nc\n.TE\n.SS \"op\"\n.nf\n    x\\e\n.fi\n";
        assert_eq!(page(source), [HEAD, body, TAIL].concat());
    }
}
