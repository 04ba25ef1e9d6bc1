//! A basis: directions, code books, and bounds of the errors that its own rounding adds.

use super::id::BasisId;
use crate::error::Error;
use crate::kernel::{GROUPS, Kernel};
use crate::memory::LINE_BYTES;

/// Dimensions that a basis can have.
pub const DIMS: std::ops::RangeInclusive<usize> = 64..=4096;

/// Bytes of level 2 per row, at most: two cache lines.
pub(crate) const MAX_LEVEL2_BYTES: usize = 2 * LINE_BYTES;

/// Bytes of the two norms at the end of a row's level 2.
pub(crate) const NORMS_BYTES: usize = 4;

/// Coordinates of level 2 per row, at most.
pub(crate) const MAX_LEVEL2_COORDINATES: usize = MAX_LEVEL2_BYTES - NORMS_BYTES;

/// Directions of a basis, at most.
pub(crate) const MAX_DIRECTIONS: usize = 4 * *GROUPS.end() - 1 + MAX_LEVEL2_COORDINATES;

/// The largest code of level 1.
pub(crate) const MAX_CODE: u8 = 127;

/// How far a vector's squared norm may be from one.
const UNIT_TOLERANCE: f64 = 1e-3;

/// The unit in the last place of a float32 in [0.5, 1): the relative error of one rounding.
const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

/// Directions and code books. A basis is immutable; the indexes and segments that were encoded with it share it.
///
/// The directions are stored as i16 times a scale for each direction. These stored directions are the basis. Their
/// deviation from orthonormal is known (`gram_error`) and is part of the bound, as is every other rounding (see the
/// crate's documentation). A basis that was trained on other data makes the search slower, but never wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Basis {
    pub(crate) id: BasisId,
    pub(crate) dim: usize,
    /// Groups of four codes per row in level 1. The last code of the last group is that of the residual norm.
    pub(crate) groups: usize,
    /// Cache lines per row in level 2: one, or two if that leaves far fewer candidates.
    pub(crate) lines: usize,
    /// Direction `i` is `matrix[i * dim..][..dim]` times `scales[i]`. The directions of level 1 come first.
    pub(crate) matrix: Vec<i16>,
    pub(crate) scales: Vec<f32>,
    /// Level 1: code `c` of coordinate `j` represents `offsets[j] + steps[j] * c`.
    pub(crate) offsets: Vec<f32>,
    pub(crate) steps: Vec<f32>,
    /// Level 1: the mean code of each coordinate in the sample, from which `spread` is measured.
    pub(crate) centres: Vec<u8>,
    /// Level 1: the largest distance of a row's codes from the centres; a row with a larger one is an outlier.
    pub(crate) spread: f32,
    /// Level 1: the largest distance of a row's coordinates from the values that its codes represent; a row with a
    /// larger one is an outlier.
    pub(crate) level1_error: f32,
    /// Level 1: residual code `c` represents a residual norm of at most `residual_floor + residual_step * c`.
    pub(crate) residual_floor: f32,
    pub(crate) residual_step: f32,
    /// The mean residual code of the sample.
    pub(crate) residual_mean: f32,
    /// Level 2: code `c` represents the coordinate `level2_step * c`.
    pub(crate) level2_step: f32,
    /// An upper bound of the spectral norm of (Gram matrix of the directions − identity).
    pub(crate) gram_error: f32,
}

impl Basis {
    /// The dimension of the vectors.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The hash of the whole basis. Segments name their basis by it.
    pub fn id(&self) -> BasisId {
        self.id
    }

    /// Bytes of a row's codes in level 1, which every query reads.
    pub fn level1_bytes(&self) -> usize {
        4 * self.groups
    }

    /// Bytes of a row's codes in level 2, which a query reads only of rows that pass level 1.
    pub fn level2_bytes(&self) -> usize {
        self.lines * LINE_BYTES
    }

    /// Resident bytes of the basis itself, which all its indexes share.
    pub fn resident_bytes(&self) -> usize {
        size_of::<Self>() + 2 * self.matrix.capacity() + 4 * (self.scales.capacity() + 2 * self.steps.capacity())
    }

    /// The number of coordinates in level 1.
    pub(crate) fn level1(&self) -> usize {
        4 * self.groups - 1
    }

    /// Coordinate `j` of level 1 that `code` represents.
    pub(crate) fn coordinate(&self, j: usize, code: u8) -> f64 {
        f64::from(self.offsets[j]) + f64::from(self.steps[j]) * f64::from(code)
    }

    /// Computes the coordinates of `vector` along directions `from..from + out.len()`, each with its rounding.
    pub(crate) fn project(&self, kernel: Kernel, vector: &[f32], from: usize, out: &mut [f32]) {
        let rows = &self.matrix[from * self.dim..(from + out.len()) * self.dim];
        kernel.project(rows, vector, out);
        out.iter_mut().zip(&self.scales[from..]).for_each(|(out, scale)| *out *= scale);
    }

    /// An upper bound φ of the distance between computed and true coordinates of a vector of length at most 1.0005.
    ///
    /// A sum of depth n is within n roundings of the sum of its terms' absolute values (Higham, Accuracy and Stability
    /// of Numerical Algorithms, section 4.2), and that sum is at most |direction| |vector|. The depth has 8 more
    /// roundings, for the product with an i16 and for the scale.
    pub(crate) fn projection_error(&self) -> f64 {
        let depth = self.dim as f64 / 16.0 + 8.0;
        1.01 * depth * ROUNDING * (self.scales.len() as f64).sqrt() * (1.0 + f64::from(self.gram_error))
    }

    /// What to add to |vector|² − |coordinates|² so that its root is an upper bound of the remainder's norm. The
    /// crate's documentation derives it.
    pub(crate) fn remainder_slack(&self) -> f64 {
        1.1 * f64::from(self.gram_error) + 2.2 * self.projection_error() + 1e-9
    }

    /// What the bound adds for the basis and for float32 arithmetic. The crate's documentation derives it.
    pub(crate) fn slack(&self) -> f64 {
        let dot = 1.01 * (self.dim as f64 + 2.0) * ROUNDING;
        1.1 * f64::from(self.gram_error) + 2.2 * self.projection_error() + dot + 1e-7
    }
}

/// The squared norm of a unit vector, in float64.
///
/// Errors: `Dimension`, `NotUnit`.
pub(crate) fn squared_norm(vector: &[f32], dim: usize) -> Result<f64, Error> {
    if vector.len() != dim {
        return Err(Error::Dimension { expected: dim, found: vector.len() });
    }
    let mut sums = [0f64; 16];
    let (lines, rest) = vector.as_chunks::<16>();
    for line in lines {
        sums.iter_mut().zip(line).for_each(|(sum, x)| *sum += f64::from(*x) * f64::from(*x));
    }
    let squared_norm = sums.iter().sum::<f64>() + rest.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    if (squared_norm - 1.0).abs() <= UNIT_TOLERANCE { Ok(squared_norm) } else { Err(Error::NotUnit { squared_norm }) }
}
