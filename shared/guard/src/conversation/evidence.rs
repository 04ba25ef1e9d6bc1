//! What a signature says beside the comparison of two questions.

use super::signature::ConversationSignature;
use crate::token::Token;

impl ConversationSignature {
    /// True if the right answer depends on the moment of asking; see [`crate::Signature::is_volatile`].
    pub fn is_volatile(&self) -> bool {
        self.last.is_volatile()
    }

    /// True if both last messages have words of content, and none of them is in both.
    pub fn has_other_content(&self, other: &Self) -> bool {
        let is_content = |token: &&Token| token.kind.is_content();
        let own = || self.last.tokens.iter().filter(is_content);
        let mut others = other.last.tokens.iter().filter(is_content).peekable();
        own().next().is_some() && others.peek().is_some() && others.all(|token| own().all(|own| own.hash != token.hash))
    }
}

#[cfg(test)]
mod tests {
    use crate::{ConversationSignature, Signature};

    fn signature(text: &str) -> ConversationSignature {
        Signature::of(text).into()
    }

    #[test]
    fn questions_without_a_common_word_of_content_have_other_content() {
        for (a, b, expected) in [
            ("Hello world", "How's the weather today?", true),
            ("How do I reset my password?", "How can I reset a password", false),
            ("What is it?", "How's the weather today?", false),
        ] {
            assert_eq!(signature(a).has_other_content(&signature(b)), expected, "{a} {b}");
        }
    }
}
