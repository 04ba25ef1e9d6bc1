//! Test data of several distributions, and the brute-force search with which answers are compared.

#![allow(dead_code)] // Each test file uses only a part.

use std::collections::BTreeMap;

use mneme_search::{Index, Neighbour, similarity};

pub(crate) type Rows = BTreeMap<u64, Vec<f32>>;

/// The distribution of the vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// Uniform over all directions.
    Sphere,
    /// Standard deviations that decrease by a power law, as those of embeddings do.
    PowerLaw,
    /// A power law plus a common component. The mean cosine is 0.68.
    Cone,
    /// A few centres, with rows very close to each.
    Clusters,
    /// At most four coordinates that are not zero.
    Sparse,
    /// Only eight different vectors.
    Duplicates,
}

pub(crate) const SHAPES: [Shape; 6] =
    [Shape::Sphere, Shape::PowerLaw, Shape::Cone, Shape::Clusters, Shape::Sparse, Shape::Duplicates];

/// A random source of vectors of one distribution.
pub(crate) struct Source {
    pub(crate) rng: fastrand::Rng,
    pub(crate) dim: usize,
    pub(crate) shape: Shape,
    centres: Vec<Vec<f32>>,
}

pub(crate) fn unit(mut row: Vec<f32>) -> Vec<f32> {
    let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    row
}

impl Source {
    pub(crate) fn new(shape: Shape, dim: usize, seed: u64) -> Self {
        let mut source = Self { rng: fastrand::Rng::with_seed(seed), dim, shape, centres: Vec::new() };
        let centres: Vec<Vec<f32>> = (0..8).map(|_| source.power_law()).collect();
        source.centres = centres;
        source
    }

    fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.rng.f32()).sum::<f32>() - 3.0
    }

    fn power_law(&mut self) -> Vec<f32> {
        let dim = self.dim;
        let mut row = vec![0.0; dim];
        for j in 0..dim {
            row[j * 7919 % dim] += self.normal() / (1.0 + j as f32).powf(0.7);
        }
        unit(row)
    }

    /// A random vector.
    pub(crate) fn row(&mut self) -> Vec<f32> {
        let dim = self.dim;
        match self.shape {
            Shape::Sphere => unit((0..dim).map(|_| self.normal()).collect()),
            Shape::PowerLaw => self.power_law(),
            Shape::Cone => {
                let common = (dim as f32).sqrt().recip() * (0.68f32 / 0.32).sqrt();
                unit(self.power_law().into_iter().map(|x| x + common).collect())
            }
            Shape::Clusters => {
                let at = self.rng.usize(..8);
                let (spread, centre) = ([0.002, 0.02, 0.2][at % 3], self.centres[at].clone());
                let noise = unit((0..dim).map(|_| self.normal()).collect());
                unit(centre.iter().zip(noise).map(|(x, y)| x + spread * y).collect())
            }
            Shape::Sparse => {
                let mut row = vec![0.0; dim];
                for _ in 0..4 {
                    row[self.rng.usize(..dim)] = self.normal() + 0.01;
                }
                unit(row)
            }
            Shape::Duplicates => self.centres[self.rng.usize(..8)].clone(),
        }
    }

    /// A random vector, one of the rows, or a vector close to one of them.
    pub(crate) fn query(&mut self, rows: &Rows) -> Vec<f32> {
        let known = rows.values().nth(self.rng.usize(..rows.len().max(1))).cloned();
        match (self.rng.u8(..4), known) {
            (0, Some(row)) => row,
            (1 | 2, Some(row)) => {
                let spread = self.rng.f32();
                let noise = unit((0..self.dim).map(|_| self.normal()).collect());
                unit(row.iter().zip(noise).map(|(x, y)| x + spread * y).collect())
            }
            _ => self.row(),
        }
    }

    /// A random threshold: any, a usual one, an end of the range, zero, or the similarity of a row.
    pub(crate) fn threshold(&mut self, rows: &Rows, query: &[f32]) -> f32 {
        match self.rng.u8(..8) {
            0 => self.rng.f32() * 2.0 - 1.0,
            1 => [-1.0, 1.0, 0.0][self.rng.usize(..3)],
            2..5 => 0.8 + 0.2 * self.rng.f32(),
            _ => match rows.values().nth(self.rng.usize(..rows.len().max(1))) {
                Some(row) => similarity(query, row),
                None => 0.85,
            },
        }
    }
}

/// The plain loop over all rows.
pub(crate) fn brute_force(rows: &Rows, query: &[f32], threshold: f32, k: usize) -> Vec<Neighbour> {
    let mut all: Vec<Neighbour> = rows
        .iter()
        .map(|(id, row)| Neighbour { id: *id, similarity: similarity(query, row) })
        .filter(|row| row.similarity >= threshold)
        .collect();
    all.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.id.cmp(&b.id)));
    all.truncate(k);
    all
}

/// Searches once, and compares candidates and answer with the plain loop. `Err` says what differs.
pub(crate) fn check(index: &Index, rows: &Rows, query: &[f32], threshold: f32, k: usize) -> Result<(), String> {
    let differs = |what: String| Err(format!("{what} (threshold {threshold}, k {k}, {} rows)", rows.len()));
    let expected = brute_force(rows, query, threshold, k);
    let found = index.search(query, threshold, k, |id| rows.get(&id)).map_err(|error| error.to_string())?;
    if found != expected {
        return differs(format!("found {found:?} for {expected:?}"));
    }
    let candidates: Vec<_> = index.candidates(query, threshold).map_err(|error| error.to_string())?.collect();
    if !candidates.is_sorted_by(|a, b| a.bound > b.bound || (a.bound == b.bound && a.id < b.id)) {
        return differs("candidates out of order".to_owned());
    }
    for candidate in &candidates {
        let Some(row) = rows.get(&candidate.id) else { return differs(format!("{candidate:?} is no row")) };
        let true_similarity = similarity(query, row);
        if candidate.bound < true_similarity || candidate.bound < threshold {
            return differs(format!("{candidate:?} of similarity {true_similarity}"));
        }
        if candidate.similarity.is_some_and(|similarity| similarity != true_similarity) {
            return differs(format!("{candidate:?} of similarity {true_similarity}"));
        }
    }
    let all = brute_force(rows, query, threshold, usize::MAX);
    let mut ids: Vec<u64> = candidates.iter().map(|candidate| candidate.id).collect();
    ids.sort_unstable();
    match all.iter().find(|row| ids.binary_search(&row.id).is_err()) {
        Some(row) => differs(format!("{row:?} is no candidate")),
        None => Ok(()),
    }
}
