//! Words on the command line are bytes in the charset of the caller's locale; inside they are UTF-8.

use std::ffi::OsString;

/// The charset of the caller's locale.
///
/// setlocale(3) is not asked: a static binary has no locale archive to read. The name says enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charset {
    /// `C`, `POSIX`, or nothing set: bytes from 0x80 on mean nothing.
    Ascii,
    /// Every word must be valid UTF-8.
    Utf8,
    /// ISO-8859-1: every byte is the code point of the same number.
    Latin1,
    /// A locale whose charset is none of these, or is not told by its name.
    Other(String),
}

impl Charset {
    /// The charset that the environment asks for. The first variable that is set and not empty
    /// decides, in the order of locale(7).
    pub fn from_env(env: impl Fn(&str) -> Option<OsString>) -> Charset {
        ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| env(name).filter(|value| !value.is_empty()))
            .map_or(Charset::Ascii, |value| Charset::of_locale(&value.to_string_lossy()))
    }

    /// The charset of a locale name, `language[_territory][.codeset][@modifier]`.
    fn of_locale(name: &str) -> Charset {
        let plain = name.split_once('@').map_or(name, |(plain, _)| plain);
        let (language, codeset) = plain.split_once('.').unwrap_or((plain, ""));
        let codeset: String =
            codeset.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        match codeset.as_str() {
            "" if matches!(language, "C" | "POSIX") => Charset::Ascii,
            "utf8" => Charset::Utf8,
            "iso88591" => Charset::Latin1,
            "usascii" | "ascii" | "ansix341968" => Charset::Ascii,
            _ => Charset::Other(name.to_owned()),
        }
    }

    /// The word as UTF-8. A word of 7-bit bytes is the same in every charset known here.
    ///
    /// # Errors
    /// The reason, in the words that callers of the reference look for.
    pub fn decode(&self, word: Vec<u8>) -> Result<String, String> {
        const INVALID: &str = "Invalid byte sequence in conversion input";
        if word.is_ascii() {
            return String::from_utf8(word).map_err(|_| INVALID.to_owned());
        }
        match self {
            Charset::Ascii => Err(INVALID.to_owned()),
            Charset::Utf8 => String::from_utf8(word).map_err(|_| INVALID.to_owned()),
            Charset::Latin1 => Ok(word.into_iter().map(char::from).collect()),
            Charset::Other(locale) => {
                Err(format!("Conversion from the charset of locale “{locale}” to UTF-8 is not supported"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Charset;
    use std::ffi::OsString;

    #[test]
    fn the_name_of_the_locale_tells_the_charset() {
        let other = |name: &str| Charset::Other(name.to_owned());
        let table = [
            ("C", Charset::Ascii),
            ("POSIX", Charset::Ascii),
            ("en_US.ANSI_X3.4-1968", Charset::Ascii),
            ("C.UTF-8", Charset::Utf8),
            ("en_US.utf8", Charset::Utf8),
            ("de_DE.UTF-8@euro", Charset::Utf8),
            ("de_DE.ISO-8859-1", Charset::Latin1),
            ("de_DE.ISO-8859-15", other("de_DE.ISO-8859-15")),
            ("de_DE@euro", other("de_DE@euro")),
            ("ru_RU.KOI8-R", other("ru_RU.KOI8-R")),
        ];
        for (name, charset) in table {
            assert_eq!(Charset::of_locale(name), charset, "{name}");
        }
    }

    #[test]
    fn the_first_variable_that_is_not_empty_decides() {
        let charset = |pairs: &[(&str, &str)]| {
            Charset::from_env(|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
            })
        };
        assert_eq!(charset(&[]), Charset::Ascii);
        assert_eq!(charset(&[("LANG", "C.UTF-8")]), Charset::Utf8);
        assert_eq!(charset(&[("LANG", "C.UTF-8"), ("LC_ALL", "")]), Charset::Utf8);
        assert_eq!(charset(&[("LANG", "C.UTF-8"), ("LC_CTYPE", "C")]), Charset::Ascii);
        assert_eq!(charset(&[("LC_CTYPE", "C"), ("LC_ALL", "x.UTF-8")]), Charset::Utf8);
    }

    #[test]
    fn words_become_utf8_or_an_error() {
        let invalid = Err("Invalid byte sequence in conversion input".to_owned());
        let koi8 = Charset::Other("ru_RU.KOI8-R".into());
        let table: [(&Charset, &[u8], Result<String, String>); 8] = [
            (&Charset::Ascii, b"abc", Ok("abc".into())),
            (&Charset::Ascii, "ä".as_bytes(), invalid.clone()),
            (&Charset::Utf8, "ä".as_bytes(), Ok("ä".into())),
            (&Charset::Utf8, b"\xe4", invalid.clone()),
            (&Charset::Utf8, b"a\xc3", invalid),
            (&Charset::Latin1, b"\xe4", Ok("ä".into())),
            (&koi8, b"abc", Ok("abc".into())),
            (
                &koi8,
                b"\xe4",
                Err("Conversion from the charset of locale “ru_RU.KOI8-R” to UTF-8 is not supported".into()),
            ),
        ];
        for (charset, word, result) in table {
            assert_eq!(charset.decode(word.to_vec()), result, "{charset:?} {word:?}");
        }
    }
}
