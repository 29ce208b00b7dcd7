//! The command line as words: one table of options, one loop that reads them, and their help.
//!
//! The rules are those of GLib's GOption, because callers were written against them. They differ
//! from getopt_long(3) in what matters most here: the value of an option is always the next word,
//! even if that begins with `-`, and positional words are ignored wherever they stand.

mod charset;
mod integer;
pub mod render;
mod table;
mod words;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::error::Error;
pub use charset::Charset;
use table::{Flag, Set};
pub use words::Words;

/// Reads the words after the program's name. Nothing outside is looked at.
///
/// It stops where help is asked for: whatever follows is not even checked.
///
/// # Errors
/// [`Error::Usage`] for the first word that cannot be understood.
pub fn parse(args: impl IntoIterator<Item = OsString>, charset: &Charset) -> Result<Words, Error> {
    read(args.into_iter().map(OsString::into_vec), charset)
        .map_err(|why| Error::Usage(format!("option parsing failed: {why}")))
}

fn read(mut args: impl Iterator<Item = Vec<u8>>, charset: &Charset) -> Result<Words, String> {
    let mut words = Words::default();
    for flag in table::flags() {
        if let Some(default) = flag.default {
            assign(&mut words, flag, flag.long, default.into(), charset)?;
        }
    }
    while !words.help
        && let Some(word) = args.next()
    {
        match word.as_slice() {
            b"--" => break,
            [b'-', b'-', ..] => read_long(&mut words, &word, &mut args, charset)?,
            [b'-', _, ..] => read_cluster(&mut words, &word, &mut args, charset)?,
            _ => {} // positional, or a lone "-"
        }
    }
    Ok(words)
}

/// `--name`, `--name value` or `--name=value`.
fn read_long(
    words: &mut Words,
    word: &[u8],
    rest: &mut impl Iterator<Item = Vec<u8>>,
    charset: &Charset,
) -> Result<(), String> {
    let typed = &word[2..];
    let (name, value) = match typed.iter().position(|&b| b == b'=') {
        Some(at) => (&typed[..at], Some(&typed[at + 1..])),
        None => (typed, None),
    };
    let Some(flag) = table::flags().find(|flag| flag.long.as_bytes() == name) else {
        return Err(unknown(word));
    };
    let option = format!("--{}", flag.long);
    let value = match (&flag.set, value) {
        (Set::Help, Some(_)) => return Err(unknown(word)),
        (Set::Help | Set::Switch(_), _) => Vec::new(), // `--flag=no` means yes, as for the reference
        (_, Some(value)) => value.to_vec(),
        (_, None) => rest.next().ok_or_else(|| missing(&option))?,
    };
    assign(words, flag, &option, value, charset)
}

/// `-x`, `-x value` or `-xyz`: in a cluster at most one option may take the word that follows.
fn read_cluster(
    words: &mut Words,
    word: &[u8],
    rest: &mut impl Iterator<Item = Vec<u8>>,
    charset: &Charset,
) -> Result<(), String> {
    let mut value_taken = false;
    for &letter in &word[1..] {
        let Some(flag) = table::flags().find(|flag| flag.short == Some(letter)) else {
            return Err(unknown(word));
        };
        let option = format!("-{}", char::from(letter));
        let value = match &flag.set {
            Set::Help | Set::Switch(_) => Vec::new(),
            _ if value_taken => return Err(format!("Error parsing option {option}")),
            _ => {
                value_taken = true;
                rest.next().ok_or_else(|| missing(&option))?
            }
        };
        assign(words, flag, &option, value, charset)?;
        if words.help {
            break;
        }
    }
    Ok(())
}

/// Puts one value where its row of the table says. `option` is what was typed, for the message.
fn assign(
    words: &mut Words,
    flag: &Flag,
    option: &str,
    value: Vec<u8>,
    charset: &Charset,
) -> Result<(), String> {
    match flag.set {
        Set::Help => words.help = true,
        Set::Switch(field) => *field(words) = true,
        Set::Text(field) => *field(words) = Some(charset.decode(value)?),
        Set::List(field) => field(words).push(charset.decode(value)?),
        Set::Int(field) => *field(words) = integer::parse(&value, option)?,
        Set::Long(field) => *field(words) = integer::parse(&value, option)?,
        Set::Ignored => drop(charset.decode(value)?),
    }
    Ok(())
}

fn unknown(word: &[u8]) -> String {
    format!("Unknown option {}", String::from_utf8_lossy(word))
}

fn missing(option: &str) -> String {
    format!("Missing argument for {option}")
}
