//! Words: markup, escapes, and where lines end.

/// Characters of a line of the page at most, and columns of an example.
pub const WIDTH: usize = 78;

/// Characters of code in a sentence that are kept in one line in any case.
const CODE_MAX: usize = 20;

/// Columns that man(7) leaves free before a text.
const MARGIN: usize = 7;
/// How far examples are indented, and how far what does not fit in one line.
const INDENT: &str = "    ";
const HANGING: &str = "        ";

/// What roff must not take for its own, and what is no ASCII.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            other => out.push(other),
        }
    }
    out
}

/// The characters of the document that not every terminal has.
fn ascii(text: &str) -> String {
    let text = text.replace("⁶³", "^63");
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '…' => out.push_str("..."),
            '→' => out.push_str("->"),
            '←' => out.push_str("<-"),
            '─' => out.push('-'),
            '│' => out.push('|'),
            '▶' => out.push('>'),
            '◀' => out.push('<'),
            '▼' => out.push('v'),
            '└' | '┤' | '┴' => out.push('+'),
            other => out.push(other),
        }
    }
    out
}

/// Text without its markup, as the reader sees it.
pub fn bare(text: &str) -> String {
    ascii(&without_links(text).replace(['`', '*'], ""))
}

/// The same for roff, for headings.
pub fn plain(text: &str) -> String {
    escaped(&bare(text))
}

/// Text with `code`, **strong**, *stressed* and links, the targets of which a page does not have.
pub fn inline(text: &str) -> String {
    let mut out = String::new();
    for (nth, part) in without_links(&ascii(text)).split('`').enumerate() {
        match nth % 2 {
            0 => out.push_str(&stressed(part)),
            _ => out.push_str(&format!("\\fB{}\\fR", breakable(&escaped(part)))),
        }
    }
    out
}

/// A long piece of code has no blanks to break a line at: it may be broken after its commas and colons.
fn breakable(code: &str) -> String {
    if code.len() <= CODE_MAX {
        return code.to_owned();
    }
    code.replace(',', ",\\:").replace("\":", "\":\\:")
}

fn stressed(text: &str) -> String {
    let mut out = String::new();
    for (nth, part) in text.split("**").enumerate() {
        if nth % 2 == 1 {
            out.push_str(&format!("\\fB{}\\fR", escaped(part)));
            continue;
        }
        for (nth, part) in part.split('*').enumerate() {
            match nth % 2 {
                0 => out.push_str(&escaped(part)),
                _ => out.push_str(&format!("\\fI{}\\fR", escaped(part))),
            }
        }
    }
    out
}

/// `[text](#target)` is the text. Brackets of other kinds stay.
fn without_links(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](#") {
        let (before, name) = before.rsplit_once('[').expect("the beginning of a link");
        let (_, after) = after.split_once(')').expect("the end of a link");
        out.push_str(before);
        out.push_str(name);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Lines of words, none of which begins like a request of roff.
pub fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if column > 0 && column + 1 + word.len() > WIDTH {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        if column == 0 && word.starts_with(['.', '\'']) {
            out.push_str("\\&");
        }
        out.push_str(word);
        column += word.len();
    }
    out.push('\n');
    out
}

/// An example, line by line. What is too long is folded, where an element or a word ends.
pub fn verbatim(block: &[&str]) -> String {
    let lines: Vec<String> = block.iter().map(|line| ascii(line)).collect();
    let longest = lines.iter().map(String::len).max().unwrap_or_default();
    // What just fits is moved to the left rather than folded: it may be a drawing.
    let least = (WIDTH - MARGIN).checked_sub(longest).map_or(INDENT.len(), |room| room.min(INDENT.len()));
    let mut out = String::new();
    for line in &lines {
        let mut rest = line.as_str();
        let mut indent = &INDENT[..least];
        loop {
            let room = WIDTH - MARGIN - indent.len();
            let end = fold(rest, room);
            out.push_str(indent);
            out.push_str(escaped(&rest[..end]).trim_end());
            out.push('\n');
            rest = &rest[end..];
            indent = HANGING;
            if rest.is_empty() {
                break;
            }
        }
    }
    out
}

/// How many bytes of it go into a line.
fn fold(text: &str, room: usize) -> usize {
    if text.len() <= room {
        return text.len();
    }
    text[..room].rfind(",\"").or_else(|| text[..room].rfind([' ', ','])).map_or(room, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::{inline, verbatim, wrapped};

    #[test]
    fn markup_becomes_fonts() {
        let table = [
            ("a `b-c` d", "a \\fBb\\-c\\fR d"),
            ("**a** *b*", "\\fBa\\fR \\fIb\\fR"),
            ("see [the `x`](#x)…", "see the \\fBx\\fR..."),
            ("`{\"abcdefghi\":1,\"b\":2}`", "\\fB{\"abcdefghi\":\\:1,\\:\"b\":\\:2}\\fR"),
            ("[1] it's", "[1] it\\(aqs"),
        ];
        for (source, wanted) in table {
            assert_eq!(inline(source), wanted);
        }
    }

    #[test]
    fn lines_do_not_begin_like_requests() {
        assert_eq!(wrapped(".x 'y"), "\\&.x 'y\n");
        let long = format!("{} .x", "a".repeat(77));
        assert_eq!(wrapped(&long), format!("{}\n\\&.x\n", "a".repeat(77)));
    }

    #[test]
    fn examples_are_folded_after_an_element() {
        let line = format!("{{\"a\":\"{}\",\"b\":1}}", "x".repeat(58));
        let folded = format!("    {{\"a\":\"{}\",\n        \"b\":1}}\n", "x".repeat(58));
        assert_eq!(verbatim(&[&line]), folded);
        assert_eq!(verbatim(&["", "a"]), "\n    a\n".replacen('\n', "    \n", 1));
    }
}
