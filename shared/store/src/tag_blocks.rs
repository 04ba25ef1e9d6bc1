//! Tag blocks: derived items that say which entries of a range of ids have a tag.
//!
//! The key of a block is computed from its namespace, its tag and the number of its range. So a writer adds an id
//! without reading first, and a reader finds all blocks of a tag by key. The transaction that stores a row also adds its
//! id to the blocks of its tags. No transaction takes an id out again: a block only suggests, and the row decides.
//! `vacuum` takes ids without such a row out of the blocks, and adds those that are missing.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, TransactWriteItem};
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::tag::Tags;

use crate::attribute as name;
use crate::expression::{Condition, Expression};
use crate::item::{Item, n, number};
use crate::key::RowKey;
use crate::segments::{RANGE_IDS, range_of};
use crate::table::Table;

/// One tag block as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagBlock {
    /// The key of the item.
    pub key: RowKey,
    /// The number of the range of ids.
    pub range: u64,
    /// The entries in it, ascending. They may be gone, or have lost the tag.
    pub ids: BTreeSet<EntryId>,
}

impl TagBlock {
    /// The block in `item`. `None` if an attribute is missing. A block without ids is one that lost its last id.
    pub fn from_item(item: &Item) -> Option<Self> {
        let key = item.get(name::ID).and_then(RowKey::from_attribute)?;
        let range: u64 = number(item, name::RANGE)?;
        let positions = item.get(name::POSITIONS).and_then(|positions| positions.as_ns().ok()).into_iter().flatten();
        let positions = positions.filter_map(|position| position.parse::<u64>().ok());
        Some(Self { key, range, ids: positions.filter_map(|at| EntryId::new(range * RANGE_IDS + 1 + at)).collect() })
    }
}

/// Ids to add to tag blocks, by block. Each block is one action of a transaction, however many ids it gets.
#[derive(Debug, Clone, Default)]
pub struct TagAdditions(BTreeMap<RowKey, BTreeSet<EntryId>>);

impl TagAdditions {
    /// Adds the entry `id` to the blocks of `tags` in `namespace`.
    pub fn add(&mut self, namespace: &Namespace, tags: &Tags, id: EntryId) {
        for tag in tags.iter() {
            self.0.entry(RowKey::tag_block(namespace, tag, range_of(id.get()))).or_default().insert(id);
        }
    }

    /// Adds everything in `other`.
    pub fn extend(&mut self, other: Self) {
        for (key, ids) in other.0 {
            self.0.entry(key).or_default().extend(ids);
        }
    }

    /// The number of blocks, which is the number of actions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many blocks of `other` are not among these.
    pub fn blocks_without(&self, other: &Self) -> usize {
        self.0.keys().filter(|key| !other.0.contains_key(key)).count()
    }

    /// The keys of the blocks.
    pub fn keys(&self) -> impl Iterator<Item = RowKey> {
        self.0.keys().copied()
    }

    /// Leaves out the ids that `block` has.
    pub fn subtract(&mut self, block: &TagBlock) {
        if let Some(ids) = self.0.get_mut(&block.key) {
            ids.retain(|id| !block.ids.contains(id));
            if ids.is_empty() {
                self.0.remove(&block.key);
            }
        }
    }
}

fn positions(ids: &BTreeSet<EntryId>) -> AttributeValue {
    AttributeValue::Ns(ids.iter().map(|id| ((id.get() - 1) % RANGE_IDS).to_string()).collect())
}

/// The update that adds `ids`, all of one range, to their block.
fn addition(ids: &BTreeSet<EntryId>) -> Expression {
    let range = ids.first().map_or(0, |id| range_of(id.get()));
    Expression::new().set(name::RANGE, n(range)).add(name::POSITIONS, positions(ids))
}

impl Table {
    /// The actions that add `additions` to their blocks, one for each block.
    pub fn add_tagged(&self, additions: &TagAdditions) -> Result<Vec<TransactWriteItem>, Error> {
        let action =
            |(key, ids): (&RowKey, &BTreeSet<EntryId>)| self.update_action(self.update_builder(*key, addition(ids)));
        additions.0.iter().map(action).collect()
    }

    /// Adds ids that blocks lack, outside a transaction. Writes: one UpdateItem for each block, one after the other.
    /// Errors: `StoreBackendError`.
    pub async fn restore_tagged(&self, additions: &TagAdditions) -> Result<(), Error> {
        for (key, ids) in &additions.0 {
            self.update_if(*key, addition(ids)).await?;
        }
        Ok(())
    }

    /// Takes `ids` out of the block at `key`, and deletes the block if nothing is left in it. Returns whether it was
    /// deleted.
    ///
    /// Writes: one UpdateItem unless `ids` is empty, and one DeleteItem if the block has no ids. Errors:
    /// `StoreBackendError`.
    pub async fn remove_tagged(&self, key: RowKey, ids: &BTreeSet<EntryId>) -> Result<bool, Error> {
        if !ids.is_empty() {
            let expression = Expression::new().delete(name::POSITIONS, positions(ids));
            if self.update_returning(key, expression, ReturnValue::AllNew).await?.contains_key(name::POSITIONS) {
                return Ok(false);
            }
        }
        // A put may have added an id in the meantime.
        self.delete_if(key, Expression::when(Condition::Absent(name::POSITIONS))).await
    }
}

#[cfg(test)]
mod tests {
    use mneme_model::tag::Tag;

    use super::*;

    fn tag(tag: &str) -> Tag {
        Tag::try_from(tag.to_owned()).unwrap()
    }

    fn ids(ids: &[u64]) -> BTreeSet<EntryId> {
        ids.iter().map(|id| EntryId::new(*id).unwrap()).collect()
    }

    fn additions(tags: &[&str], id: u64) -> TagAdditions {
        let mut additions = TagAdditions::default();
        let tags = Tags::from_row(tags.iter().map(|tag| (*tag).to_owned()));
        additions.add(&Namespace::default(), &tags, EntryId::new(id).unwrap());
        additions
    }

    fn block(tag_name: &str, range: u64, of: &[u64]) -> TagBlock {
        TagBlock { key: RowKey::tag_block(&Namespace::default(), &tag(tag_name), range), range, ids: ids(of) }
    }

    #[test]
    fn block_from_item_has_the_ids_of_its_range() {
        for of in [&[1, 1024][..], &[1025, 1026, 2048]] {
            let of = ids(of);
            let range = range_of(of.first().unwrap().get());
            let expected = TagBlock { ids: of.clone(), ..block("a", range, &[]) };
            let item = Item::from([
                (name::ID.to_owned(), expected.key.attribute()),
                (name::RANGE.to_owned(), n(range)),
                (name::POSITIONS.to_owned(), positions(&of)),
            ]);
            assert_eq!(TagBlock::from_item(&item), Some(expected));
        }
    }

    #[test]
    fn additions_of_one_tag_and_range_share_a_block() {
        let mut all = additions(&["a", "b"], 7);
        assert_eq!(all.len(), 2);
        assert_eq!(additions(&["a", "c"], 8).blocks_without(&all), 1);
        all.extend(additions(&["a", "c"], 8));
        assert_eq!(all.len(), 3);
        assert_eq!(additions(&["a"], 1025).blocks_without(&all), 1, "another range");
    }

    #[test]
    fn additions_that_a_block_has_are_left_out() {
        let mut all = additions(&["a"], 7);
        all.subtract(&block("a", 0, &[8]));
        all.subtract(&block("b", 0, &[7]));
        assert_eq!(all.len(), 1);
        all.subtract(&block("a", 0, &[7]));
        assert!(all.is_empty());
    }
}
