//! The float32 form of an index. For few rows it is faster than codes, because a query for codes must be prepared.

use std::sync::Arc;

use simsimd::SpatialSimilarity;

use crate::memory::{Buffer, HUGE_PAGE_BYTES, grown_capacity};

/// `rows` vectors in sequence.
#[derive(Debug)]
struct Chunk {
    rows: usize,
    capacity: usize,
    floats: Buffer,
}

impl Chunk {
    fn new(dim: usize, capacity: usize) -> Self {
        Self { rows: 0, capacity, floats: Buffer::zeroed(capacity * dim * 4) }
    }

    fn copy_with_capacity(&self, dim: usize, capacity: usize) -> Self {
        let mut copy = Self::new(dim, capacity);
        copy.rows = self.rows;
        copy.floats.floats_mut()[..self.rows * dim].copy_from_slice(&self.floats.floats()[..self.rows * dim]);
        copy
    }
}

/// The vectors of an index in slot order. Clones share the memory until one of them writes.
#[derive(Debug, Clone)]
pub(crate) struct FloatRows {
    dim: usize,
    len: usize,
    /// Rows of a full chunk. All chunks but the last are full.
    chunk_rows: usize,
    chunks: Vec<Arc<Chunk>>,
}

impl FloatRows {
    /// `dim`: not 0.
    pub(crate) fn new(dim: usize) -> Self {
        Self { dim, len: 0, chunk_rows: (HUGE_PAGE_BYTES / (4 * dim)).max(16), chunks: Vec::new() }
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn push(&mut self, vector: &[f32]) {
        if self.chunks.last().is_none_or(|chunk| chunk.rows == self.chunk_rows) {
            let capacity = if self.chunks.is_empty() { 1 } else { self.chunk_rows };
            self.chunks.push(Arc::new(Chunk::new(self.dim, capacity)));
        }
        let last = self.chunks.last_mut().expect("one was pushed");
        if last.rows == last.capacity || Arc::get_mut(last).is_none() {
            let capacity = if last.rows == last.capacity { grown_capacity(last.rows) } else { last.capacity };
            *last = Arc::new(last.copy_with_capacity(self.dim, capacity.min(self.chunk_rows)));
        }
        let chunk = Arc::get_mut(last).expect("not shared");
        chunk.floats.floats_mut()[chunk.rows * self.dim..][..self.dim].copy_from_slice(vector);
        chunk.rows += 1;
        self.len += 1;
    }

    /// Chunk number `at`, which is copied first if it is shared.
    fn chunk_mut(&mut self, at: usize) -> &mut Chunk {
        let chunk = &mut self.chunks[at];
        if Arc::get_mut(chunk).is_none() {
            *chunk = Arc::new(chunk.copy_with_capacity(self.dim, chunk.capacity));
        }
        Arc::get_mut(chunk).expect("not shared")
    }

    /// Removes a row. The last row moves to its slot.
    pub(crate) fn swap_remove(&mut self, slot: usize) {
        let (dim, chunk_rows, last) = (self.dim, self.chunk_rows, self.len - 1);
        if slot != last {
            let moved = self.row(last).to_vec();
            let chunk = self.chunk_mut(slot / chunk_rows);
            chunk.floats.floats_mut()[slot % chunk_rows * dim..][..dim].copy_from_slice(&moved);
        }
        let chunk = self.chunk_mut(last / chunk_rows);
        chunk.rows -= 1;
        if chunk.rows == 0 {
            self.chunks.pop();
        }
        self.len -= 1;
    }

    pub(crate) fn row(&self, slot: usize) -> &[f32] {
        let chunk = &self.chunks[slot / self.chunk_rows];
        &chunk.floats.floats()[slot % self.chunk_rows * self.dim..][..self.dim]
    }

    /// The vectors in slot order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f32]> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.floats.floats()[..chunk.rows * self.dim].chunks_exact(self.dim))
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.floats.len() + size_of::<Chunk>()).sum();
        chunks + self.chunks.capacity() * size_of::<Arc<Chunk>>()
    }
}

/// The cosine similarity of two unit vectors of one length: simsimd's float32 dot product, clamped to [-1, 1].
///
/// # Panics
///
/// Panics if the lengths differ.
pub fn similarity(a: &[f32], b: &[f32]) -> f32 {
    let dot = <f32 as SpatialSimilarity>::dot(a, b).expect("vectors of one length");
    // Adding 0 turns -0 into +0, so that rows of similarity zero tie and the lower id wins.
    (dot as f32).clamp(-1.0, 1.0) + 0.0
}
