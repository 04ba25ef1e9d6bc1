//! How far a move to another embedder has come, in derived items: one for each embedder whose vectors are added or removed.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Table;
use crate::embedders::Era;
use crate::entry::{Item, number, text};
use crate::error::Error;
use crate::key::RowKey;
use crate::reembed::{Passed, Phase, Progress};

const PHASE: &str = "phase";

impl Table {
    /// How far `phase` has come with `era`'s vectors; nowhere, where nothing was kept. Reads: one key, strongly.
    pub(crate) async fn progress(&self, era: Era, phase: Phase) -> Result<Progress, Error> {
        let item = self.get(RowKey::reembedding(era), true).await?;
        let item = item.filter(|item| text(item, PHASE).as_deref() == Some(phase.name()));
        Ok(item.as_ref().and_then(from_item).unwrap_or_default())
    }

    /// Keeps how far `phase` has come with `era`'s vectors. Writes: one PutItem.
    pub(crate) async fn keep_progress(&self, era: Era, phase: Phase, progress: &Progress) -> Result<(), Error> {
        let mut item = Item::from([
            ("id".to_owned(), RowKey::reembedding(era).attribute()),
            (PHASE.to_owned(), AttributeValue::S(phase.name().to_owned())),
        ]);
        let Progress { next_id, ids, worked_ms, passed } = *progress;
        let numbers = [("next_id", next_id), ("ids", ids), ("worked_ms", worked_ms)];
        for (name, value) in numbers.into_iter().chain(passed.named()) {
            item.insert(name.to_owned(), AttributeValue::N(value.to_string()));
        }
        self.put_derived(item).await
    }
}

fn from_item(item: &Item) -> Option<Progress> {
    Some(Progress {
        next_id: number(item, "next_id").filter(|id| *id >= 1)?,
        ids: number(item, "ids")?,
        worked_ms: number(item, "worked_ms")?,
        passed: Passed::from_named(|name| number(item, name).unwrap_or(0)),
    })
}
