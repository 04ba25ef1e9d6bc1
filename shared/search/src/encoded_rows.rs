//! The code form of an index, in slot order. Level 1 is one stream of blocks; level 2 is in separate cache lines.

use std::collections::BTreeSet;

use crate::basis::Basis;
use crate::encode::EncodedRow;
use crate::kernel::BLOCK_ROWS;
use crate::memory::grown_capacity;
use crate::memory::{Buffer, LINE_BYTES};

/// Rows of a full chunk. Its level 2 takes two huge pages per cache line, and its level 1 one to two at 8 to 16 groups.
pub(crate) const CHUNK_ROWS: usize = 65_536;

/// A run of consecutive rows. The codes of slots without a row are zero, or those of a removed row.
#[derive(Debug)]
struct Chunk {
    rows: usize,
    level1: LevelBuffer,
    level2: LevelBuffer,
}

/// The codes of one level.
#[derive(Debug)]
struct LevelBuffer {
    /// How many rows have room.
    capacity: usize,
    codes: Buffer,
}

impl LevelBuffer {
    fn new(capacity: usize, row_bytes: usize) -> Self {
        Self { capacity, codes: Buffer::zeroed(capacity * row_bytes) }
    }

    /// Ensures a capacity of `rows` rows in whole `units`. If the memory must be reallocated, it gets at least the
    /// capacity for `expected` rows.
    fn grow(&mut self, rows: usize, expected: usize, unit: usize, row_bytes: usize) {
        if rows > self.capacity {
            let grown = grown_capacity(self.capacity).max(expected).max(rows);
            let mut larger = Self::new(grown.next_multiple_of(unit).min(CHUNK_ROWS), row_bytes);
            let used = self.capacity * row_bytes;
            larger.codes.bytes_mut()[..used].copy_from_slice(&self.codes.bytes()[..used]);
            *self = larger;
        }
    }
}

impl Chunk {
    /// A chunk without rows, with memory for `capacity` rows.
    fn new(shape: Shape, capacity: usize) -> Self {
        Self {
            rows: 0,
            level1: LevelBuffer::new(capacity.next_multiple_of(BLOCK_ROWS), 4 * shape.groups),
            level2: LevelBuffer::new(capacity, shape.level2_bytes),
        }
    }

    /// Ensures a capacity of `rows` rows, as [`LevelBuffer::grow`].
    fn grow(&mut self, shape: Shape, rows: usize, expected: usize) {
        self.level1.grow(rows, expected, BLOCK_ROWS, 4 * shape.groups);
        self.level2.grow(rows, expected, 1, shape.level2_bytes);
    }
}

/// The layout of the codes, as the basis defines it.
#[derive(Debug, Clone, Copy)]
struct Shape {
    groups: usize,
    level2_bytes: usize,
}

/// The codes of many rows under one basis.
#[derive(Debug)]
pub(crate) struct EncodedRows {
    shape: Shape,
    len: usize,
    /// The number of rows that the caller announced by [`EncodedRows::reserve`].
    expected: usize,
    /// All chunks but the last are full.
    chunks: Vec<Chunk>,
    /// Slots of the outliers, for which the bound of level 1 does not hold.
    outliers: BTreeSet<u32>,
    /// The sum of the residual codes. A large mean shows that the basis does not fit.
    residual_sum: u64,
}

/// The position of code `j` of row `row` in a sequence of blocks.
fn code_at(groups: usize, row: usize, j: usize) -> usize {
    (row / BLOCK_ROWS * groups + j / 4) * LINE_BYTES + row % BLOCK_ROWS * 4 + j % 4
}

/// The codes of level 1 of row `row` in a sequence of blocks.
pub(crate) fn level1_codes(blocks: &[u8], groups: usize, row: usize) -> impl Iterator<Item = u8> + '_ {
    (0..4 * groups).map(move |j| blocks[code_at(groups, row, j)])
}

impl EncodedRows {
    pub(crate) fn new(basis: &Basis) -> Self {
        let shape = Shape { groups: basis.groups, level2_bytes: basis.level2_bytes() };
        Self { shape, len: 0, expected: 0, chunks: Vec::new(), outliers: BTreeSet::new(), residual_sum: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn outliers(&self) -> &BTreeSet<u32> {
        &self.outliers
    }

    /// The mean residual code, or 0 without rows.
    pub(crate) fn residual_mean(&self) -> f64 {
        self.residual_sum as f64 / self.len.max(1) as f64
    }

    /// Returns the chunk for the next row, and how many of `count` rows fit into it. Its capacity suffices for those.
    fn chunk_with_room(&mut self, count: usize) -> (&mut Chunk, usize) {
        if self.chunks.last().is_none_or(|chunk| chunk.rows == CHUNK_ROWS) {
            let min_capacity = if self.chunks.is_empty() { 1 } else { CHUNK_ROWS / 16 };
            let expected = self.expected.saturating_sub(self.chunks.len() * CHUNK_ROWS);
            self.chunks.push(Chunk::new(self.shape, expected.clamp(min_capacity, CHUNK_ROWS)));
        }
        let expected = self.expected.saturating_sub((self.chunks.len() - 1) * CHUNK_ROWS);
        let shape = self.shape;
        let chunk = self.chunks.last_mut().expect("one was pushed");
        let fit = count.min(CHUNK_ROWS - chunk.rows);
        chunk.grow(shape, chunk.rows + fit, expected);
        (chunk, fit)
    }

    /// Announces `count` more rows, so that the memory grows only once.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.expected = self.len + count;
    }

    pub(crate) fn push(&mut self, codes: &EncodedRow) {
        let (Shape { groups, level2_bytes }, slot) = (self.shape, self.len as u32);
        let (chunk, _) = self.chunk_with_room(1);
        let row = chunk.rows;
        let blocks = chunk.level1.codes.bytes_mut();
        for (group, codes) in codes.level1[..4 * groups].as_chunks::<4>().0.iter().enumerate() {
            blocks[code_at(groups, row, 4 * group)..][..4].copy_from_slice(codes);
        }
        chunk.level2.codes.bytes_mut()[row * level2_bytes..][..level2_bytes]
            .copy_from_slice(&codes.level2[..level2_bytes]);
        chunk.rows += 1;
        self.len += 1;
        self.residual_sum += u64::from(codes.level1[4 * groups - 1]);
        if codes.is_outlier {
            self.outliers.insert(slot);
        }
    }

    /// Appends rows that are already in this form, by copying. `blocks`: level 1. `lines`: level 2. `outliers`:
    /// positions among the new rows.
    pub(crate) fn extend(&mut self, blocks: &[u8], lines: &[u8], outliers: impl Iterator<Item = u32>) {
        let Shape { groups, level2_bytes } = self.shape;
        let rows = lines.len() / level2_bytes;
        let first = self.len as u32;
        self.outliers.extend(outliers.map(|row| first + row));
        self.residual_sum += (0..rows).map(|row| u64::from(blocks[code_at(groups, row, 4 * groups - 1)])).sum::<u64>();
        self.len += rows;
        let mut done = 0;
        while done < rows {
            let (chunk, fit) = self.chunk_with_room(rows - done);
            chunk.level2.codes.bytes_mut()[chunk.rows * level2_bytes..][..fit * level2_bytes]
                .copy_from_slice(&lines[done * level2_bytes..][..fit * level2_bytes]);
            copy_rows(chunk.level1.codes.bytes_mut(), chunk.rows, blocks, done, fit, groups);
            chunk.rows += fit;
            done += fit;
        }
    }

    /// Removes a row. The last row moves to its slot.
    pub(crate) fn swap_remove(&mut self, slot: usize) {
        let last = self.len - 1;
        let Shape { groups, level2_bytes } = self.shape;
        self.residual_sum -= u64::from(self.residual_code(slot));
        if slot != last {
            let moved: Vec<u8> = self.level1(last).collect();
            let line = self.level2(last).to_vec();
            let (chunk, row) = (&mut self.chunks[slot / CHUNK_ROWS], slot % CHUNK_ROWS);
            for (j, code) in moved.into_iter().enumerate() {
                chunk.level1.codes.bytes_mut()[code_at(groups, row, j)] = code;
            }
            chunk.level2.codes.bytes_mut()[row * level2_bytes..][..level2_bytes].copy_from_slice(&line);
        }
        self.outliers.remove(&(slot as u32));
        if self.outliers.remove(&(last as u32)) {
            self.outliers.insert(slot as u32);
        }
        let chunk = &mut self.chunks[last / CHUNK_ROWS];
        chunk.rows -= 1;
        if chunk.rows == 0 {
            self.chunks.pop();
        }
        self.len -= 1;
    }

    /// The blocks of level 1 by chunk, with the first slot of each chunk. The last block may have lanes without a row.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (u32, &[u8])> + '_ {
        self.chunks.iter().zip((0u32..).step_by(CHUNK_ROWS)).map(|(chunk, first)| {
            (first, &chunk.level1.codes.bytes()[..chunk.rows.next_multiple_of(BLOCK_ROWS) * 4 * self.shape.groups])
        })
    }

    pub(crate) fn level1(&self, slot: usize) -> impl Iterator<Item = u8> + '_ {
        level1_codes(self.chunks[slot / CHUNK_ROWS].level1.codes.bytes(), self.shape.groups, slot % CHUNK_ROWS)
    }

    pub(crate) fn residual_code(&self, slot: usize) -> u8 {
        let at = code_at(self.shape.groups, slot % CHUNK_ROWS, 4 * self.shape.groups - 1);
        self.chunks[slot / CHUNK_ROWS].level1.codes.bytes()[at]
    }

    pub(crate) fn level2(&self, slot: usize) -> &[u8] {
        let bytes = self.shape.level2_bytes;
        &self.chunks[slot / CHUNK_ROWS].level2.codes.bytes()[slot % CHUNK_ROWS * bytes..][..bytes]
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.level1.codes.len() + chunk.level2.codes.len()).sum();
        // At most 16 bytes per outlier, because the nodes of a B-tree are at least half full.
        chunks + self.chunks.capacity() * size_of::<Chunk>() + 16 * self.outliers.len()
    }
}

/// Copies `count` rows of level 1 from one sequence of blocks, starting at row `from`, to another, starting at row
/// `to`.
fn copy_rows(target: &mut [u8], to: usize, source: &[u8], from: usize, count: usize, groups: usize) {
    let mut done = 0;
    while done < count {
        let (to, from) = (to + done, from + done);
        // The run ends at the first end of a block, because rows are adjacent only within a group.
        let run = (BLOCK_ROWS - to % BLOCK_ROWS).min(BLOCK_ROWS - from % BLOCK_ROWS);
        if run == BLOCK_ROWS {
            let whole = (count - done) / BLOCK_ROWS * BLOCK_ROWS;
            if whole > 0 {
                target[to * 4 * groups..][..whole * 4 * groups]
                    .copy_from_slice(&source[from * 4 * groups..][..whole * 4 * groups]);
                done += whole;
                continue;
            }
        }
        let run = run.min(count - done);
        for group in 0..groups {
            target[code_at(groups, to, 4 * group)..][..4 * run]
                .copy_from_slice(&source[code_at(groups, from, 4 * group)..][..4 * run]);
        }
        done += run;
    }
}
