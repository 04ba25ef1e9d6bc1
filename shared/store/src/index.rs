//! Reads from the two global secondary indexes. They are eventually consistent, so they only suggest ids. A row that is
//! read by key decides.

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_model::namespace::Namespace;
use mneme_model::normalize::QueryHash;

use crate::attribute as name;
use crate::backend_error;
use crate::entry_row::entry_id;
use crate::item::{Item, n, number, s};
use crate::key::RowKey;
use crate::table::Table;

/// The index with the key (`namespace`, `query_hash`).
pub const HASH_INDEX: &str = "gsi_hash";
/// The index with the key (`namespace`, `last_accessed_at`).
pub const LRU_INDEX: &str = "gsi_lru";

/// The smallest page that [`Table::least_recently_used`] requests. Many entries may have the same second.
const MIN_PAGE_KEYS: usize = 1000;

/// The position of an entry in the order of least recent use. Of entries with the same second, the lower id comes
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LruKey {
    /// Epoch seconds of the last recorded access.
    pub last_accessed_at: i64,
    /// The id of the entry.
    pub id: EntryId,
}

impl Table {
    /// The ids that `gsi_hash` has for an entry key, ascending. There is more than one only if concurrent writers of
    /// the Python library left duplicates. Reads: Query pages of `gsi_hash`, nearly always one.
    pub async fn ids_by_hash(&self, namespace: &Namespace, hash: &QueryHash) -> Result<Vec<EntryId>, Error> {
        let mut ids = Vec::new();
        let mut start = None;
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.name)
                .index_name(HASH_INDEX)
                .key_condition_expression("#namespace = :namespace AND #query_hash = :query_hash")
                .projection_expression("#id")
                .expression_attribute_names("#namespace", name::NAMESPACE)
                .expression_attribute_names("#query_hash", name::QUERY_HASH)
                .expression_attribute_names("#id", name::ID)
                .expression_attribute_values(":namespace", s(namespace.to_string()))
                .expression_attribute_values(":query_hash", s(hash.to_string()))
                .set_exclusive_start_key(start);
            let output = self.query(query).await?;
            ids.extend(output.items().iter().filter_map(entry_id));
            // A page may be empty before the end. Only the last page has no key.
            start = output.last_evaluated_key;
            if start.is_none() {
                ids.sort_unstable();
                return Ok(ids);
            }
        }
    }

    /// Whether the namespace may have entries: it has stats, or `gsi_hash` shows an entry.
    ///
    /// Every put of this software writes the stats. Only a row of the Python library may be missed, until the index
    /// shows it. Reads: one key, strongly, and one Query of `gsi_hash` with a single entry.
    pub async fn has_entries(&self, namespace: &Namespace) -> Result<bool, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(HASH_INDEX)
            .key_condition_expression("#namespace = :namespace")
            .projection_expression("#id")
            .expression_attribute_names("#namespace", name::NAMESPACE)
            .expression_attribute_names("#id", name::ID)
            .expression_attribute_values(":namespace", s(namespace.to_string()))
            .limit(1);
        let stats = self.get(RowKey::namespace_stats(namespace), true);
        let (stats, indexed) = tokio::try_join!(stats, self.query(query))?;
        Ok(stats.is_some() || !indexed.items().is_empty())
    }

    /// The namespace's entries in `gsi_lru` after `after`, least recently used first: at least `count` of them, or all
    /// that exist.
    ///
    /// Reads: Query pages of `gsi_lru` until `count` keys are in complete seconds. A second is complete once all of its
    /// entries were read. Only then their order by id is certain.
    pub async fn least_recently_used(
        &self,
        namespace: &Namespace,
        after: Option<LruKey>,
        count: usize,
    ) -> Result<Vec<LruKey>, Error> {
        let mut keys: Vec<LruKey> = Vec::new();
        let mut start = None;
        loop {
            let from = after.map_or(0, |key| key.last_accessed_at);
            let page = self.lru_page(namespace, from, start, Some(count.max(MIN_PAGE_KEYS))).await?;
            keys.extend(page.keys.into_iter().filter(|key| after.is_none_or(|after| *key > after)));
            start = page.next;
            let last_second = keys.last().map(|key| key.last_accessed_at);
            let complete = keys.iter().filter(|key| Some(key.last_accessed_at) < last_second).count();
            if start.is_none() || complete >= count {
                if start.is_some() {
                    keys.truncate(complete);
                }
                keys.sort_unstable();
                return Ok(keys);
            }
        }
    }

    /// The `limit` least recently used entries of the namespace in `gsi_lru`, in that order, and whether these are all.
    /// Of several entries with the last second, any may be among them.
    ///
    /// Reads: Query pages of `gsi_lru`, which have `limit` keys together.
    pub async fn oldest(&self, namespace: &Namespace, limit: usize) -> Result<(Vec<LruKey>, bool), Error> {
        let mut keys: Vec<LruKey> = Vec::new();
        let mut start = None;
        loop {
            let page = self.lru_page(namespace, 0, start, Some(limit - keys.len())).await?;
            keys.extend(page.keys);
            start = page.next;
            if start.is_none() || keys.len() >= limit {
                keys.sort_unstable();
                return Ok((keys, start.is_none()));
            }
        }
    }

    async fn query(&self, query: QueryFluentBuilder) -> Result<QueryOutput, Error> {
        let sent = self.patiently(|| query.clone().send()).await;
        sent.map_err(|error| backend_error::from_sdk("Query", error))
    }

    async fn lru_page(
        &self,
        namespace: &Namespace,
        from: i64,
        start: Option<Item>,
        limit: Option<usize>,
    ) -> Result<LruPage, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(LRU_INDEX)
            .key_condition_expression("#namespace = :namespace AND #last_accessed_at >= :from")
            .projection_expression("#id, #last_accessed_at")
            .expression_attribute_names("#namespace", name::NAMESPACE)
            .expression_attribute_names("#last_accessed_at", name::LAST_ACCESSED_AT)
            .expression_attribute_names("#id", name::ID)
            .expression_attribute_values(":namespace", s(namespace.to_string()))
            .expression_attribute_values(":from", n(from))
            .set_exclusive_start_key(start)
            .set_limit(limit.and_then(|limit| i32::try_from(limit).ok()));
        let output = self.query(query).await?;
        let key =
            |item: &Item| Some(LruKey { last_accessed_at: number(item, name::LAST_ACCESSED_AT)?, id: entry_id(item)? });
        Ok(LruPage { keys: output.items().iter().filter_map(key).collect(), next: output.last_evaluated_key })
    }
}

/// One page of `gsi_lru`.
struct LruPage {
    keys: Vec<LruKey>,
    next: Option<Item>,
}
