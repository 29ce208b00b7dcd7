//! Integers as strtol(3) with base 0 reads them, and nothing may follow.

/// The integer that `text` spells: blanks, a sign, `0x` for hexadecimal or `0` for octal, digits.
/// `option` names the option in the message.
pub(super) fn parse<T: TryFrom<i128>>(text: &[u8], option: &str) -> Result<T, String> {
    let shown = String::from_utf8_lossy(text);
    let value =
        magnitude(text).ok_or_else(|| format!("Cannot parse integer value “{shown}” for {option}"))?;
    T::try_from(value).map_err(|_| format!("Integer value “{shown}” for {option} out of range"))
}

/// The value, clamped far outside 64 bits; `None` if the text is no integer.
fn magnitude(text: &[u8]) -> Option<i128> {
    const BEYOND: i128 = 1 << 100;
    let blanks = text.iter().take_while(|&&b| matches!(b, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let (base, digits) = match digits {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        [b'0', _, ..] => (8, digits),
        _ => (10, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i128 = 0;
    for &digit in digits {
        value = (value * base + i128::from(char::from(digit).to_digit(base as u32)?)).min(BEYOND);
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn forms() {
        let table: [(&str, Option<i64>); 24] = [
            ("0", Some(0)),
            ("5", Some(5)),
            ("+5", Some(5)),
            ("-5", Some(-5)),
            (" \t\n\x0b\x0c\r5", Some(5)),
            ("0x10", Some(16)),
            ("-0XfF", Some(-255)),
            ("010", Some(8)),
            ("00", Some(0)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("", None),
            (" ", None),
            ("-", None),
            ("+-5", None),
            ("- 5", None),
            ("5 ", None),
            ("08", None),
            ("0x", None),
            ("0b1", None),
            ("0x-5", None),
            ("5x", None),
            ("ä", None),
            ("999999999999999999999999999999999999999999x", None),
        ];
        for (text, value) in table {
            let wanted = value.ok_or_else(|| format!("Cannot parse integer value “{text}” for --n"));
            assert_eq!(parse::<i64>(text.as_bytes(), "--n"), wanted, "{text:?}");
        }
    }

    #[test]
    fn bounds() {
        let range = |text: &str| Err(format!("Integer value “{text}” for -T out of range"));
        assert_eq!(parse::<i32>(b"2147483647", "-T"), Ok(i32::MAX));
        assert_eq!(parse::<i32>(b"-2147483648", "-T"), Ok(i32::MIN));
        assert_eq!(parse::<i32>(b"2147483648", "-T"), range("2147483648"));
        assert_eq!(parse::<i32>(b"-2147483649", "-T"), range("-2147483649"));
        assert_eq!(parse::<i64>(b"9223372036854775808", "-T").map(|_| 0), range("9223372036854775808"));
        let huge = "9".repeat(5000);
        assert_eq!(parse::<i32>(huge.as_bytes(), "-T"), range(&huge));
        assert_eq!(parse::<i32>(format!("-{huge}").as_bytes(), "-T"), range(&format!("-{huge}")));
    }
}
