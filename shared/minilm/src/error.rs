//! Why the model could not be loaded, and what to do.

use std::io;
use std::path::{Path, PathBuf};

/// What to run where files are not there, or not the right ones.
const FETCH: &str = "fetch the model's files with shared/minilm/fetch, and put the directory that it writes where they are \
                     looked for: into the function's zip or layer, or on the path in MNEME_MINILM_PATH";

/// Why the model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file of the model is not there.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    /// A file of the model could not be read.
    #[error("{} could not be read", .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is damaged, or of another model or release.
    #[error("{} is not the file that this release was made for: its CRC-32 is {found:08x}, not {expected:08x}", .file.display())]
    WrongChecksum {
        /// Which file.
        file: PathBuf,
        /// The CRC-32 (ISO 3309) that it has.
        found: u32,
        /// The one that it should have.
        expected: u32,
    },
    /// A file does not hold what it should.
    #[error("{} does not hold the model: {fact}", .file.display())]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        fact: String,
    },
}

impl LoadError {
    /// Why a file could not be read.
    pub(crate) fn reading(file: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing(file.to_owned()),
            _ => Self::Unreadable { file: file.to_owned(), source },
        }
    }

    /// Errors: `WrongChecksum`.
    pub(crate) fn check(file: &Path, found: u32, expected: u32) -> Result<(), Self> {
        if found == expected { Ok(()) } else { Err(Self::WrongChecksum { file: file.to_owned(), found, expected }) }
    }

    /// What to do next.
    pub fn remediation(&self) -> &'static str {
        match self {
            Self::Missing(_) | Self::WrongChecksum { .. } | Self::Malformed { .. } => FETCH,
            Self::Unreadable { .. } => "let the function's user read the file, and give the function enough memory",
        }
    }
}
