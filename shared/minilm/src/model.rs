//! The model: texts in, vectors out.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::encoder::{Encoder, Memory};
use crate::error::LoadError;
use crate::tokenizer::Tokenizer;
use crate::weights::{Unfit, Weights};

/// The files of the model, and the CRC-32 (ISO 3309) of each: `shared/minilm/fetch` writes them.
const WEIGHTS: (&str, u32) = ("model.safetensors", 0xe812_01bc);
const VOCABULARY: (&str, u32) = ("vocab.txt", 0xe308_4609);

/// Word pieces that go through the network together: more gain little, and take memory.
const PIECES_AT_ONCE: usize = 256;

/// all-MiniLM-L6-v2 in memory, about 50 MB.
pub struct Model {
    tokenizer: Tokenizer,
    encoder: Encoder,
    /// Kept from text to text, so that its pages are not asked for and cleared each time.
    memory: Mutex<Memory>,
}

impl Model {
    /// Reads the model from the directory that `shared/minilm/fetch` writes. Reads 45 MB and computes for some
    /// milliseconds on the calling thread.
    ///
    /// Errors: a file is missing, unreadable, or not the one that this release was made for.
    pub fn load(directory: &Path) -> Result<Self, LoadError> {
        let vocabulary = directory.join(VOCABULARY.0);
        let entries = fs::read(&vocabulary).map_err(|error| LoadError::reading(&vocabulary, error))?;
        LoadError::check(&vocabulary, crc32fast::hash(&entries), VOCABULARY.1)?;
        let file = directory.join(WEIGHTS.0);
        let (weights, found) = Weights::open(&file)?;
        LoadError::check(&file, found, WEIGHTS.1)?;
        let malformed = |file: &Path, fact| LoadError::Malformed { file: file.to_owned(), fact };
        let tokenizer = Tokenizer::new(&String::from_utf8_lossy(&entries))
            .map_err(|entry| malformed(&vocabulary, format!("it has no {entry}")))?;
        let encoder = Encoder::new(weights, tokenizer.len()).map_err(|Unfit(fact)| malformed(&file, fact))?;
        Ok(Self { tokenizer, encoder, memory: Mutex::default() })
    }

    /// The vectors of texts, in their order: [`DIM`](crate::encoder::DIM) values each, of unit length. Of a long text
    /// the first [`MAX_PIECES`](crate::tokenizer::MAX_PIECES) word pieces count; an empty one has a vector, too.
    ///
    /// Computes on the calling thread, about as long as the word pieces are many, one call after the other.
    pub fn embed(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        let pieces: Vec<Vec<u32>> = texts.iter().map(|text| self.tokenizer.pieces(text)).collect();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = pieces.as_slice();
        let mut vectors = Vec::with_capacity(texts.len());
        while !rest.is_empty() {
            let ends = rest.iter().scan(0, |sum, pieces| {
                *sum += pieces.len();
                Some(*sum)
            });
            let (together, others) = rest.split_at(ends.take_while(|end| *end <= PIECES_AT_ONCE).count().max(1));
            vectors.extend(self.encoder.vectors(together, &mut memory));
            rest = others;
        }
        vectors
    }

    /// The numbers of a text's word pieces, as the network sees them.
    pub fn pieces(&self, text: &str) -> Vec<u32> {
        self.tokenizer.pieces(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(directory: &Path) -> LoadError {
        Model::load(directory).err().unwrap_or_else(|| panic!("it loads"))
    }

    #[test]
    fn what_is_missing_or_another_s_is_told_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        for place in [directory.path().join("none"), directory.path().to_owned()] {
            let error = error(&place);
            assert!(matches!(&error, LoadError::Missing(file) if *file == place.join("vocab.txt")), "{error}");
            assert!(error.remediation().contains("shared/minilm/fetch"));
        }
        fs::write(directory.path().join("vocab.txt"), "another\n").unwrap();
        let error = error(directory.path());
        let told = "vocab.txt is not the file that this release was made for: its CRC-32 is 1a489739, not e3084609";
        assert!(error.to_string().ends_with(told), "{error}");
        assert!(error.remediation().contains("shared/minilm/fetch"));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("vocab.txt")).unwrap();
        let error = error(directory.path());
        assert!(matches!(&error, LoadError::Unreadable { .. }), "{error}");
        assert!(error.remediation().starts_with("let the function's user read the file"));
    }
}
