//! Which derived items no reader uses any more.

use mneme_model::embedder::EmbedderGeneration;
use mneme_model::error::Error;
use mneme_store::counter::Counter;
use mneme_store::segments::manifest::SegmentManifest;

use crate::cache::Cache;

/// A writer has finished a basis, or died, after this time: four times the longest invocation (AWS Lambda Developer
/// Guide, "Lambda quotas").
const MAX_WRITE_MS: u64 = 3_600_000;

/// The embedders and bases of the cache, as of the start of a pass.
pub(super) struct LiveVersions {
    /// The manifests of the cache's embedders, in ascending order of their basis versions.
    manifests: Vec<SegmentManifest>,
    /// The active embedder, and during a move the second one.
    generations: Vec<EmbedderGeneration>,
    /// The newest generation that the cache has given out.
    last_generation: EmbedderGeneration,
    /// No writer is at work on a basis with a version below this. A version is the time of its training in epoch
    /// milliseconds.
    finished_before: u64,
}

impl LiveVersions {
    /// The versions that `counter` and the manifests name. Reads: up to two manifests.
    pub(super) async fn read(cache: &Cache, counter: &Counter) -> Result<Self, Error> {
        let second = counter.second.as_ref().map(|second| second.generation);
        let generations: Vec<EmbedderGeneration> = std::iter::once(counter.generation).chain(second).collect();
        let mut manifests = Vec::new();
        for generation in &generations {
            manifests.extend(cache.table.manifest(*generation).await?);
        }
        manifests.sort_unstable_by_key(|manifest| manifest.basis_version);
        let finished_before = u64::try_from(cache.clock.now_ms()).unwrap_or(0).saturating_sub(MAX_WRITE_MS);
        Ok(Self { manifests, generations, last_generation: counter.last_generation, finished_before })
    }

    /// The manifest of `generation`, as it was at the start of the pass.
    pub(super) fn manifest(&self, generation: EmbedderGeneration) -> Option<&SegmentManifest> {
        self.manifests.iter().find(|manifest| manifest.generation == generation)
    }

    /// Whether a segment, or a part of a basis, belongs to a basis that no manifest names. A recent version above those
    /// of all manifests is kept, because a writer may be at work on it.
    pub(super) fn is_obsolete_basis(&self, basis_version: u64) -> bool {
        let newest = self.manifests.last().map_or(0, |newest| newest.basis_version);
        basis_version < newest.max(self.finished_before)
            && self.manifests.iter().all(|manifest| manifest.basis_version != basis_version)
    }

    /// Whether the cache no longer has the embedder `generation`.
    pub(super) fn is_retired(&self, generation: EmbedderGeneration) -> bool {
        generation <= self.last_generation && !self.generations.contains(&generation)
    }
}

#[cfg(test)]
mod tests {
    use mneme_store::segments::empty_ranges::EmptyRanges;

    use super::*;

    fn versions(basis_versions: &[u64]) -> LiveVersions {
        let manifest = |basis_version: &u64| SegmentManifest {
            generation: EmbedderGeneration::default(),
            basis_version: *basis_version,
            basis_parts: 1,
            ranges: 2,
            empty_ranges: EmptyRanges::default(),
        };
        LiveVersions {
            manifests: basis_versions.iter().map(manifest).collect(),
            generations: vec![EmbedderGeneration::new(2)],
            last_generation: EmbedderGeneration::new(3),
            finished_before: 100,
        }
    }

    #[test]
    fn basis_without_manifest_is_obsolete_unless_a_writer_may_be_at_work_on_it() {
        assert!(!versions(&[50, 200]).is_obsolete_basis(50), "a manifest names it");
        assert!(versions(&[200]).is_obsolete_basis(150), "a manifest has a newer basis");
        assert!(!versions(&[50]).is_obsolete_basis(150), "it may be being written");
        assert!(versions(&[50]).is_obsolete_basis(99), "its writer has ended");
        assert!(versions(&[]).is_obsolete_basis(99) && !versions(&[]).is_obsolete_basis(100));
    }

    #[test]
    fn generation_is_retired_if_it_was_given_out_and_is_not_in_use() {
        let is_retired = |generation| versions(&[]).is_retired(EmbedderGeneration::new(generation));
        assert!(is_retired(1) && is_retired(3));
        assert!(!is_retired(2), "in use");
        assert!(!is_retired(4), "given out since the counter was read");
    }
}
