//! Searching an index.

use std::cmp::Ordering;

use crate::basis::squared_norm;
use crate::candidates::{Candidate, Candidates};
use crate::codes::Codes;
use crate::error::Error;
use crate::floats::{Floats, similarity};
use crate::index::{Form, Index};
use crate::kernel::{BATCH_ROWS, Hits};
use crate::memory::prefetch;
use crate::query::{Level2Query, Query};

/// A row found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// The row.
    pub id: u64,
    /// Its similarity to the query, larger being closer, in [-1, 1].
    pub similarity: f32,
}

impl Match {
    /// Closest first, ties by lower id.
    fn order(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.id.cmp(&other.id))
    }
}

impl Index {
    /// Every row whose [`similarity`] to `query` may reach `threshold`, highest upper bound first, ties by lower id.
    /// No row that reaches it is left out, but for rows whose similarity is NaN, of which there are none.
    ///
    /// `query`: unit norm, `[dim]`. `threshold`: in [-1, 1]. Errors: `Dimension`, `NotUnit`.
    pub fn candidates(&self, query: &[f32], threshold: f32) -> Result<Candidates, Error> {
        let mut found = Vec::new();
        match &self.form {
            Form::Floats(floats) => {
                squared_norm(query, self.dim)?;
                reaching(floats, self.ids.as_slice(), query, threshold, &mut found);
            }
            Form::Codes(basis, codes) => {
                let query = Query::new(basis, self.kernel, query)?;
                Scan { index: self, codes, query, level2: None, threshold, found: &mut found }.run();
            }
        }
        Ok(Candidates::new(found))
    }

    /// The `k` rows closest to `query` among those that reach `threshold`, closest first, ties by lower id: what a loop of
    /// [`similarity`] over all rows gives.
    ///
    /// `exact`: the row's vector, asked for in order of upper bounds while a row may still belong to the `k` best; `None` for
    /// a row that is gone, which is passed over. Not called where float32 is held.
    /// Errors: `Dimension` (of a vector from `exact` too), `NotUnit`.
    pub fn search<V: AsRef<[f32]>>(
        &self,
        query: &[f32],
        threshold: f32,
        k: usize,
        mut exact: impl FnMut(u64) -> Option<V>,
    ) -> Result<Vec<Match>, Error> {
        let mut best: Vec<Match> = Vec::new();
        if k == 0 {
            squared_norm(query, self.dim)?;
            return Ok(best);
        }
        for candidate in self.candidates(query, threshold)? {
            // A row of an equal similarity and a lower id may stand behind an equal bound.
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
                let row = Match { id: candidate.id, similarity };
                let at = best.partition_point(|other| other.order(&row).is_lt());
                if at < k {
                    best.insert(at, row);
                    best.truncate(k);
                }
            }
        }
        Ok(best)
    }

    /// Of the rows that `keep` wants, the one closest to `query`, whatever its similarity, ties by lower id; none where codes
    /// are held, or no such row.
    ///
    /// Errors: `Dimension`, `NotUnit`.
    pub fn nearest(&self, query: &[f32], keep: impl Fn(u64) -> bool) -> Result<Option<Match>, Error> {
        squared_norm(query, self.dim)?;
        let Form::Floats(floats) = &self.form else { return Ok(None) };
        let rows = floats.rows().zip(self.ids.as_slice()).filter(|(_, id)| keep(**id));
        Ok(rows.map(|(row, id)| Match { id: *id, similarity: similarity(query, row) }).min_by(Match::order))
    }
}

/// Brute force.
fn reaching(floats: &Floats, ids: &[u64], query: &[f32], threshold: f32, found: &mut Vec<Candidate>) {
    for (row, id) in floats.rows().zip(ids) {
        let similarity = similarity(query, row);
        if similarity >= threshold {
            found.push(Candidate { id: *id, bound: similarity, similarity: Some(similarity) });
        }
    }
}

/// Levels 1 and 2 over the code form.
struct Scan<'a> {
    index: &'a Index,
    codes: &'a Codes,
    query: Query<'a>,
    level2: Option<Level2Query>,
    threshold: f32,
    found: &'a mut Vec<Candidate>,
}

impl Scan<'_> {
    fn run(mut self) {
        let kernel = self.index.kernel;
        // A similarity is never below -1, whatever the bound says.
        let least = if self.threshold <= -1.0 { i32::MIN } else { self.query.integer_threshold(self.threshold) };
        // Level 2 of one batch is fetched while level 1 of the next is read.
        let (mut hits, mut earlier) = (Hits::new(), Hits::new());
        for (first, blocks) in self.codes.blocks() {
            let row_bytes = self.query.weights().len();
            for (batch, slot) in blocks.chunks(BATCH_ROWS * row_bytes).zip((first..).step_by(BATCH_ROWS)) {
                hits.clear();
                kernel.scan(batch, self.query.weights(), least, slot, &mut hits);
                hits.cut(self.codes.len());
                hits.iter().for_each(|(slot, _)| prefetch(self.codes.level2(slot as usize)));
                self.look_closer(&earlier);
                std::mem::swap(&mut hits, &mut earlier);
            }
        }
        self.look_closer(&earlier);
        for slot in self.codes.wild() {
            self.level2();
            self.finish(*slot as usize);
        }
    }

    fn level2(&mut self) {
        if self.level2.is_none() {
            self.level2 = Some(self.query.level2(self.index.kernel));
        }
    }

    fn look_closer(&mut self, hits: &Hits) {
        if hits.is_empty() {
            return;
        }
        self.level2();
        let wild = self.codes.wild();
        for (slot, score) in hits.iter() {
            if !wild.is_empty() && wild.contains(&slot) {
                continue;
            }
            let slot = slot as usize;
            let line = self.codes.level2(slot);
            if let Some(level2) = &self.level2 {
                let bound = self.query.coarse_bound(level2, score, self.codes.residual_code(slot), line);
                if reaches(bound, self.threshold) {
                    self.finish(slot);
                }
            }
        }
    }

    fn finish(&mut self, slot: usize) {
        let Some(level2) = &self.level2 else { return };
        let bound = self.query.fine_bound(level2, self.codes.level1(slot), self.codes.level2(slot));
        if reaches(bound, self.threshold) {
            let bound = (bound as f32).next_up().clamp(-1.0, 1.0);
            self.found.push(Candidate { id: self.index.ids.as_slice()[slot], bound, similarity: None });
        }
    }
}

/// Whether a row with this bound may reach the threshold; similarities being cut to [-1, 1], every row reaches -1.
fn reaches(bound: f64, threshold: f32) -> bool {
    bound >= f64::from(threshold) || threshold <= -1.0
}
