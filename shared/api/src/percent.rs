//! Percent-encoding (RFC 3986, section 2.1).

use std::fmt::Write as _;

/// `text`, percent-decoded. `None`: the result is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// `name` as a word of a list. The characters that have a meaning in a list (spaces, commas, brackets, quotation marks),
/// control characters and `%` are encoded with upper case digits, and nothing else is.
pub fn encode(name: &str) -> String {
    let mut word = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            ' ' | ',' | '[' | ']' | '"' | '%' | '\0'..='\x1f' | '\x7f' => {
                // Writing to a string does not fail.
                let _ = write!(word, "%{:02X}", u32::from(c));
            }
            _ => word.push(c),
        }
    }
    word
}
