//! Segments: the codes of many rows as bytes, written once and loaded by copying.

use std::ops::RangeInclusive;

use crate::basis::{Basis, BasisId, MAX_LEVEL2_BYTES};
use crate::encode::EncodedRow;
use crate::encoded_rows::{EncodedRows, level1_codes};
use crate::error::Error;
use crate::index::{Form, Index};
use crate::kernel::{BLOCK_ROWS, GROUPS};
use crate::memory::LINE_BYTES;

const MAGIC: &[u8; 4] = b"MNSG";
const VERSION: u8 = 1;
/// Magic, version, groups, lines, number of outliers, number of rows, basis id. The checksum is at the end.
const HEADER_BYTES: usize = 4 + 1 + 1 + 1 + 2 + 4 + 16;
const CHECKSUM_BYTES: usize = 4;
const ID_BYTES: usize = 8;
const OUTLIER_BYTES: usize = 2;

/// Bytes of one segment, at most. The limit of a DynamoDB item is 400 KB, and the item has other attributes.
pub const MAX_BYTES: usize = 390_000;

impl Basis {
    /// Rows of one segment, at most, so that it takes at most [`MAX_BYTES`]. The result is at least 2,704 if level 2
    /// takes one cache line per row, and at least 2,096 if it takes two.
    pub fn segment_rows(&self) -> usize {
        // Every row might be an outlier.
        let row_bytes = ID_BYTES + self.level1_bytes() + self.level2_bytes() + OUTLIER_BYTES;
        (MAX_BYTES - HEADER_BYTES - CHECKSUM_BYTES) / row_bytes / BLOCK_ROWS * BLOCK_ROWS
    }
}

/// A segment whose bytes were checked. It can be loaded into one index, or parts of its rows into several.
#[derive(Debug)]
pub struct CodeSegment<'a> {
    basis: BasisId,
    /// Ascending.
    ids: Vec<u64>,
    /// Groups of level 1, and bytes per row of level 2.
    shape: (usize, usize),
    /// Whole blocks. Lanes past the last row are ignored.
    level1: &'a [u8],
    level2: &'a [u8],
    /// Ascending.
    outliers: Vec<u32>,
}

impl Index {
    /// Writes the codes of the rows whose id lies in `range` as a segment, ascending by id. Returns `None` if there is
    /// no such row, or if the index holds float32. The range may have at most [`Basis::segment_rows`] rows.
    ///
    /// Errors: `TooManyRows`.
    pub fn pack(&self, range: RangeInclusive<u64>) -> Result<Option<Vec<u8>>, Error> {
        let Form::Codes(basis, codes) = &self.form else { return Ok(None) };
        let held = self.ids.as_slice().iter().copied().zip(0usize..);
        let mut rows: Vec<(u64, usize)> = held.filter(|(id, _)| range.contains(id)).collect();
        let limit = basis.segment_rows();
        if rows.len() > limit {
            return Err(Error::TooManyRows { rows: rows.len(), limit });
        }
        if rows.is_empty() {
            return Ok(None);
        }
        rows.sort_unstable();
        let mut packed = EncodedRows::new(basis);
        rows.iter().for_each(|(_, slot)| packed.push(&row_codes(codes, *slot, basis.groups)));
        let mut bytes = Vec::with_capacity(MAX_BYTES.min(HEADER_BYTES + 256 * rows.len().next_multiple_of(BLOCK_ROWS)));
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        bytes.push(basis.groups as u8);
        bytes.push(basis.lines as u8);
        bytes.extend_from_slice(&(packed.outliers().len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(rows.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&basis.id().0);
        bytes.extend(rows.iter().flat_map(|(id, _)| id.to_le_bytes()));
        packed.blocks().for_each(|(_, blocks)| bytes.extend_from_slice(blocks));
        (0..rows.len()).for_each(|slot| bytes.extend_from_slice(packed.level2(slot)));
        bytes.extend(packed.outliers().iter().flat_map(|slot| (*slot as u16).to_le_bytes()));
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(Some(bytes))
    }

    /// Appends those rows of a segment whose ids the index does not hold yet. Returns their number.
    ///
    /// Errors: as [`Self::load_some`].
    pub fn load(&mut self, segment: &CodeSegment<'_>) -> Result<usize, Error> {
        self.load_some(segment, &segment.ids)
    }

    /// Appends those rows of a segment that `ids` names and that the index does not hold yet. Returns their number. Ids
    /// that the segment does not have are skipped.
    ///
    /// `ids`: ascending. The time is proportional to the number of `ids`, not to the size of the segment.
    ///
    /// Errors: `BasisMismatch`, if the codes belong to another basis or the index holds float32. The index is then
    /// unchanged.
    pub fn load_some(&mut self, segment: &CodeSegment<'_>, ids: &[u64]) -> Result<usize, Error> {
        let Form::Codes(basis, codes) = &mut self.form else { return Err(Error::BasisMismatch) };
        if basis.id() != segment.basis || (basis.groups, basis.level2_bytes()) != segment.shape {
            return Err(Error::BasisMismatch);
        }
        let all = &segment.ids;
        let is_whole = ids.len() >= all.len() && all.iter().all(|id| ids.binary_search(id).is_ok());
        if is_whole && !self.ids.holds_any(all) {
            codes.extend(segment.level1, segment.level2, segment.outliers.iter().copied());
            self.ids.reserve(all.len());
            all.iter().for_each(|id| self.ids.push(*id));
            all.iter().for_each(|id| self.note_change(*id));
            return Ok(all.len());
        }
        let mut loaded = 0;
        for id in ids {
            if self.ids.slot(*id).is_none()
                && let Form::Codes(_, codes) = &mut self.form
                && let Ok(row) = segment.ids.binary_search(id)
            {
                codes.push(&segment.row(row));
                self.ids.push(*id);
                self.note_change(*id);
                loaded += 1;
            }
        }
        Ok(loaded)
    }
}

fn row_codes(codes: &EncodedRows, slot: usize, groups: usize) -> EncodedRow {
    debug_assert!(GROUPS.contains(&groups));
    encoded_row(codes.level1(slot), codes.level2(slot), codes.outliers().contains(&(slot as u32)))
}

fn encoded_row(level1: impl Iterator<Item = u8>, line: &[u8], is_outlier: bool) -> EncodedRow {
    let mut row = EncodedRow { level1: [0; 4 * *GROUPS.end()], level2: [0; MAX_LEVEL2_BYTES], is_outlier };
    row.level1.iter_mut().zip(level1).for_each(|(to, code)| *to = code);
    row.level2[..line.len()].copy_from_slice(line);
    row
}

impl<'a> CodeSegment<'a> {
    /// Checks the bytes that [`Index::pack`] wrote. The result borrows them.
    ///
    /// Errors: `Corrupt`, for bytes that are truncated, changed, of another version, or not a segment.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let corrupt = |fact| Error::Corrupt { what: "segment", fact };
        if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || &bytes[..4] != MAGIC {
            return Err(corrupt("the magic number is missing"));
        }
        if bytes[4] != VERSION {
            return Err(corrupt("its version is not supported"));
        }
        let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if crc32fast::hash(body).to_le_bytes() != checksum {
            return Err(corrupt("its checksum differs"));
        }
        let groups = usize::from(body[5]);
        let level2_bytes = usize::from(body[6]) * LINE_BYTES;
        let outlier_rows = usize::from(u16::from_le_bytes([body[7], body[8]]));
        let rows = u32::from_le_bytes([body[9], body[10], body[11], body[12]]) as usize;
        if !GROUPS.contains(&groups) || !(LINE_BYTES..=MAX_LEVEL2_BYTES).contains(&level2_bytes) || outlier_rows > rows
        {
            return Err(corrupt("its shape is not that of a segment"));
        }
        let level1_bytes = rows.next_multiple_of(BLOCK_ROWS) * 4 * groups;
        if body.len()
            != HEADER_BYTES + ID_BYTES * rows + level1_bytes + level2_bytes * rows + OUTLIER_BYTES * outlier_rows
        {
            return Err(corrupt("its length does not fit its shape"));
        }
        let mut id = [0; 16];
        id.copy_from_slice(&body[13..HEADER_BYTES]);
        let (ids, rest) = body[HEADER_BYTES..].split_at(ID_BYTES * rows);
        let (level1, rest) = rest.split_at(level1_bytes);
        let (level2, outliers) = rest.split_at(level2_bytes * rows);
        let ids: Vec<u64> = ids.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let outliers: Vec<u32> =
            outliers.as_chunks::<2>().0.iter().map(|bytes| u32::from(u16::from_le_bytes(*bytes))).collect();
        // A code above 127 would saturate in one kernel and not in another, so level 1 must be ASCII.
        let are_in_order = ids.is_sorted_by(|a, b| a < b) && outliers.is_sorted_by(|a, b| a < b);
        if !are_in_order || outliers.last().is_some_and(|row| *row as usize >= rows) || !level1.is_ascii() {
            return Err(corrupt("its content is not that of a segment"));
        }
        Ok(Self { basis: BasisId(id), ids, shape: (groups, level2_bytes), level1, level2, outliers })
    }

    /// The basis of the codes. A caller uses it to create an index with the same basis.
    pub fn basis(&self) -> BasisId {
        self.basis
    }

    fn row(&self, row: usize) -> EncodedRow {
        let (groups, level2_bytes) = self.shape;
        let line = &self.level2[row * level2_bytes..][..level2_bytes];
        let is_outlier = self.outliers.binary_search(&(row as u32)).is_ok();
        encoded_row(level1_codes(self.level1, groups, row), line, is_outlier)
    }
}
