//! How far an import has come. It is a file beside the imported one, so that an interrupted import continues.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The lines of a file that a cache has acknowledged.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    /// The cache's URL or stack.
    cache: String,
    lines: u64,
}

/// The file that remembers the position of an import.
#[derive(Debug)]
pub(super) struct PositionFile(PathBuf);

impl PositionFile {
    /// The file beside `imported`.
    pub(super) fn of(imported: &Path) -> Self {
        let mut name = OsString::from(imported);
        name.push(".position");
        Self(PathBuf::from(name))
    }

    /// The number of lines that `cache` has acknowledged: 0 if the file is missing, is not readable, or belongs to an
    /// import into another cache.
    pub(super) fn lines(&self, cache: &str) -> u64 {
        let position = std::fs::read(&self.0).ok().and_then(|bytes| serde_json::from_slice::<Position>(&bytes).ok());
        position.filter(|position| position.cache == cache).map_or(0, |position| position.lines)
    }

    /// Remembers that `cache` has acknowledged this number of lines. A reader sees the old number or the new one.
    pub(super) fn set(&self, cache: &str, lines: u64) -> io::Result<()> {
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(&Position { cache: cache.to_owned(), lines })?)?;
        file.persist(&self.0)?;
        Ok(())
    }

    /// Forgets the position.
    pub(super) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_belongs_to_one_cache_and_can_be_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = PositionFile::of(&folder.path().join("e.jsonl"));
        assert_eq!(file.lines("a"), 0);
        file.set("a", 7).unwrap();
        assert_eq!((file.lines("a"), file.lines("b")), (7, 0));
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(file.lines("a"), 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
