//! Rust code as far as the rules need it: words, and the paths that they make.

/// A word of the code, or one other character.
#[derive(Debug)]
pub struct Token {
    /// Where it is, from 1.
    pub line: usize,
    /// The word.
    pub text: String,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }
}

/// The code without comments, texts and characters.
pub fn tokens(code: &str) -> Vec<Token> {
    let (mut out, mut line, mut rest) = (Vec::new(), 1, code);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = text_or_character(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            out.push(Token { line, text: rest[..length].to_owned() });
            length
        } else {
            if !first.is_whitespace() {
                out.push(Token { line, text: first.to_string() });
            }
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    out
}

fn block_comment(code: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        match &code.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            [] => return at,
            _ => at += 1,
        }
    }
}

/// The length of the literal that begins here. A lifetime is none.
fn text_or_character(code: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        code.strip_prefix(prefix).is_some_and(|rest| match prefix.ends_with('r') {
            true => rest.trim_start_matches('#').starts_with('"'),
            false => rest.starts_with(['"', '\'']),
        })
    })?;
    let body = &code[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let inner = body[hashes + 1..].find(&end)?;
        return Some(prefix.len() + hashes + 1 + inner + end.len());
    }
    let quote = body.chars().next()?;
    let (_, first) = body.char_indices().nth(1)?;
    if quote == '\'' && first != '\\' && !body[1 + first.len_utf8()..].starts_with('\'') {
        return None;
    }
    let mut characters = body.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return Some(prefix.len() + at + 1);
        }
    }
    None
}

/// Drops each item that stands behind `#[cfg(test)]`.
pub fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut rest = tokens.into_iter();
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    while let Some(token) = rest.next() {
        out.push(token);
        let Some(begin) = out.len().checked_sub(mark.len()) else { continue };
        if !out[begin..].iter().map(|token| token.text.as_str()).eq(mark) {
            continue;
        }
        out.truncate(begin);
        let mut depth = 0;
        for token in rest.by_ref() {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    out
}

/// Every path of the code with its line, the braces of `use` resolved: `a::{b, c::d}` is `a::b` and
/// `a::c::d`.
pub fn paths(tokens: &[Token]) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].is_word() {
            true => at = path(tokens, at, "", &mut out),
            false => at += 1,
        }
    }
    out
}

/// Reads the path whose first word is at `at`; returns where it ends.
fn path(tokens: &[Token], mut at: usize, before: &str, out: &mut Vec<(usize, String)>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let line = tokens[at].line;
    let mut path = format!("{before}{}", text(at));
    at += 1;
    while text(at) == ":" && text(at + 1) == ":" {
        if text(at + 2) == "{" {
            at += 3;
            while at < tokens.len() && text(at) != "}" {
                at = match tokens[at].is_word() {
                    true if text(at) == "as" => at + 2,
                    true => self::path(tokens, at, &format!("{path}::"), out),
                    false => at + 1,
                };
            }
            return at + 1;
        }
        if !tokens.get(at + 2).is_some_and(Token::is_word) {
            break;
        }
        path = format!("{path}::{}", text(at + 2));
        at += 3;
    }
    out.push((line, path));
    at
}

/// The reader of sources finds what it is to find, so the rules above can fail.
#[test]
fn the_sources_are_read_right() {
    let code = r##"
        //! crate::comment
        use crate::{a, b::{self, C}, super_::d as e};
        /* crate::x /* nested */ crate::y */
        fn f<'a>(x: &'a str) -> char { let _ = ("\" crate::t", r#"" crate::r"#, b'"', '\'', 'ä'); '"' }
        #[cfg(test)]
        mod tests { fn g() { crate::test() } }
        #[cfg(test)]
        mod other;
        impl Y for super::Z { fn h() { crate::last::<u8>(Instant::now()) } }
    "##;
    let found: Vec<(usize, String)> = paths(&without_tests(tokens(code)));
    let found: Vec<String> =
        found.into_iter().filter(|(_, p)| p.contains("::")).map(|(line, p)| format!("{line} {p}")).collect();
    let wanted = ["3 crate::a", "3 crate::b::self", "3 crate::b::C", "3 crate::super_::d"];
    assert_eq!(found[..4], wanted);
    assert_eq!(found[4..], ["10 super::Z", "10 crate::last", "10 Instant::now"]);
}
