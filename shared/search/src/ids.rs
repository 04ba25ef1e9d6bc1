//! The mapping between ids and slots.

use hashbrown::HashTable;

use crate::memory::grown_capacity;

/// Ids in slot order, and a hash table from ids to slots. The ids take 8 bytes per row, and the table 5 to 10.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ids {
    ids: Vec<u64>,
    slots: HashTable<u32>,
    /// The highest id that was ever held.
    highest: Option<u64>,
}

/// Mixes the bits of an id, because ids are consecutive and the table uses the high bits of the hash. The function is
/// the finaliser of SplitMix64 (Steele et al. 2014).
fn hash(id: u64) -> u64 {
    let id = (id ^ id >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let id = (id ^ id >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    id ^ id >> 31
}

impl Ids {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn as_slice(&self) -> &[u64] {
        &self.ids
    }

    pub(crate) fn slot(&self, id: u64) -> Option<usize> {
        self.slots.find(hash(id), |slot| self.ids[*slot as usize] == id).map(|slot| *slot as usize)
    }

    /// True if at least one of the ids is held. `ids`: ascending.
    pub(crate) fn holds_any(&self, ids: &[u64]) -> bool {
        ids.first().copied() <= self.highest && ids.iter().any(|id| self.slot(*id).is_some())
    }

    /// Appends an id that is not held yet.
    pub(crate) fn push(&mut self, id: u64) {
        self.highest = self.highest.max(Some(id));
        if self.ids.len() == self.ids.capacity() {
            self.ids.reserve_exact(grown_capacity(self.ids.len()) - self.ids.len());
        }
        let slot = u32::try_from(self.ids.len()).expect("fewer than 2^32 rows");
        self.ids.push(id);
        let ids = &self.ids;
        self.slots.insert_unique(hash(id), slot, |slot| hash(ids[*slot as usize]));
    }

    /// Reserves memory for `count` more ids.
    pub(crate) fn reserve(&mut self, count: usize) {
        if self.ids.capacity() - self.ids.len() < count {
            self.ids.reserve_exact(grown_capacity(self.ids.len()).max(self.ids.len() + count) - self.ids.len());
        }
        let ids = &self.ids;
        self.slots.reserve(count, |slot| hash(ids[*slot as usize]));
    }

    /// Removes an id and returns its slot. The id of the last slot moves there.
    pub(crate) fn swap_remove(&mut self, id: u64) -> Option<usize> {
        let entry = self.slots.find_entry(hash(id), |slot| self.ids[*slot as usize] == id).ok()?;
        let (slot, _) = entry.remove();
        let last = self.ids.len() - 1;
        if slot as usize != last {
            let moved = self.ids[last];
            if let Some(moved_slot) = self.slots.find_mut(hash(moved), |slot| *slot as usize == last) {
                *moved_slot = slot;
            }
        }
        self.ids.swap_remove(slot as usize);
        Some(slot as usize)
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        8 * self.ids.capacity() + self.slots.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_after_any_operations_agree_with_a_list(steps in prop::collection::vec((any::<bool>(), 0u64..40), 0..300)) {
            let mut ids = Ids::default();
            let mut list: Vec<u64> = Vec::new();
            for (add, id) in steps {
                let known = list.iter().position(|other| *other == id);
                prop_assert_eq!(ids.slot(id), known);
                prop_assert_eq!(ids.holds_any(&[id]), known.is_some());
                match (add, known) {
                    (true, None) => {
                        ids.push(id);
                        list.push(id);
                    }
                    (true, Some(_)) => {}
                    (false, _) => {
                        prop_assert_eq!(ids.swap_remove(id), known);
                        known.map(|slot| list.swap_remove(slot));
                    }
                }
                prop_assert_eq!(ids.as_slice(), &list);
            }
            let slots: HashMap<u64, usize> = list.iter().enumerate().map(|(slot, id)| (*id, slot)).collect();
            prop_assert!((0..40).all(|id| ids.slot(id) == slots.get(&id).copied()));
        }
    }
}
