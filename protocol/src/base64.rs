//! Bytes as text: base64 as of RFC 4648, section 4, with padding.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text for these bytes.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let sum = (0..3).fold(0u32, |sum, at| sum << 8 | u32::from(*group.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let digit = char::from(ALPHABET[(sum >> (18 - 6 * at) & 63) as usize]);
            text.push(if at <= group.len() { digit } else { '=' });
        }
    }
    text
}

/// The bytes that this text stands for. `None`: it is not what [`encode`] makes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.as_bytes().chunks(4) {
        let digits = group.iter().take_while(|byte| **byte != b'=').count();
        let mut sum = 0u32;
        for byte in &group[..digits] {
            sum = sum << 6 | ALPHABET.iter().position(|digit| digit == byte)? as u32;
        }
        sum <<= 6 * (4 - digits);
        bytes.extend_from_slice(&sum.to_be_bytes()[1..digits.max(1)]);
    }
    // Whatever is no proper text (a length, padding inside, bits that are lost) is not what comes back.
    (encode(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn test_vectors_of_the_rfc() {
        let table = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ];
        for (bytes, text) in table {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text), Some(bytes.as_bytes().to_vec()));
        }
        for text in ["Zg", "Zg=", "Zh==", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm9-", "é"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
