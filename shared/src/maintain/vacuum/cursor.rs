//! Where a pass continues.

use mneme_model::error::Error;
use mneme_store::key::RowKey;

use crate::cache::Cache;

/// Where a pass continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VacuumCursor {
    /// At the start of the table.
    Start,
    /// After this row, in the order in which DynamoDB scans.
    After(RowKey),
    /// With the caps. All rows have been visited.
    Caps,
    /// With the segments. The caps are enforced.
    Segments,
}

impl VacuumCursor {
    /// The cursor as text that a caller sends back.
    pub fn to_text(self) -> String {
        match self {
            Self::Start => "start".to_owned(),
            Self::After(key) => key.to_cursor(),
            Self::Caps => "caps".to_owned(),
            Self::Segments => "pack".to_owned(),
        }
    }

    /// The cursor in a caller's text. Errors: `InvalidRequest`.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        match text {
            "start" => Ok(Self::Start),
            "caps" => Ok(Self::Caps),
            "pack" => Ok(Self::Segments),
            key => RowKey::from_cursor(key).map(Self::After),
        }
    }

    /// The row after which the next page starts.
    pub(super) fn last_row(self) -> Option<RowKey> {
        match self {
            Self::After(key) => Some(key),
            Self::Start | Self::Caps | Self::Segments => None,
        }
    }
}

/// The saved cursor: where the last pass ended, or the start if it was complete. Reads: one derived item.
/// Errors: `StoreBackendError`.
pub async fn load_cursor(cache: &Cache) -> Result<VacuumCursor, Error> {
    let saved = cache.table.load_vacuum_cursor().await?;
    Ok(saved.and_then(|cursor| VacuumCursor::from_text(&cursor).ok()).unwrap_or(VacuumCursor::Start))
}

/// Saves where a pass ended, for the next one; `None`: it was complete. Writes: one derived item.
/// Errors: `StoreBackendError`.
pub async fn save_cursor(cache: &Cache, next: Option<VacuumCursor>) -> Result<(), Error> {
    cache.table.save_vacuum_cursor(next.map(VacuumCursor::to_text)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_as_text_reads_back_as_the_same_cursor() {
        let key = RowKey::VACUUM_CURSOR;
        for cursor in [VacuumCursor::Start, VacuumCursor::After(key), VacuumCursor::Caps, VacuumCursor::Segments] {
            assert_eq!(VacuumCursor::from_text(&cursor.to_text()).unwrap(), cursor);
        }
        assert!(VacuumCursor::from_text("no cursor").is_err());
    }
}
