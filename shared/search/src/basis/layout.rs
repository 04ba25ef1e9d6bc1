//! How many bytes of codes a row gets.

use super::definition::NORMS_BYTES;
use crate::kernel::GROUPS;
use crate::memory::LINE_BYTES;

/// Measured cost of one byte of level 1 that a query streams.
const STREAM_NS_PER_BYTE: f64 = 0.1;
/// Measured cost of one cache line of level 2 that a query fetches.
const LINE_NS: f64 = 30.0;
/// Estimated cost of one candidate row that a query reads.
const ROW_NS: f64 = 1000.0;
/// The time per row that a second cache line of level 2 must save, because it takes memory.
const SECOND_LINE_NS: f64 = 0.2;

/// Bytes of a row's codes, at most. With its id and its slot a row then takes at most 200 bytes.
const MAX_CODE_BYTES: usize = 176;

/// The layout is chosen for this threshold, which is the default of the product.
const USUAL_THRESHOLD: f64 = 0.85;
/// An allowance for the roundings in the bound, by which the threshold is lowered.
const USUAL_SLACK: f64 = 0.02;

/// The layout is chosen by this many queries of the sample, each against [`PAIR_ROWS`] rows of it.
const PAIR_QUERIES: usize = 128;
const PAIR_ROWS: usize = 1024;

/// The sizes of a row's codes: groups of four codes in level 1, cache lines in level 2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Layout {
    pub(super) groups: usize,
    pub(super) lines: usize,
}

impl Layout {
    /// The number of coordinates in level 1.
    pub(super) fn level1(self) -> usize {
        4 * self.groups - 1
    }

    /// The number of coordinates in both levels.
    pub(super) fn directions(self, dim: usize) -> usize {
        (self.level1() + self.lines * LINE_BYTES - NORMS_BYTES).min(dim)
    }

    fn bytes(self) -> usize {
        4 * self.groups + self.lines * LINE_BYTES
    }

    /// The layout with the least estimated time per row. More coordinates take more bytes to read, and rule out more
    /// rows.
    ///
    /// The shares of rows that pass are measured on pairs of the sample. `coordinates`: `[norms.len(), directions]`.
    /// `norms`: squared.
    pub(super) fn cheapest(coordinates: &[f32], norms: &[f64], dim: usize) -> Self {
        let reaching = share_reaching(coordinates, norms);
        let share = |directions: usize| reaching[directions.min(reaching.len()) - 1];
        let cost = |layout: &Self| {
            let (groups, lines) = (layout.groups as f64, layout.lines as f64);
            4.0 * groups * STREAM_NS_PER_BYTE
                + share(layout.level1()) * LINE_NS * lines.sqrt()
                + share(layout.directions(dim)) * ROW_NS
                + (lines - 1.0) * SECOND_LINE_NS
        };
        GROUPS
            .flat_map(|groups| (1..=2).map(move |lines| Self { groups, lines }))
            .filter(|layout| layout.level1() < dim && layout.bytes() <= MAX_CODE_BYTES)
            .min_by(|a, b| cost(a).total_cmp(&cost(b)))
            .unwrap_or(Self { groups: *GROUPS.start(), lines: 1 })
    }
}

/// Element `j` is the share of pairs of rows whose bound by the first `j + 1` directions reaches the usual threshold.
fn share_reaching(coordinates: &[f32], norms: &[f64]) -> Vec<f64> {
    let rows = norms.len();
    let directions = coordinates.len() / rows;
    let row = |at: usize| &coordinates[at * directions..][..directions];
    let remainders: Vec<f32> = (0..rows)
        .flat_map(|at| {
            let mut left = norms[at];
            let after = row(at).iter().map(move |y| {
                left -= f64::from(*y).powi(2);
                left.max(0.0).sqrt() as f32
            });
            after.collect::<Vec<_>>()
        })
        .collect();
    let limit = (USUAL_THRESHOLD - USUAL_SLACK) as f32;
    let mut reached = vec![0u32; directions];
    let mut pairs = 0u32;
    for query in (0..PAIR_QUERIES.min(rows)).map(|at| at * rows / PAIR_QUERIES.min(rows)) {
        for other in (0..PAIR_ROWS.min(rows)).map(|at| at * rows / PAIR_ROWS.min(rows)).filter(|at| *at != query) {
            pairs += 1;
            let mut product = 0f32;
            let (query_remainders, other_remainders) =
                (&remainders[query * directions..], &remainders[other * directions..]);
            for (j, (p, y)) in row(query).iter().zip(row(other)).enumerate() {
                product += p * y;
                reached[j] += u32::from(product + query_remainders[j] * other_remainders[j] >= limit);
            }
        }
    }
    reached.into_iter().map(|reached| f64::from(reached) / f64::from(pairs)).collect()
}
