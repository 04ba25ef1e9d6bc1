//! One row's codes under a basis.

use crate::basis::{Basis, CODE_MAX, LEVEL2_BYTES_MAX, LEVEL2_MAX, NORMS_BYTES, squared_norm};
use crate::error::Error;
use crate::kernel::{GROUPS, Kernel};

/// Directions of any basis, at most.
pub(crate) const DIRECTIONS_MAX: usize = 4 * *GROUPS.end() - 1 + LEVEL2_MAX;

/// Level 2's two norms are counted in units of 2⁻¹⁵, rounded up.
pub(crate) const NORM_UNIT: f64 = 1.0 / 32_768.0;

/// The norm that says nothing: it did not fit.
pub(crate) const NORM_UNKNOWN: u16 = u16::MAX;

/// A row as codes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowCodes {
    /// `4 * groups` of them count.
    pub(crate) level1: [u8; 4 * *GROUPS.end()],
    /// [`Basis::level2_bytes`] of them count: coordinates as i8; the norm of what remains; the distance of all
    /// coordinates from their codes.
    pub(crate) level2: [u8; LEVEL2_BYTES_MAX],
    /// Level 1's bound does not hold for this row: level 2 always looks at it.
    pub(crate) is_wild: bool,
}

/// A row of level 2, read.
pub(crate) struct Level2<'a> {
    pub(crate) codes: &'a [u8],
    pub(crate) rest: Option<f64>,
    pub(crate) error: Option<f64>,
}

impl<'a> Level2<'a> {
    pub(crate) fn of(line: &'a [u8]) -> Self {
        let (codes, norms) = line.split_at(line.len() - NORMS_BYTES);
        let norm = |at: usize| {
            let units = u16::from_le_bytes([norms[at], norms[at + 1]]);
            (units != NORM_UNKNOWN).then_some(f64::from(units) * NORM_UNIT)
        };
        Self { codes, rest: norm(0), error: norm(2) }
    }
}

fn norm_units(norm: f64) -> u16 {
    // A float's conversion saturates, and so gives `NORM_UNKNOWN`.
    (norm / NORM_UNIT).ceil() as u16
}

impl Basis {
    /// The codes of a row of unit norm.
    ///
    /// Errors: `Dimension`, `NotUnit`.
    pub(crate) fn encode(&self, kernel: Kernel, row: &[f32]) -> Result<RowCodes, Error> {
        let squared_norm = squared_norm(row, self.dim)?;
        let mut coordinates = [0f32; DIRECTIONS_MAX];
        let coordinates = &mut coordinates[..self.scales.len()];
        self.project(kernel, row, 0, coordinates);
        Ok(self.encode_coordinates(coordinates, squared_norm))
    }

    /// The codes of a row with these computed coordinates.
    pub(crate) fn encode_coordinates(&self, coordinates: &[f32], squared_norm: f64) -> RowCodes {
        let (first, second) = coordinates.split_at(self.level1());
        let mut codes = RowCodes { level1: [0; 4 * *GROUPS.end()], level2: [0; LEVEL2_BYTES_MAX], is_wild: false };
        let (mut error, mut spread) = (0.0, 0.0);
        for (j, y) in first.iter().enumerate() {
            let code = ((y - self.offsets[j]) / self.steps[j]).round() as u8;
            let code = code.min(CODE_MAX);
            codes.level1[j] = code;
            error += (f64::from(*y) - self.coordinate(j, code)).powi(2);
            spread += f64::from(i16::from(code) - i16::from(self.centres[j])).powi(2);
        }
        let squared = |coordinates: &[f32]| coordinates.iter().map(|y| f64::from(*y).powi(2)).sum::<f64>();
        let after_level1 = squared_norm - squared(first) + self.rest_slack();
        let residual = (after_level1.max(0.0).sqrt() - f64::from(self.residual_floor)) / f64::from(self.residual_step);
        let residual = residual.ceil().max(0.0);
        codes.level1[self.level1()] = residual.min(f64::from(CODE_MAX)) as u8;
        codes.is_wild = residual > f64::from(CODE_MAX)
            || error.sqrt() > f64::from(self.level1_error)
            || spread.sqrt() > f64::from(self.spread);
        for (to, y) in codes.level2.iter_mut().zip(second) {
            let code = (y / self.level2_step).round().clamp(-127.0, 127.0) as i8;
            *to = code as u8;
            error += (f64::from(*y) - f64::from(self.level2_step) * f64::from(code)).powi(2);
        }
        let rest = (after_level1 - squared(second)).max(0.0).sqrt();
        let norms = self.level2_bytes() - NORMS_BYTES;
        codes.level2[norms..][..2].copy_from_slice(&norm_units(rest).to_le_bytes());
        codes.level2[norms + 2..][..2].copy_from_slice(&norm_units(error.sqrt()).to_le_bytes());
        codes
    }

    /// Coordinate `j` of level 1 that `code` stands for.
    pub(crate) fn coordinate(&self, j: usize, code: u8) -> f64 {
        f64::from(self.offsets[j]) + f64::from(self.steps[j]) * f64::from(code)
    }
}
