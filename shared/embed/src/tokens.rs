//! How many tokens a text has for a model whose tokenizer is not here.

/// An estimate of the tokens of `text`, with the two that frame a text. It is rather too high than too low.
///
/// Three ASCII letters or digits of one word count as a token, and any other ASCII character counts as one. A character
/// of two bytes in UTF-8 counts as a token, and one of three or four bytes as two. White space counts as none. English
/// prose has about four characters for each token of the usual vocabularies (OpenAI Help Center, "What are tokens and
/// how to count them?"). A vocabulary by bytes has at most one token for each byte, and mostly fewer than one for two.
pub fn estimated_tokens(text: &str) -> usize {
    const FRAME: usize = 2;
    let mut tokens = FRAME;
    let mut word_chars = 0;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            tokens += usize::from(word_chars % 3 == 0);
            word_chars += 1;
            continue;
        }
        word_chars = 0;
        tokens += match c.len_utf8() {
            _ if c.is_whitespace() => 0,
            1 | 2 => 1,
            _ => 2,
        };
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimated_tokens_of_a_text_are_not_fewer_than_the_tokens() {
        // The counts after the texts are those of OpenAI's `cl100k_base`, rounded up.
        for (text, tokens) in [
            ("", 0),
            ("How do I reset my password?", 7),
            ("The quick brown fox jumps over the lazy dog.", 10),
            ("1234567890", 4),
            ("Как сбросить пароль?", 9),
            ("如何重置密码？", 11),
            ("https://example.com/a?b=c&d=e", 14),
        ] {
            let estimate = estimated_tokens(text);
            assert!(estimate >= tokens + 2 && estimate <= 3 * tokens + 6, "{text}: {estimate}");
        }
        assert_eq!(estimated_tokens(&"word ".repeat(100)), 202);
    }
}
