//! The model, which turns texts into vectors.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::encoder::{Encoder, Scratch};
use crate::error::LoadError;
use crate::tokenizer::{Pieces, Tokenizer};
use crate::weights::{Unfit, Weights};

/// The files of the model that `shared/minilm/fetch` writes, and the CRC-32 (ISO 3309) of each.
const WEIGHTS: (&str, u32) = ("model.safetensors", 0xe812_01bc);
const VOCABULARY: (&str, u32) = ("vocab.txt", 0xe308_4609);

/// Word pieces of one batch, at most. Larger batches are hardly faster, and take more memory.
const MAX_BATCH_PIECES: usize = 256;

/// The vector of a text, and how much of the text it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct TextVector {
    /// [`DIM`](crate::encoder::DIM) values of unit length.
    pub values: Vec<f32>,
    /// As [`Pieces::is_cut`].
    pub is_cut: bool,
    /// As [`Pieces::unknown_share`].
    pub unknown_share: f32,
}

/// all-MiniLM-L6-v2 in memory, about 50 MB.
pub struct Model {
    tokenizer: Tokenizer,
    encoder: Encoder,
    /// Kept between calls, so that the operating system need not allocate and clear its pages each time.
    scratch: Mutex<Scratch>,
}

impl Model {
    /// Loads the model from the directory that `shared/minilm/fetch` writes. It reads 45 MB, and computes for some
    /// milliseconds on the calling thread.
    ///
    /// Errors: a file is missing, unreadable, or not the one for which this release was made.
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
        Ok(Self { tokenizer, encoder, scratch: Mutex::default() })
    }

    /// Returns one vector per text, in order. Only the first [`MAX_PIECES`](crate::tokenizer::MAX_PIECES) word pieces of
    /// a text are used. An empty text has a vector, too.
    ///
    /// The call computes on the calling thread, in a time proportional to the number of word pieces. Concurrent calls
    /// wait for each other.
    pub fn embed(&self, texts: &[&str]) -> Vec<TextVector> {
        let (pieces, coverage): (Vec<Vec<u32>>, Vec<(bool, f32)>) = texts
            .iter()
            .map(|text| self.tokenizer.pieces(text))
            .map(|Pieces { numbers, is_cut, unknown_share }| (numbers, (is_cut, unknown_share)))
            .unzip();
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = pieces.as_slice();
        let mut vectors = Vec::with_capacity(texts.len());
        while !rest.is_empty() {
            let ends = rest.iter().scan(0, |sum, pieces| {
                *sum += pieces.len();
                Some(*sum)
            });
            let (together, others) = rest.split_at(ends.take_while(|end| *end <= MAX_BATCH_PIECES).count().max(1));
            vectors.extend(self.encoder.vectors(together, &mut scratch));
            rest = others;
        }
        let with_coverage = |(values, (is_cut, unknown_share))| TextVector { values, is_cut, unknown_share };
        vectors.into_iter().zip(coverage).map(with_coverage).collect()
    }

    /// A text's word pieces, as they are the input of the network.
    pub fn pieces(&self, text: &str) -> Pieces {
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
    fn load_with_missing_or_wrong_file_returns_an_error_with_remediation() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().join("none"), directory.path().to_owned()] {
            let error = error(&path);
            assert!(matches!(&error, LoadError::Missing(file) if *file == path.join("vocab.txt")), "{error}");
            assert!(error.remediation().contains("shared/minilm/fetch"));
        }
        fs::write(directory.path().join("vocab.txt"), "another\n").unwrap();
        let error = error(directory.path());
        let message = "vocab.txt is not the file that this release was made for: its CRC-32 is 1a489739, not e3084609";
        assert!(error.to_string().ends_with(message), "{error}");
        assert!(error.remediation().contains("shared/minilm/fetch"));
    }

    #[test]
    fn load_with_unreadable_file_returns_an_error_with_remediation() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("vocab.txt")).unwrap();
        let error = error(directory.path());
        assert!(matches!(&error, LoadError::Unreadable { .. }), "{error}");
        assert!(error.remediation().starts_with("let the function's user read the file"));
    }
}
