//! Texts that are longer than what an embedder reads. Their vectors stand for a part of them only, so what was not read
//! must be equal.

use std::borrow::Cow;

use mneme_guard::instruction_and_material;
use sha2::{Digest as _, Sha256};

/// The hash of what an embedder did not read of a text, 16 bytes of SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread([u8; 16]);

impl Unread {
    /// Reads the bytes of a row. `None` if they are not 16.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes of a row.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn of(kind: &str, content: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(kind).chain_update(content).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Self(bytes)
    }
}

/// A text of which an embedder reads the beginning only.
#[derive(Debug)]
pub struct LongText<'t> {
    text: &'t str,
    /// The instruction and the hash of the material that it is about, if the embedder can read all of the instruction.
    parts: Option<(Cow<'t, str>, u32)>,
}

impl<'t> LongText<'t> {
    /// `max_tokens`: how many tokens the embedder reads.
    pub fn new(text: &'t str, max_tokens: usize) -> Self {
        // A token has at least one byte, and two tokens frame a text.
        let fits = |instruction: &str| instruction.trim().len() + 2 <= max_tokens;
        Self { text, parts: instruction_and_material(text).filter(|(instruction, _)| fits(instruction)) }
    }

    /// The text with its instruction before it, for an embedder that reads the beginning. `None` if the text already
    /// begins with its instruction, or has none.
    pub fn instruction_first(&self) -> Option<String> {
        let instruction = self.parts.as_ref()?.0.trim();
        (!self.text.trim_start().starts_with(instruction)).then(|| format!("{instruction}\n\n{}", self.text))
    }

    /// The hash of what was not read. If the instruction was read, that is the material; else it is all of the text, in
    /// which white space does not count.
    pub fn unread(&self) -> Unread {
        match &self.parts {
            Some((_, material)) => Unread::of("material", &material.to_le_bytes()),
            None => {
                let words: Vec<&str> = self.text.split_whitespace().collect();
                Unread::of("text", words.join(" ").as_bytes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: usize = 256;

    fn document(year: u32) -> String {
        format!("The mill at the river was built in {year} and ground corn for four villages. ").repeat(30)
    }

    #[test]
    fn texts_with_the_same_document_and_other_instructions_have_the_same_hash() {
        let (document, other) = (document(1790), document(1791));
        let texts = [
            format!("{document}\n\nWhen was the mill built?"),
            format!("{document}\n\nIn which year was the mill built?"),
            format!("Summarise this text.\n\n{document}"),
        ];
        let [a, b, c] = texts.each_ref().map(|text| LongText::new(text, WINDOW));
        assert_eq!((a.unread(), b.unread()), (b.unread(), c.unread()));
        assert!(a.instruction_first().unwrap().starts_with("When was the mill built?\n\nThe mill"));
        assert_eq!(c.instruction_first(), None, "the instruction is read as the text was sent");
        let changed = format!("{other}\n\nWhen was the mill built?");
        assert_ne!(LongText::new(&changed, WINDOW).unread(), a.unread());
    }

    #[test]
    fn texts_without_an_instruction_that_can_be_read_have_the_hash_of_all() {
        let hash = |text: &str| LongText::new(text, 8).unread();
        let text = format!("{}\n\nWhen was the mill built?", document(1790));
        assert_ne!(hash(&text), hash(&text.replace("When", "Why")));
        assert_eq!(hash(&text), hash(&text.replace("\n\n", "   ")));
        assert_eq!(LongText::new(&text, 8).instruction_first(), None);
    }

    #[test]
    fn from_bytes_of_as_bytes_is_the_same_hash() {
        let unread = LongText::new("a", WINDOW).unread();
        assert_eq!(Unread::from_bytes(unread.as_bytes()), Some(unread));
        assert_eq!(Unread::from_bytes(b"short"), None);
    }
}
