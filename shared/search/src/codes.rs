//! The code form of a namespace: level 1 in one stream of blocks, level 2 in lines of its own, in slot order.

use std::collections::BTreeSet;

use crate::basis::Basis;
use crate::encode::RowCodes;
use crate::growth::grown;
use crate::kernel::BLOCK_ROWS;
use crate::memory::{Buffer, LINE_BYTES};

/// Rows of a full chunk: level 2 is two huge pages, level 1 one to two at 8 to 16 groups.
pub(crate) const CHUNK_ROWS: usize = 65_536;

/// Rows `first..first + capacity`, codes of slots without a row being zero.
#[derive(Debug)]
struct Chunk {
    rows: usize,
    capacity: usize,
    level1: Buffer,
    level2: Buffer,
}

impl Chunk {
    /// `capacity`: whole blocks.
    fn new(shape: Shape, capacity: usize) -> Self {
        Self {
            rows: 0,
            capacity,
            level1: Buffer::zeroed(capacity * 4 * shape.groups),
            level2: Buffer::zeroed(capacity * shape.level2_bytes),
        }
    }

    /// Makes room for `rows` rows in all, or for as many as are `expected` if it must move anyway.
    fn grow(&mut self, shape: Shape, rows: usize, expected: usize) {
        if rows > self.capacity {
            let capacity = grown(self.capacity).max(expected).max(rows).next_multiple_of(BLOCK_ROWS).min(CHUNK_ROWS);
            let mut larger = Self::new(shape, capacity);
            let level1_bytes = self.capacity * 4 * shape.groups;
            larger.rows = self.rows;
            larger.level1.bytes_mut()[..level1_bytes].copy_from_slice(&self.level1.bytes()[..level1_bytes]);
            let level2_bytes = self.rows * shape.level2_bytes;
            larger.level2.bytes_mut()[..level2_bytes].copy_from_slice(&self.level2.bytes()[..level2_bytes]);
            *self = larger;
        }
    }
}

/// What a basis says of its codes' layout.
#[derive(Debug, Clone, Copy)]
struct Shape {
    groups: usize,
    level2_bytes: usize,
}

/// The codes of a namespace's rows under one basis.
#[derive(Debug)]
pub(crate) struct Codes {
    shape: Shape,
    len: usize,
    /// How many rows the caller said there would be.
    expected: usize,
    /// All but the last are full.
    chunks: Vec<Chunk>,
    /// Slots that level 1's bound does not hold for.
    wild: BTreeSet<u32>,
    /// The residual codes' sum, which tells how well the basis fits.
    residual_sum: u64,
}

/// Where row `row` of a stretch of blocks has its code `j`.
fn code_at(groups: usize, row: usize, j: usize) -> usize {
    (row / BLOCK_ROWS * groups + j / 4) * LINE_BYTES + row % BLOCK_ROWS * 4 + j % 4
}

/// The codes of level 1 of row `row` of a stretch of blocks.
pub(crate) fn level1_codes(blocks: &[u8], groups: usize, row: usize) -> impl Iterator<Item = u8> + '_ {
    (0..4 * groups).map(move |j| blocks[code_at(groups, row, j)])
}

impl Codes {
    pub(crate) fn new(basis: &Basis) -> Self {
        let shape = Shape { groups: basis.groups, level2_bytes: basis.level2_bytes() };
        Self { shape, len: 0, expected: 0, chunks: Vec::new(), wild: BTreeSet::new(), residual_sum: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn wild(&self) -> &BTreeSet<u32> {
        &self.wild
    }

    /// The mean residual code, 0 when empty.
    pub(crate) fn residual_mean(&self) -> f64 {
        self.residual_sum as f64 / self.len.max(1) as f64
    }

    /// The chunk that the next row goes to, with room for up to `count` rows, and how many fit.
    fn room(&mut self, count: usize) -> (&mut Chunk, usize) {
        if self.chunks.last().is_none_or(|chunk| chunk.rows == CHUNK_ROWS) {
            let least = if self.chunks.is_empty() { BLOCK_ROWS } else { CHUNK_ROWS / 16 };
            let expected = self.expected.saturating_sub(self.chunks.len() * CHUNK_ROWS);
            let capacity = expected.clamp(least, CHUNK_ROWS).next_multiple_of(BLOCK_ROWS);
            self.chunks.push(Chunk::new(self.shape, capacity));
        }
        let expected = self.expected.saturating_sub((self.chunks.len() - 1) * CHUNK_ROWS);
        let shape = self.shape;
        let chunk = self.chunks.last_mut().expect("one was pushed");
        let fit = count.min(CHUNK_ROWS - chunk.rows);
        chunk.grow(shape, chunk.rows + fit, expected);
        (chunk, fit)
    }

    /// Rows to come, so that storage grows once.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.expected = self.len + count;
    }

    pub(crate) fn push(&mut self, codes: &RowCodes) {
        let (Shape { groups, level2_bytes }, slot) = (self.shape, self.len as u32);
        let (chunk, _) = self.room(1);
        let row = chunk.rows;
        let blocks = chunk.level1.bytes_mut();
        for (group, codes) in codes.level1[..4 * groups].as_chunks::<4>().0.iter().enumerate() {
            blocks[code_at(groups, row, 4 * group)..][..4].copy_from_slice(codes);
        }
        chunk.level2.bytes_mut()[row * level2_bytes..][..level2_bytes].copy_from_slice(&codes.level2[..level2_bytes]);
        chunk.rows += 1;
        self.len += 1;
        self.residual_sum += u64::from(codes.level1[4 * groups - 1]);
        if codes.is_wild {
            self.wild.insert(slot);
        }
    }

    /// Appends `rows` rows that are in this form already, by copying. `wild`: among them, counted from the first.
    pub(crate) fn extend(&mut self, blocks: &[u8], lines: &[u8], wild: impl Iterator<Item = u32>) {
        let Shape { groups, level2_bytes } = self.shape;
        let rows = lines.len() / level2_bytes;
        let first = self.len as u32;
        self.wild.extend(wild.map(|row| first + row));
        self.residual_sum += (0..rows).map(|row| u64::from(blocks[code_at(groups, row, 4 * groups - 1)])).sum::<u64>();
        self.len += rows;
        let mut done = 0;
        while done < rows {
            // `room` needs the chunks alone, the length being counted already.
            let (chunk, fit) = self.room(rows - done);
            chunk.level2.bytes_mut()[chunk.rows * level2_bytes..][..fit * level2_bytes]
                .copy_from_slice(&lines[done * level2_bytes..][..fit * level2_bytes]);
            copy_rows(chunk.level1.bytes_mut(), chunk.rows, blocks, done, fit, groups);
            chunk.rows += fit;
            done += fit;
        }
    }

    /// Removes a row; the last one moves to its slot.
    pub(crate) fn swap_remove(&mut self, slot: usize) {
        let last = self.len - 1;
        let Shape { groups, level2_bytes } = self.shape;
        self.residual_sum -= u64::from(self.residual_code(slot));
        if slot != last {
            let moved: Vec<u8> = self.level1(last).collect();
            let line = self.level2(last).to_vec();
            let (chunk, row) = (&mut self.chunks[slot / CHUNK_ROWS], slot % CHUNK_ROWS);
            for (j, code) in moved.into_iter().enumerate() {
                chunk.level1.bytes_mut()[code_at(groups, row, j)] = code;
            }
            chunk.level2.bytes_mut()[row * level2_bytes..][..level2_bytes].copy_from_slice(&line);
        }
        self.wild.remove(&(slot as u32));
        if self.wild.remove(&(last as u32)) {
            self.wild.insert(slot as u32);
        }
        let chunk = &mut self.chunks[last / CHUNK_ROWS];
        chunk.rows -= 1;
        if chunk.rows == 0 {
            self.chunks.pop();
        }
        self.len -= 1;
    }

    /// The blocks of level 1, chunk by chunk, with the first slot of each; the last block may have lanes without a row.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (u32, &[u8])> + '_ {
        self.chunks.iter().zip((0u32..).step_by(CHUNK_ROWS)).map(|(chunk, first)| {
            (first, &chunk.level1.bytes()[..chunk.rows.next_multiple_of(BLOCK_ROWS) * 4 * self.shape.groups])
        })
    }

    pub(crate) fn level1(&self, slot: usize) -> impl Iterator<Item = u8> + '_ {
        level1_codes(self.chunks[slot / CHUNK_ROWS].level1.bytes(), self.shape.groups, slot % CHUNK_ROWS)
    }

    pub(crate) fn residual_code(&self, slot: usize) -> u8 {
        let at = code_at(self.shape.groups, slot % CHUNK_ROWS, 4 * self.shape.groups - 1);
        self.chunks[slot / CHUNK_ROWS].level1.bytes()[at]
    }

    pub(crate) fn level2(&self, slot: usize) -> &[u8] {
        let bytes = self.shape.level2_bytes;
        &self.chunks[slot / CHUNK_ROWS].level2.bytes()[slot % CHUNK_ROWS * bytes..][..bytes]
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.level1.len() + chunk.level2.len()).sum();
        // A B-tree's nodes are half full or more.
        chunks + self.chunks.capacity() * size_of::<Chunk>() + 16 * self.wild.len()
    }
}

/// Copies `count` rows of level 1 between stretches of blocks, row `from` on to row `to` on.
fn copy_rows(target: &mut [u8], to: usize, source: &[u8], from: usize, count: usize, groups: usize) {
    let mut done = 0;
    while done < count {
        let (to, from) = (to + done, from + done);
        // As far as both stay in their block: rows stand side by side within a group.
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
