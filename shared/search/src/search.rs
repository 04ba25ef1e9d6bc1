//! Searching an index by candidates, by threshold and `k`, or for the nearest row.

use std::cmp::Ordering;

use crate::basis::squared_norm;
use crate::candidates::{Candidate, Candidates};
use crate::encoded_rows::EncodedRows;
use crate::error::Error;
use crate::float_rows::{FloatRows, similarity};
use crate::index::{Form, Index};
use crate::kernel::{BATCH_ROWS, Hits};
use crate::memory::prefetch;
use crate::query::{Level2Query, Query};

/// A row that a search returned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// The id of the row.
    pub id: u64,
    /// The similarity of the row to the query, in [-1, 1]. A larger value is closer.
    pub similarity: f32,
}

impl Neighbour {
    /// Orders the closest row first, and ties by lower id.
    fn order(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.id.cmp(&other.id))
    }
}

impl Index {
    /// Returns every row whose [`similarity`] to `query` may reach `threshold`, highest upper bound first, ties by
    /// lower id. No row that reaches the threshold is left out. (A row with a NaN similarity would be, but
    /// unit vectors have none.)
    ///
    /// `query`: unit norm, `[dim]`. `threshold`: in [-1, 1]. Errors: `Dimension`, `NotUnit`.
    pub fn candidates(&self, query: &[f32], threshold: f32) -> Result<Candidates, Error> {
        let mut found = Vec::new();
        match &self.form {
            Form::Floats(floats) => {
                squared_norm(query, self.dim)?;
                scan_floats(floats, self.ids.as_slice(), query, threshold, &mut found);
            }
            Form::Codes(basis, codes) => {
                let query = Query::new(basis, self.kernel, query)?;
                Scan { index: self, codes, query, level2: None, threshold, found: &mut found }.run();
            }
        }
        Ok(Candidates::new(found))
    }

    /// Returns the `k` rows closest to `query` among those that reach `threshold`, closest first, ties by lower id. The
    /// result is the same as that of a loop of [`similarity`] over all rows.
    ///
    /// `exact`: returns the vector of a row, or `None` for a row that no longer exists, which is skipped. It is called
    /// in the order of upper bounds, while a row may still belong to the `k` best. It is not called if the index holds
    /// float32.
    /// Errors: `Dimension` (of a vector from `exact` too), `NotUnit`.
    pub fn search<V: AsRef<[f32]>>(
        &self,
        query: &[f32],
        threshold: f32,
        k: usize,
        mut exact: impl FnMut(u64) -> Option<V>,
    ) -> Result<Vec<Neighbour>, Error> {
        let mut best: Vec<Neighbour> = Vec::new();
        if k == 0 {
            squared_norm(query, self.dim)?;
            return Ok(best);
        }
        for candidate in self.candidates(query, threshold)? {
            // A row with an equal bound may still have an equal similarity and a lower id, so the comparison is strict.
            if best.len() == k && candidate.bound < best[k - 1].similarity {
                break;
            }
            let similarity = match candidate.similarity {
                Some(similarity) => similarity,
                None => {
                    let Some(vector) = exact(candidate.id) else { continue };
                    let vector = vector.as_ref();
                    if vector.len() != self.dim {
                        return Err(Error::Dimension { expected: self.dim, found: vector.len() });
                    }
                    similarity(query, vector)
                }
            };
            if similarity >= threshold {
                let row = Neighbour { id: candidate.id, similarity };
                let at = best.partition_point(|other| other.order(&row).is_lt());
                if at < k {
                    best.insert(at, row);
                    best.truncate(k);
                }
            }
        }
        Ok(best)
    }

    /// Returns the row closest to `query` among those for which `keep` is true, at any similarity, ties by lower id.
    /// Returns `None` if there is no such row, or if the index holds codes.
    ///
    /// Errors: `Dimension`, `NotUnit`.
    pub fn nearest(&self, query: &[f32], keep: impl Fn(u64) -> bool) -> Result<Option<Neighbour>, Error> {
        squared_norm(query, self.dim)?;
        let Form::Floats(floats) = &self.form else { return Ok(None) };
        let rows = floats.rows().zip(self.ids.as_slice()).filter(|(_, id)| keep(**id));
        Ok(rows.map(|(row, id)| Neighbour { id: *id, similarity: similarity(query, row) }).min_by(Neighbour::order))
    }
}

/// Brute force over float32 rows: appends those that reach the threshold to `found`.
fn scan_floats(floats: &FloatRows, ids: &[u64], query: &[f32], threshold: f32, found: &mut Vec<Candidate>) {
    for (row, id) in floats.rows().zip(ids) {
        let similarity = similarity(query, row);
        if similarity >= threshold {
            found.push(Candidate { id: *id, bound: similarity, similarity: Some(similarity) });
        }
    }
}

/// A search through levels 1 and 2 of the codes.
struct Scan<'a> {
    index: &'a Index,
    codes: &'a EncodedRows,
    query: Query<'a>,
    level2: Option<Level2Query>,
    threshold: f32,
    found: &'a mut Vec<Candidate>,
}

impl Scan<'_> {
    fn run(mut self) {
        let kernel = self.index.kernel;
        // A similarity is never below -1, even if the bound is.
        let min_score = if self.threshold <= -1.0 { i32::MIN } else { self.query.integer_threshold(self.threshold) };
        // The lines of level 2 of one batch are prefetched while level 1 of the next batch is read.
        let (mut hits, mut earlier) = (Hits::new(), Hits::new());
        for (first, blocks) in self.codes.blocks() {
            let row_bytes = self.query.weights().len();
            for (batch, slot) in blocks.chunks(BATCH_ROWS * row_bytes).zip((first..).step_by(BATCH_ROWS)) {
                hits.clear();
                kernel.scan(batch, self.query.weights(), min_score, slot, &mut hits);
                hits.drop_slots_from(self.codes.len());
                hits.iter().for_each(|(slot, _)| prefetch(self.codes.level2(slot as usize)));
                self.scan_level2(&earlier);
                std::mem::swap(&mut hits, &mut earlier);
            }
        }
        self.scan_level2(&earlier);
        for slot in self.codes.outliers() {
            self.prepare_level2();
            self.push_if_reached(*slot as usize);
        }
    }

    fn prepare_level2(&mut self) {
        if self.level2.is_none() {
            self.level2 = Some(self.query.level2(self.index.kernel));
        }
    }

    /// Tests the rows that passed level 1 by the coarse bound of level 2. Outliers are left to the end of the search.
    fn scan_level2(&mut self, hits: &Hits) {
        if hits.is_empty() {
            return;
        }
        self.prepare_level2();
        let outliers = self.codes.outliers();
        for (slot, score) in hits.iter() {
            if !outliers.is_empty() && outliers.contains(&slot) {
                continue;
            }
            let slot = slot as usize;
            let line = self.codes.level2(slot);
            if let Some(level2) = &self.level2 {
                let bound = self.query.coarse_bound(level2, score, self.codes.residual_code(slot), line);
                if reaches(bound, self.threshold) {
                    self.push_if_reached(slot);
                }
            }
        }
    }

    /// Appends a row to the candidates if its tightest bound reaches the threshold.
    fn push_if_reached(&mut self, slot: usize) {
        let Some(level2) = &self.level2 else { return };
        let bound = self.query.fine_bound(level2, self.codes.level1(slot), self.codes.level2(slot));
        if reaches(bound, self.threshold) {
            let bound = (bound as f32).next_up().clamp(-1.0, 1.0);
            self.found.push(Candidate { id: self.index.ids.as_slice()[slot], bound, similarity: None });
        }
    }
}

/// True if a row with this bound may reach the threshold. Every row reaches -1, because similarities are clamped.
fn reaches(bound: f64, threshold: f32) -> bool {
    bound >= f64::from(threshold) || threshold <= -1.0
}
