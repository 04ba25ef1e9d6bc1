//! The replica: every vector of the table in this instance's memory, brought up to date by id range.
//!
//! It only suggests. Ids are a log and an id's vector does not change, so catching up is reading the ids since the
//! last one seen; that a row was deleted or expired shows when it is re-read before it is served.

mod rows;

use std::collections::{HashMap, HashSet};

use crate::cache::Cache;
use crate::embedding::Embedding;
use crate::entry::{Item, expires_at, text};
use crate::error::Error;
use crate::key::{EntryId, RowKey};
use crate::namespace::Namespace;
use crate::normalize::QueryHash;
use crate::table::Projection;
use crate::table::counter::Counter;
use crate::write::remove::RowRef;

pub use rows::Candidate;
use rows::NamespaceRows;

/// Into how many segments the load's scan is split.
const SCAN_SEGMENTS: u8 = 4;

/// The vectors of all namespaces, as of the last id seen.
#[derive(Debug, Default)]
pub struct Replica {
    /// `None` until loaded; then every row with a lower id is in here, but for those deleted.
    next_id: Option<u64>,
    namespaces: HashMap<Namespace, NamespaceRows>,
    homes: HashMap<EntryId, Namespace>,
}

impl Replica {
    /// Whether the replica has been loaded.
    pub fn is_loaded(&self) -> bool {
        self.next_id.is_some()
    }

    /// Whether rows may exist that the replica has not seen, `counter` being read after the request came in.
    pub fn is_behind(&self, counter: &Counter) -> bool {
        self.next_id != Some(counter.next_id)
    }

    /// Takes in every row that was committed before `counter` was read, and tells whether one of them may have been
    /// replaced meanwhile by a row that was committed after: a new id was gone already, or a scan, which is no
    /// snapshot, may have missed a row on the move.
    ///
    /// Reads: on the first call the whole table, by one strongly consistent scan; then the ids since the last
    /// call, by BatchGetItem. Errors: `StoreBackendError`; the replica is then as before.
    pub async fn catch_up(&mut self, cache: &Cache, counter: &Counter) -> Result<bool, Error> {
        let incomplete;
        match self.next_id {
            Some(seen) if seen <= counter.next_id => {
                let new = (seen..counter.next_id).filter_map(EntryId::new).map(RowKey::from);
                let rows = cache.table.batch_get(new, Projection::Vectors).await?;
                rows.iter().for_each(|(_, item)| self.take_in(item));
                incomplete = rows.missing_entries().next().is_some();
                self.forget_replaced(cache, rows.iter().map(|(_, item)| item)).await?;
            }
            // Not loaded, or loaded from a table that has since been made anew.
            _ => {
                let mut items = Vec::new();
                cache.table.scan(SCAN_SEGMENTS, Projection::Vectors, |item| items.push(item)).await?;
                *self = Self::default();
                items.iter().for_each(|item| self.take_in(item));
                incomplete = true;
            }
        }
        self.next_id = Some(counter.next_id);
        Ok(incomplete)
    }

    /// Forgets the older rows of the queries in `new` that are gone, as those that a put has replaced are.
    async fn forget_replaced(&mut self, cache: &Cache, new: impl Iterator<Item = &Item>) -> Result<(), Error> {
        let older: Vec<EntryId> = new
            .filter_map(|item| {
                let row = RowRef::from_item(item)?;
                let ids = self.by_hash(&row.namespace, &row.query_hash);
                Some(ids.iter().copied().filter(move |id| *id < row.id).collect::<Vec<_>>())
            })
            .flatten()
            .collect();
        let rows = cache.table.batch_get(older.iter().map(|id| (*id).into()), Projection::Ages).await?;
        older.into_iter().filter(|id| rows.get((*id).into()).is_none()).for_each(|id| self.forget(id));
        Ok(())
    }

    /// Adds the entry in `item`, or brings its vector and expiry up to date; other items are passed over.
    pub fn take_in(&mut self, item: &Item) {
        let id = item.get("id").and_then(RowKey::from_attribute).and_then(RowKey::entry);
        let namespace = text(item, "namespace").map(Namespace::from_row);
        let hash = text(item, "query_hash").and_then(|hash| QueryHash::try_from(hash).ok());
        let (Some(id), Some(namespace), Some(hash)) = (id, namespace, hash) else { return };
        let vector =
            item.get("embedding").and_then(|value| value.as_b().ok()).and_then(|b| Embedding::from_row(b.as_ref()));
        let rows = self.namespaces.entry(namespace.clone()).or_default();
        rows.take_in(id, hash, vector, expires_at(item));
        self.homes.insert(id, namespace);
    }

    /// Forgets the entry `id`, which was found deleted and, ids never being reused, stays so.
    pub fn forget(&mut self, id: EntryId) {
        let Some(namespace) = self.homes.remove(&id) else { return };
        if let Some(rows) = self.namespaces.get_mut(&namespace) {
            rows.forget(id);
            if rows.is_empty() {
                self.namespaces.remove(&namespace);
            }
        }
    }

    /// The entries known for the pair, ascending.
    pub fn by_hash(&self, namespace: &Namespace, hash: &QueryHash) -> &[EntryId] {
        self.namespaces.get(namespace).map_or(&[], |rows| rows.by_hash(hash))
    }

    /// The namespace's `k` closest entries that are not in `judged`, closest first, ties by lower id.
    ///
    /// `query`: unit norm. Vectors of another length are passed over. `now_secs` leaves out what is known to have
    /// expired unless its similarity reaches `threshold`: such a row may have been put again since.
    /// Reads: memory only.
    pub fn nearest(
        &self,
        namespace: &Namespace,
        query: &Embedding,
        k: usize,
        judged: &HashSet<EntryId>,
        (threshold, now_secs): (f32, i64),
    ) -> Vec<Candidate> {
        self.namespaces
            .get(namespace)
            .map(|rows| rows.nearest(query, k, judged, threshold, now_secs))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use proptest::prelude::*;
    use serde_json::Map;

    use super::*;
    use crate::entry::Entry;

    fn item(id: u64, namespace: &str, vector: &[f32], expires_at: Option<i64>) -> Item {
        Entry {
            id: EntryId::new(id).unwrap(),
            namespace: Namespace::try_from(namespace.to_owned()).unwrap(),
            query_hash: QueryHash::of(&format!("{id}"), true),
            query: None,
            response: String::new(),
            embedding: Some(Embedding::normalized(vector.to_vec()).unwrap().to_bytes()),
            metadata: Map::new(),
            confidence_score: 1.0,
            created_at: 1000,
            last_accessed_at: 1000,
            expires_at,
            access_count: 0,
        }
        .to_item()
        .unwrap()
    }

    fn ids(replica: &Replica, namespace: &str, query: &[f32], k: usize, now: i64) -> Vec<u64> {
        let namespace = Namespace::try_from(namespace.to_owned()).unwrap();
        let query = Embedding::normalized(query.to_vec()).unwrap();
        replica
            .nearest(&namespace, &query, k, &HashSet::new(), (0.9, now))
            .iter()
            .map(|candidate| candidate.id.get())
            .collect()
    }

    #[test]
    fn namespaces_are_walls_and_ties_go_to_the_lower_id() {
        let mut replica = Replica::default();
        for (id, namespace) in [(3, "a"), (1, "a"), (2, "b"), (9, "a")] {
            replica.take_in(&item(id, namespace, &[1.0, 0.0], None));
        }
        replica.take_in(&item(4, "a", &[0.0, 1.0], None));
        assert_eq!(ids(&replica, "a", &[1.0, 0.1], 3, 0), [1, 3, 9]);
        assert_eq!(ids(&replica, "b", &[1.0, 0.1], 3, 0), [2]);
        replica.forget(EntryId::new(1).unwrap());
        replica.forget(EntryId::new(1).unwrap());
        assert_eq!(ids(&replica, "a", &[1.0, 0.1], 9, 0), [3, 9, 4]);
        replica.forget(EntryId::new(2).unwrap());
        assert!(ids(&replica, "b", &[1.0, 0.1], 9, 0).is_empty());
    }

    #[test]
    fn a_vector_written_again_by_another_library_is_taken_over() {
        let mut replica = Replica::default();
        replica.take_in(&item(1, "a", &[1.0, 0.0], None));
        replica.take_in(&item(2, "a", &[1.0, 1.0], None));
        replica.take_in(&item(1, "a", &[0.0, 1.0], None));
        assert_eq!(ids(&replica, "a", &[0.0, 1.0], 1, 0), [1]);
    }

    #[test]
    fn rows_of_one_query_are_all_kept_until_they_are_gone() {
        let mut replica = Replica::default();
        for id in [2, 1] {
            let mut row = item(id, "a", &[1.0, 0.0], None);
            row.insert("query_hash".to_owned(), AttributeValue::S("0".repeat(64)));
            replica.take_in(&row);
        }
        let namespace = Namespace::try_from("a".to_owned()).unwrap();
        let hash = QueryHash::try_from("0".repeat(64)).unwrap();
        let known =
            |replica: &Replica| replica.by_hash(&namespace, &hash).iter().map(|id| id.get()).collect::<Vec<_>>();
        assert_eq!(known(&replica), [1, 2]);
        replica.forget(EntryId::new(2).unwrap());
        assert_eq!((known(&replica), ids(&replica, "a", &[1.0, 0.0], 9, 0)), (vec![1], vec![1]));
        replica.forget(EntryId::new(1).unwrap());
        assert!(known(&replica).is_empty());
    }

    #[test]
    fn what_has_expired_is_suggested_only_where_it_might_be_served() {
        let mut replica = Replica::default();
        replica.take_in(&item(1, "a", &[1.0, 0.0], Some(2000)));
        replica.take_in(&item(2, "a", &[0.0, 1.0], Some(2000)));
        assert_eq!(ids(&replica, "a", &[1.0, 0.0], 9, 1999), [1, 2]);
        assert_eq!(ids(&replica, "a", &[1.0, 0.0], 9, 2000), [1]);
    }

    proptest! {
        /// Against a plain float64 loop: the same ids wherever similarities are not nearly tied.
        #[test]
        fn nearest_agrees_with_brute_force(
            vectors in prop::collection::vec(prop::collection::vec(-4i8..=4, 5), 1..40),
            query in prop::collection::vec(-4i8..=4, 5),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            k in 1usize..6,
        ) {
            let floats = |v: &[i8]| v.iter().map(|x| f32::from(*x)).collect::<Vec<f32>>();
            let Ok(unit) = Embedding::normalized(floats(&query)) else { return Ok(()) };
            let mut replica = Replica::default();
            let mut kept: Vec<(u64, Vec<f32>)> = Vec::new();
            for (at, vector) in vectors.iter().enumerate() {
                if vector.iter().any(|x| *x != 0) {
                    replica.take_in(&item(at as u64 + 1, "a", &floats(vector), None));
                    kept.push((at as u64 + 1, floats(vector)));
                }
            }
            for index in gone {
                if !kept.is_empty() {
                    let (id, _) = kept.remove(index.index(kept.len()));
                    replica.forget(EntryId::new(id).unwrap());
                }
            }
            let cosine = |v: &[f32]| -> f64 {
                let norm = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                v.iter().zip(unit.as_slice()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() / norm
            };
            let mut expected: Vec<f64> = kept.iter().map(|(_, vector)| cosine(vector)).collect();
            expected.sort_by(|a, b| b.total_cmp(a));
            let found =
                replica.nearest(&Namespace::try_from("a".to_owned()).unwrap(), &unit, k, &HashSet::new(), (-1.0, 0));
            prop_assert_eq!(found.len(), k.min(kept.len()));
            for (candidate, best) in found.iter().zip(&expected) {
                let own = cosine(&kept.iter().find(|(id, _)| *id == candidate.id.get()).unwrap().1);
                prop_assert!((f64::from(candidate.similarity) - best).abs() < 1e-5);
                prop_assert!((f64::from(candidate.similarity) - own).abs() < 1e-5);
            }
            let order: Vec<(f32, u64)> = found.iter().map(|c| (-c.similarity, c.id.get())).collect();
            prop_assert!(order.is_sorted_by(|a, b| a.0 < b.0 || (a.0 == b.0 && a.1 < b.1)));
        }
    }
}
