//! Codes of many rows as bytes: written once, loaded by copying.

use std::ops::RangeInclusive;

use crate::basis::{Basis, BasisId, LEVEL2_BYTES_MAX};
use crate::codes::{Codes, level1_codes};
use crate::encode::RowCodes;
use crate::error::Error;
use crate::index::{Form, Index};
use crate::kernel::{BLOCK_ROWS, GROUPS};
use crate::memory::LINE_BYTES;

const MAGIC: &[u8; 4] = b"MNSG";
const VERSION: u8 = 1;
/// Magic, version, groups, lines, wild rows, rows, basis; the checksum stands at the end.
const HEADER_BYTES: usize = 4 + 1 + 1 + 1 + 2 + 4 + 16;
const CHECKSUM_BYTES: usize = 4;
const ID_BYTES: usize = 8;
const WILD_BYTES: usize = 2;

/// Bytes of one segment, at most: a DynamoDB item of 400 KB less its other attributes.
pub const MAX_BYTES: usize = 390_000;

impl Basis {
    /// Rows of one segment, at most, so that it takes no more than [`MAX_BYTES`]: 2,704 and more where level 2 takes one
    /// cache line a row, 2,096 and more where it takes two.
    pub fn segment_rows(&self) -> usize {
        // Each row might be wild.
        let row_bytes = ID_BYTES + self.level1_bytes() + self.level2_bytes() + WILD_BYTES;
        (MAX_BYTES - HEADER_BYTES - CHECKSUM_BYTES) / row_bytes / BLOCK_ROWS * BLOCK_ROWS
    }
}

/// A segment that was read and checked once, to be loaded into one index or, a part of its rows each, into several.
#[derive(Debug)]
pub struct Segment<'a> {
    basis: BasisId,
    /// Ascending.
    ids: Vec<u64>,
    /// Groups of level 1, bytes a row of level 2.
    shape: (usize, usize),
    /// Whole blocks.
    level1: &'a [u8],
    level2: &'a [u8],
    /// Ascending.
    wild: Vec<u32>,
}

impl Index {
    /// The codes of the rows held whose id lies in `range`, ascending by id; `None` where float32 is held, or there is no such
    /// row. Takes at most [`Basis::segment_rows`] rows.
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
        let mut packed = Codes::new(basis);
        rows.iter().for_each(|(_, slot)| packed.push(&row_codes(codes, *slot, basis.groups)));
        let mut bytes = Vec::with_capacity(MAX_BYTES.min(HEADER_BYTES + 256 * rows.len().next_multiple_of(BLOCK_ROWS)));
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        bytes.push(basis.groups as u8);
        bytes.push(basis.lines as u8);
        bytes.extend_from_slice(&(packed.wild().len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(rows.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&basis.id().0);
        bytes.extend(rows.iter().flat_map(|(id, _)| id.to_le_bytes()));
        packed.blocks().for_each(|(_, blocks)| bytes.extend_from_slice(blocks));
        (0..rows.len()).for_each(|slot| bytes.extend_from_slice(packed.level2(slot)));
        bytes.extend(packed.wild().iter().flat_map(|slot| (*slot as u16).to_le_bytes()));
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(Some(bytes))
    }

    /// Appends a segment's rows, but those whose id is held already, by copying; returns how many.
    ///
    /// Errors: as [`Self::load_some`].
    pub fn load(&mut self, segment: &Segment<'_>) -> Result<usize, Error> {
        self.load_some(segment, &segment.ids)
    }

    /// Appends those of a segment's rows that `ids` names and that are not held already; returns how many. Ids that the segment does
    /// not have are passed over.
    ///
    /// `ids`: ascending, for the sake of speed. Time: that of `ids`, whatever else the segment holds.
    ///
    /// Errors: `ForeignBasis`, for codes of another basis, or where float32 is held; then nothing has changed.
    pub fn load_some(&mut self, segment: &Segment<'_>, ids: &[u64]) -> Result<usize, Error> {
        let Form::Codes(basis, codes) = &mut self.form else { return Err(Error::ForeignBasis) };
        if basis.id() != segment.basis || (basis.groups, basis.level2_bytes()) != segment.shape {
            return Err(Error::ForeignBasis);
        }
        let all = &segment.ids;
        let is_whole = ids.len() >= all.len() && all.iter().all(|id| ids.binary_search(id).is_ok());
        if is_whole && !self.ids.holds_any(all) {
            codes.extend(segment.level1, segment.level2, segment.wild.iter().copied());
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

fn row_codes(codes: &Codes, slot: usize, groups: usize) -> RowCodes {
    debug_assert!(GROUPS.contains(&groups));
    gathered(codes.level1(slot), codes.level2(slot), codes.wild().contains(&(slot as u32)))
}

fn gathered(level1: impl Iterator<Item = u8>, line: &[u8], is_wild: bool) -> RowCodes {
    let mut row = RowCodes { level1: [0; 4 * *GROUPS.end()], level2: [0; LEVEL2_BYTES_MAX], is_wild };
    row.level1.iter_mut().zip(level1).for_each(|(to, code)| *to = code);
    row.level2[..line.len()].copy_from_slice(line);
    row
}

impl<'a> Segment<'a> {
    /// The segment that [`Index::pack`] made `bytes` of.
    ///
    /// Errors: `Torn`, for bytes that are cut, changed or none of ours.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let torn = |fact| Error::Torn { what: "segment", fact };
        if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || &bytes[..4] != MAGIC {
            return Err(torn("it does not begin as one"));
        }
        if bytes[4] != VERSION {
            return Err(torn("it is of another version"));
        }
        let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if crc32fast::hash(body).to_le_bytes() != checksum {
            return Err(torn("its checksum differs"));
        }
        let groups = usize::from(body[5]);
        let level2_bytes = usize::from(body[6]) * LINE_BYTES;
        let wild_rows = usize::from(u16::from_le_bytes([body[7], body[8]]));
        let rows = u32::from_le_bytes([body[9], body[10], body[11], body[12]]) as usize;
        if !GROUPS.contains(&groups) || !(LINE_BYTES..=LEVEL2_BYTES_MAX).contains(&level2_bytes) || wild_rows > rows {
            return Err(torn("its shape is none that a segment has"));
        }
        let level1_bytes = rows.next_multiple_of(BLOCK_ROWS) * 4 * groups;
        if body.len() != HEADER_BYTES + ID_BYTES * rows + level1_bytes + level2_bytes * rows + WILD_BYTES * wild_rows {
            return Err(torn("its length does not fit its shape"));
        }
        let mut id = [0; 16];
        id.copy_from_slice(&body[13..HEADER_BYTES]);
        let (ids, rest) = body[HEADER_BYTES..].split_at(ID_BYTES * rows);
        let (level1, rest) = rest.split_at(level1_bytes);
        let (level2, wild) = rest.split_at(level2_bytes * rows);
        let ids: Vec<u64> = ids.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let wild: Vec<u32> =
            wild.as_chunks::<2>().0.iter().map(|bytes| u32::from(u16::from_le_bytes(*bytes))).collect();
        // Codes past 127 would saturate one kernel and not another.
        let are_in_order = ids.is_sorted_by(|a, b| a < b) && wild.is_sorted_by(|a, b| a < b);
        if !are_in_order || wild.last().is_some_and(|row| *row as usize >= rows) || !level1.is_ascii() {
            return Err(torn("its content is none that was packed"));
        }
        Ok(Self { basis: BasisId(id), ids, shape: (groups, level2_bytes), level1, level2, wild })
    }

    /// The basis that the codes belong to, for a caller that has yet to choose the index's.
    pub fn basis(&self) -> BasisId {
        self.basis
    }

    fn row(&self, row: usize) -> RowCodes {
        let (groups, level2_bytes) = self.shape;
        let line = &self.level2[row * level2_bytes..][..level2_bytes];
        let is_wild = self.wild.binary_search(&(row as u32)).is_ok();
        gathered(level1_codes(self.level1, groups, row), line, is_wild)
    }
}
