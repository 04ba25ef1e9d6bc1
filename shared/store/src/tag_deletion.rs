//! Tag deletions: items that name a deletion by a tag, so that `vacuum` finishes it if its caller does not.

use mneme_model::entry::EntryHeader;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::tag::Tag;

use crate::attribute as name;
use crate::expression::{Condition, Expression};
use crate::item::{Item, n, number, s, text};
use crate::key::RowKey;
use crate::table::Table;

/// How often `vacuum` carries out a deletion before it forgets it. The first time may miss an entry whose tag block was
/// lost. Between the two times a pass visits every row, which restores such blocks.
const VISITS: u64 = 2;

/// How far the clocks of two instances may differ, in seconds.
const CLOCK_SKEW_SECS: i64 = 5;

/// A deletion of the entries of a namespace that have a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagDeletion {
    /// The namespace.
    pub namespace: Namespace,
    /// The tag.
    pub tag: Tag,
    /// The counter's next id when the deletion was asked for. All entries of that time have lower ids.
    pub before_id: u64,
    /// The time at which it was asked for, in epoch seconds.
    pub asked_at: i64,
}

impl TagDeletion {
    /// The deletion in `item`. `None` if an attribute is missing.
    pub fn from_item(item: &Item) -> Option<Self> {
        Some(Self {
            namespace: Namespace::from_row(text(item, name::NAME)?),
            tag: Tag::try_from(text(item, name::TAG)?).ok()?,
            before_id: number(item, name::BEFORE_ID)?,
            asked_at: number(item, name::ASKED_AT)?,
        })
    }

    /// Whether the entry is to be deleted: it has the tag, and it was stored when the deletion was asked for. An entry
    /// that a move to another embedder gave a new id since is recognised by its time.
    pub fn covers(&self, row: &EntryHeader) -> bool {
        row.namespace == self.namespace
            && row.tags.contains(&self.tag)
            && (row.id.get() < self.before_id || row.created_at < self.asked_at - CLOCK_SKEW_SECS)
    }

    /// Whether the entry was put again, under the same id, after the deletion was asked for.
    pub fn was_put_again(&self, row: &EntryHeader) -> bool {
        row.created_at > self.asked_at
    }
}

impl Table {
    /// Records that `deletion` was asked for. It replaces an earlier record of the same namespace and tag.
    ///
    /// Writes: one UpdateItem. Errors: `StoreBackendError`.
    pub async fn record_tag_deletion(&self, deletion: &TagDeletion) -> Result<(), Error> {
        let expression = Expression::new()
            .set(name::NAME, s(deletion.namespace.as_str()))
            .set(name::TAG, s(deletion.tag.as_str()))
            .set(name::BEFORE_ID, n(deletion.before_id))
            .set(name::ASKED_AT, n(deletion.asked_at))
            .remove(name::VISITS);
        self.update_if(RowKey::tag_deletion(&deletion.namespace, &deletion.tag), expression).await.map(|_| ())
    }

    /// Notes that `vacuum` has carried out `deletion`, and deletes the record after the second time. Does nothing if the
    /// deletion was asked for again since it was read.
    ///
    /// Writes: one UpdateItem or DeleteItem. Errors: `StoreBackendError`.
    pub async fn visit_tag_deletion(&self, deletion: &TagDeletion) -> Result<(), Error> {
        let key = RowKey::tag_deletion(&deletion.namespace, &deletion.tag);
        let is_same = || Expression::when(Condition::equals(name::BEFORE_ID, n(deletion.before_id)));
        let is_last = Condition::at_least(name::VISITS, n(VISITS - 1));
        if !self.delete_if(key, is_same().and(is_last)).await? {
            self.update_if(key, is_same().add(name::VISITS, n(1))).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mneme_model::entry::Entry;
    use mneme_model::tag::Tags;

    use super::*;

    #[test]
    fn deletion_covers_tagged_entries_that_were_stored_before() {
        let tag = Tag::try_from("a".to_owned()).unwrap();
        let deletion = TagDeletion { namespace: Namespace::default(), tag, before_id: 10, asked_at: 1000 };
        let row = |id: u64, created_at: i64, tags: &[&str]| {
            let tags = Tags::from_row(tags.iter().map(|tag| (*tag).to_owned()));
            EntryHeader::from(&Entry { created_at, tags, ..Entry::example(id) })
        };
        assert!(deletion.covers(&row(9, 1000, &["a", "b"])));
        assert!(!deletion.covers(&row(9, 1000, &["b"])), "it has another tag");
        assert!(!deletion.covers(&row(10, 1000, &["a"])), "it was stored later");
        assert!(deletion.covers(&row(10, 900, &["a"])), "it has a new id");
        let elsewhere = Namespace::try_from("other".to_owned()).unwrap();
        assert!(!deletion.covers(&EntryHeader { namespace: elsewhere, ..row(9, 1000, &["a"]) }));
        assert!(deletion.was_put_again(&row(9, 1001, &["a"])) && !deletion.was_put_again(&row(9, 1000, &["a"])));
    }
}
