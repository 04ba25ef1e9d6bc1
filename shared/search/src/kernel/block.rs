//! The layout that all kernels read, and the result that they write.
//!
//! A block is 16 rows × `groups` groups × 4 codes, `[group][row][4]`. A group is one cache line. AVX-512 VNNI's
//! `dpbusd`, AVX2's `maddubs` and a plain loop all read it sequentially. Codes are 0 to 127, so that two products of a
//! code and an i8 weight fit the i16 in which `maddubs` saturates (127 × 127 × 2 = 32,258).

/// Rows of a block.
pub(crate) const BLOCK_ROWS: usize = 16;

/// Numbers of groups for which the kernels are compiled. A group has four codes; the last code of the last group is
/// that of the residual norm.
pub(crate) const GROUPS: std::ops::RangeInclusive<usize> = 2..=16;

/// Rows of one call of a kernel, at most.
pub(crate) const BATCH_ROWS: usize = 1024;

/// The distance of the prefetch from the read position. The hardware's prefetcher stops at each page of 4 KB.
#[cfg(target_arch = "x86_64")]
pub(super) const PREFETCH_BYTES: usize = 4096;

/// The rows that a scan could not rule out, with their integer scores. Kernels write whole vectors, so the arrays have
/// one block more than a batch.
#[derive(Debug)]
pub(crate) struct Hits {
    pub(super) slots: [u32; BATCH_ROWS + BLOCK_ROWS],
    pub(super) scores: [i32; BATCH_ROWS + BLOCK_ROWS],
    pub(super) len: usize,
}

impl Hits {
    pub(crate) fn new() -> Self {
        Self { slots: [0; BATCH_ROWS + BLOCK_ROWS], scores: [0; BATCH_ROWS + BLOCK_ROWS], len: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops the hits of slot `slots` and later ones: the lanes of the last block that have no row.
    pub(crate) fn drop_slots_from(&mut self, slots: usize) {
        while self.len > 0 && self.slots[self.len - 1] as usize >= slots {
            self.len -= 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, i32)> + '_ {
        self.slots[..self.len].iter().copied().zip(self.scores[..self.len].iter().copied())
    }

    pub(super) fn push(&mut self, slot: u32, score: i32) {
        self.slots[self.len] = slot;
        self.scores[self.len] = score;
        self.len += 1;
    }
}
