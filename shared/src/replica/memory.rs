//! The memory budget of a replica, and which namespace is dropped when it is exceeded.

use std::cmp::Reverse;
use std::collections::HashMap;

use mneme_model::config::Config;
use mneme_model::namespace::NamespaceHash;

use super::namespace_index::NamespaceIndex;

/// The namespaces in memory.
pub(super) type Namespaces = HashMap<NamespaceHash, NamespaceIndex>;

/// Memory that the instance needs for its code, its client and the rows of one batch.
const OTHER_BYTES: u64 = 128 << 20;
/// The least budget, for functions with little memory.
const MIN_BYTES: u64 = 16 << 20;

/// The most resident bytes of a replica; `None`: no limit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MemoryBudget(pub(super) Option<usize>);

impl MemoryBudget {
    /// Two thirds of the function's memory, less what the instance needs otherwise. No limit outside Lambda.
    pub(super) fn new(config: &Config) -> Self {
        Self(config.memory_mb.map(|mb| {
            let bytes = (mb << 20).saturating_sub(OTHER_BYTES) / 3 * 2;
            usize::try_from(bytes.max(MIN_BYTES)).unwrap_or(usize::MAX)
        }))
    }

    /// Whether `namespaces` fit.
    pub(super) fn fits(self, namespaces: &Namespaces) -> bool {
        self.0.is_none_or(|budget| resident_bytes(namespaces) <= budget)
    }
}

/// The resident bytes of `namespaces`. The basis is not included, because indexes share it.
pub(super) fn resident_bytes(namespaces: &Namespaces) -> usize {
    // A slot of a hash table takes the key, the value and a byte, and at most 7 of 8 slots are in use.
    let keys = namespaces.capacity() * 8 / 7 * (size_of::<NamespaceHash>() + 1);
    keys + namespaces.values().map(NamespaceIndex::bytes).sum::<usize>()
}

/// Drops the least recently used namespace other than `kept`, the largest one among equals. Returns false if there is
/// none.
pub(super) fn drop_least_recently_used(namespaces: &mut Namespaces, kept: &NamespaceHash) -> bool {
    let others = namespaces.iter().filter(|(name, _)| *name != kept);
    let victim = others.min_by_key(|(_, index)| (index.last_used, Reverse(index.bytes())));
    let Some(victim) = victim.map(|(name, _)| *name) else { return false };
    tracing::info!(held = namespaces.len(), "a namespace is dropped from memory");
    namespaces.remove(&victim);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_is_two_thirds_of_the_memory_that_is_left_and_at_least_16_mb() {
        let budget = |mb: &str| MemoryBudget::new(&Config::with(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", mb)])).0;
        assert_eq!(budget("512"), Some(256 << 20));
        assert_eq!(budget("128"), Some(16 << 20));
        assert_eq!(MemoryBudget::new(&Config::with(&[])).0, None);
    }
}
