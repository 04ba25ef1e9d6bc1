//! Errors of loading the model, and their remedies.

use std::io;
use std::path::{Path, PathBuf};

/// The remedy for files that are missing or not the expected ones.
const FETCH: &str = "fetch the model's files with shared/minilm/fetch, and put the directory that it writes where they are \
                     looked for: into the function's zip or layer, or on the path in MNEME_MINILM_PATH";

/// Why the model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file of the model does not exist.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    /// A file of the model could not be read.
    #[error("{} could not be read", .file.display())]
    Unreadable {
        /// The path of the file.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file is damaged, or belongs to another model or release.
    #[error("{} is not the file that this release was made for: its CRC-32 is {found:08x}, not {expected:08x}", .file.display())]
    WrongChecksum {
        /// The path of the file.
        file: PathBuf,
        /// The CRC-32 (ISO 3309) of the file.
        found: u32,
        /// The CRC-32 of the expected file.
        expected: u32,
    },
    /// A file does not have the expected content.
    #[error("{} does not hold the model: {fact}", .file.display())]
    Malformed {
        /// The path of the file.
        file: PathBuf,
        /// What is wrong with the content.
        fact: String,
    },
}

impl LoadError {
    /// The error for a file that could not be opened or read.
    pub(crate) fn reading(file: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing(file.to_owned()),
            _ => Self::Unreadable { file: file.to_owned(), source },
        }
    }

    /// Compares the checksum of a file with the expected one. Errors: `WrongChecksum`.
    pub(crate) fn check(file: &Path, found: u32, expected: u32) -> Result<(), Self> {
        if found == expected { Ok(()) } else { Err(Self::WrongChecksum { file: file.to_owned(), found, expected }) }
    }

    /// What the operator should do next.
    pub fn remediation(&self) -> &'static str {
        match self {
            Self::Missing(_) | Self::WrongChecksum { .. } | Self::Malformed { .. } => FETCH,
            Self::Unreadable { .. } => "let the function's user read the file, and give the function enough memory",
        }
    }
}
