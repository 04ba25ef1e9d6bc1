//! Orthonormal directions for one dimension, and how coordinates along them become codes.

mod codec;
mod learn;

pub use codec::BasisId;
pub use learn::MIN_ROWS;

use crate::error::Error;
use crate::kernel::Kernel;
use crate::memory::LINE_BYTES;

/// Dimensions that a basis can have.
pub const DIMS: std::ops::RangeInclusive<usize> = 64..=4096;

/// Bytes of level 2 a row, at most: two cache lines.
pub(crate) const LEVEL2_BYTES_MAX: usize = 2 * LINE_BYTES;

/// Bytes of the two norms at the end of a row's level 2.
pub(crate) const NORMS_BYTES: usize = 4;

/// Coordinates of level 2, at most.
pub(crate) const LEVEL2_MAX: usize = LEVEL2_BYTES_MAX - NORMS_BYTES;

/// The largest code of level 1.
pub(crate) const CODE_MAX: u8 = 127;

/// How far a vector's squared norm may be from one.
const UNIT_TOLERANCE: f64 = 1e-3;

/// The unit in the last place of a float32 in [0.5, 1): the relative error of one rounding.
const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

/// Directions and code books. Immutable; shared by the indexes and segments that were encoded with it.
///
/// The directions are stored as i16 times a scale for each direction, and these stored directions are the basis: how far
/// they are from orthonormal is known (`gram_error`) and part of the bound, as is every other rounding (see the
/// crate's documentation). So a basis of other data costs speed, and never an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Basis {
    pub(crate) id: BasisId,
    pub(crate) dim: usize,
    /// Groups of four codes of a row in level 1; the last code is the residual norm's.
    pub(crate) groups: usize,
    /// Cache lines of a row in level 2: one, or two where that leaves far fewer candidates.
    pub(crate) lines: usize,
    /// Direction `i` is `matrix[i * dim..][..dim]` times `scales[i]`; those of level 1 come first.
    pub(crate) matrix: Vec<i16>,
    pub(crate) scales: Vec<f32>,
    /// Level 1: coordinate `j` of code `c` is `offsets[j] + steps[j] * c`.
    pub(crate) offsets: Vec<f32>,
    pub(crate) steps: Vec<f32>,
    /// Level 1: the usual code of each coordinate, from which `spread` is measured.
    pub(crate) centres: Vec<u8>,
    /// Level 1: the largest distance of a row's codes from the centres, of rows that are not wild.
    pub(crate) spread: f32,
    /// Level 1: the largest distance of a row's coordinates from its codes' coordinates, of rows that are not wild.
    pub(crate) level1_error: f32,
    /// Level 1: the residual norm of code `c` is at most `residual_floor + residual_step * c`.
    pub(crate) residual_floor: f32,
    pub(crate) residual_step: f32,
    /// The mean residual code of the rows it was learned from.
    pub(crate) residual_mean: f32,
    /// Level 2: a coordinate of code `c` is `level2_step * c`.
    pub(crate) level2_step: f32,
    /// An upper bound of the spectral norm of (Gram matrix of the directions − identity).
    pub(crate) gram_error: f32,
}

impl Basis {
    /// The dimension of the vectors.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// What segments name it by: a hash of all of it.
    pub fn id(&self) -> BasisId {
        self.id
    }

    /// Bytes of codes a row takes in level 1, which every query reads.
    pub fn level1_bytes(&self) -> usize {
        4 * self.groups
    }

    /// Bytes of codes a row takes in level 2, which a query reads of the rows that level 1 lets through.
    pub fn level2_bytes(&self) -> usize {
        self.lines * LINE_BYTES
    }

    /// Resident bytes of the basis itself, shared by all that use it.
    pub fn resident_bytes(&self) -> usize {
        size_of::<Self>() + 2 * self.matrix.capacity() + 4 * (self.scales.capacity() + 2 * self.steps.capacity())
    }

    /// Coordinates of level 1.
    pub(crate) fn level1(&self) -> usize {
        4 * self.groups - 1
    }

    /// The coordinates of `vector` along directions `from..from + out.len()`, each with its rounding.
    pub(crate) fn project(&self, kernel: Kernel, vector: &[f32], from: usize, out: &mut [f32]) {
        let rows = &self.matrix[from * self.dim..(from + out.len()) * self.dim];
        kernel.project(rows, vector, out);
        out.iter_mut().zip(&self.scales[from..]).for_each(|(out, scale)| *out *= scale);
    }

    /// An upper bound φ of the distance between computed and true coordinates of a vector of length at most 1.0005.
    ///
    /// A sum of depth n is within n roundings of its terms' absolute sum (Higham, Accuracy and Stability of Numerical
    /// Algorithms, section 4.2), which is at most |direction| |vector|; 8 more for the i16 product and the scale.
    pub(crate) fn projection_error(&self) -> f64 {
        let depth = self.dim as f64 / 16.0 + 8.0;
        1.01 * depth * ROUNDING * (self.scales.len() as f64).sqrt() * (1.0 + f64::from(self.gram_error))
    }

    /// What to add to 1 − |coordinates|² so that its root is an upper bound of the rest's norm; see the crate's documentation.
    pub(crate) fn rest_slack(&self) -> f64 {
        1.1 * f64::from(self.gram_error) + 2.2 * self.projection_error() + 1e-9
    }

    /// What the bound adds for the basis and for float32 arithmetic; see the crate's documentation.
    pub(crate) fn slack(&self) -> f64 {
        let dot = 1.01 * (self.dim as f64 + 2.0) * ROUNDING;
        1.1 * f64::from(self.gram_error) + 2.2 * self.projection_error() + dot + 1e-7
    }
}

/// The squared norm of a unit vector.
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
