//! Percent-encoding (RFC 3986, section 2.1).

/// `text`, percent-decoded. `None`: the result is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into)
}
