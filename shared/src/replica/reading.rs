//! The ids that an instance still has to read. What was read is never read again, even if a call is cut off.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::{ControlFlow, Range};

use mneme_model::entry_id::EntryId;
use mneme_model::error::Error;
use mneme_store::key::RowKey;
use mneme_store::read::{BatchRead, Projection, Rows};
use mneme_store::segments::ids_of;
use mneme_store::segments::manifest::SegmentManifest;
use mneme_store::segments::segment::Segment;
use mneme_store::table::Table;

use super::replica::Replica;

/// How many rows are taken up at a time.
const SLICE_IDS: u64 = 1000;
/// How many segments one call reads: 6 MB.
const SEGMENTS_PER_CALL: usize = 40;

/// The ids that are still to be read, and how.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Ranges whose segments are read.
    segments: BTreeSet<u64>,
    /// The version of the segments' basis.
    basis_version: u64,
    /// Ids whose rows are read slice by slice.
    rest: VecDeque<Range<u64>>,
    /// Ids whose rows are read eventually consistent.
    slice: BTreeSet<u64>,
    /// Ids whose rows are read strongly.
    strong: BTreeSet<u64>,
    /// Whether indexes that are complete are passed over.
    skips_complete: bool,
}

impl Reading {
    /// All ids below `next_id`: from the segments that `manifest` covers, and then row by row. Indexes that are complete
    /// need none of them.
    pub(super) fn everything(manifest: Option<&SegmentManifest>, next_id: u64) -> Self {
        let mut reading = Self { skips_complete: true, ..Self::default() };
        let covered = manifest.map_or(1, SegmentManifest::next_id);
        if let Some(manifest) = manifest {
            reading.add_segments(manifest, 0..manifest.ranges);
        }
        reading.rest.extend((covered < next_id).then_some(covered..next_id));
        reading
    }

    /// Adds the ranges that are not known to be empty.
    pub(super) fn add_segments(&mut self, manifest: &SegmentManifest, ranges: Range<u64>) {
        self.basis_version = manifest.basis_version;
        self.segments.extend(ranges.filter(|range| !manifest.empty_ranges.contains(*range)));
    }

    /// Adds rows that were committed a moment ago.
    pub(super) fn add_new_rows(&mut self, ids: impl IntoIterator<Item = u64>) {
        self.strong.extend(ids);
    }

    /// Whether everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.segments.is_empty() && self.rest.is_empty() && self.slice.is_empty() && self.strong.is_empty()
    }

    /// Reads the next part into `replica`: all segments, or up to a thousand rows. Calls `read` with the replica and the rows of
    /// each strongly consistent reply.
    ///
    /// Rows are read eventually consistent first, which costs half: an id's vector and context key never change. A row
    /// that is not there yet, or lacks the vector of the served embedder, is read again strongly.
    /// Errors: `StoreBackendError`. What was read before the error stays.
    pub(super) async fn step(
        &mut self,
        replica: &mut Replica,
        table: &Table,
        mut read: impl FnMut(&Replica, &Rows),
    ) -> Result<(), Error> {
        if !self.segments.is_empty() {
            return self.read_segments(replica, table).await;
        }
        if self.slice.is_empty() && self.strong.is_empty() {
            self.next_slice();
        }
        let keys = |ids: &BTreeSet<u64>| ids.iter().copied().filter_map(EntryId::new).map(RowKey::from).collect();
        let eventual = BatchRead { is_strong: false, ..BatchRead::strong(Projection::Replica) };
        let Self { slice, strong, .. } = self;
        let pending: Vec<RowKey> = keys(slice);
        let take = |rows: Rows| {
            for id in rows.keys_read().filter_map(RowKey::entry) {
                slice.remove(&id.get());
                if !rows.get(id.into()).is_some_and(|item| replica.upsert(item)) {
                    strong.insert(id.get());
                }
            }
            ControlFlow::Continue(())
        };
        table.batch_get_each(pending, eventual, take).await?;
        let pending: Vec<RowKey> = keys(strong);
        let take = |rows: Rows| {
            for id in rows.keys_read().filter_map(RowKey::entry) {
                strong.remove(&id.get());
                if let Some(item) = rows.get(id.into()) {
                    replica.upsert(item);
                }
            }
            read(replica, &rows);
            ControlFlow::Continue(())
        };
        table.batch_get_each(pending, BatchRead::strong(Projection::Replica), take).await
    }

    /// Moves up to [`SLICE_IDS`] ids from `rest` to `slice`.
    fn next_slice(&mut self) {
        let Some(ids) = self.rest.pop_front() else { return };
        let end = ids.end.min(ids.start + SLICE_IDS);
        self.slice.extend(ids.start..end);
        if end < ids.end {
            self.rest.push_front(end..ids.end);
        }
    }

    /// Reads the segments, eventually consistent. A segment does not change, and one that is not visible yet counts as
    /// missing. The rows of a range are read instead if its segment is missing, corrupt or from another basis.
    async fn read_segments(&mut self, replica: &mut Replica, table: &Table) -> Result<(), Error> {
        let ranges: HashMap<RowKey, u64> =
            self.segments.iter().map(|range| (RowKey::segment(self.basis_version, *range), *range)).collect();
        let read =
            BatchRead { is_strong: false, keys_per_call: SEGMENTS_PER_CALL, ..BatchRead::strong(Projection::All) };
        let take = |rows: Rows| {
            for (key, range) in rows.keys_read().filter_map(|key| Some((key, *ranges.get(&key)?))) {
                self.segments.remove(&range);
                let segment = rows.get(key).and_then(|item| Segment::from_item(item, range));
                if !segment.is_some_and(|segment| replica.load_segment(&segment, self.skips_complete)) {
                    let ids = ids_of(range);
                    self.rest.push_back(*ids.start()..ids.end() + 1);
                }
            }
            ControlFlow::Continue(())
        };
        table.batch_get_each(ranges.keys().copied(), read, take).await
    }
}

#[cfg(test)]
mod tests {
    use mneme_model::embedder::EmbedderGeneration;
    use mneme_store::segments::empty_ranges::EmptyRanges;

    use super::*;

    #[test]
    fn everything_is_segments_without_empty_ranges_and_then_slices_of_rows() {
        let mut empty_ranges = EmptyRanges::default();
        empty_ranges.insert(1);
        let generation = EmbedderGeneration::default();
        let manifest = SegmentManifest { generation, basis_version: 7, basis_parts: 1, ranges: 3, empty_ranges };
        let mut reading = Reading::everything(Some(&manifest), 3073 + 1500);
        assert_eq!((reading.segments.iter().copied().collect::<Vec<_>>(), reading.basis_version), (vec![0, 2], 7));
        for expected in [3073..4073, 4073..4573] {
            reading.slice.clear();
            reading.next_slice();
            assert!(reading.slice.iter().copied().eq(expected.clone()), "{expected:?}");
        }
        assert!(reading.rest.is_empty());
        assert!(Reading::everything(None, 1).is_done(), "an empty table");
    }
}
