//! Encoding one row under a basis.

use crate::basis::{Basis, MAX_CODE, MAX_DIRECTIONS, MAX_LEVEL2_BYTES, NORMS_BYTES, squared_norm};
use crate::error::Error;
use crate::kernel::{GROUPS, Kernel};

/// The two norms of level 2 are integers in this unit, rounded up.
pub(crate) const NORM_UNIT: f64 = 1.0 / 32_768.0;

/// The code of a norm that is too large for its 16 bits. A row with it has no bound in level 2.
pub(crate) const NORM_UNKNOWN: u16 = u16::MAX;

/// A row as codes of both levels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EncodedRow {
    /// The first `4 * groups` codes are used.
    pub(crate) level1: [u8; 4 * *GROUPS.end()],
    /// The first [`Basis::level2_bytes`] bytes are used: the coordinates as i8, then two u16 in units of [`NORM_UNIT`].
    /// The first is the norm of the remainder. The second is the distance of all coordinates from the values that
    /// their codes represent.
    pub(crate) level2: [u8; MAX_LEVEL2_BYTES],
    /// The bound of level 1 does not hold for this row, so every query reads its level 2.
    pub(crate) is_outlier: bool,
}

/// The level 2 of a row, parsed.
pub(crate) struct Level2Row<'a> {
    pub(crate) codes: &'a [u8],
    /// The norm of the remainder; `None` if it did not fit.
    pub(crate) remainder: Option<f64>,
    /// The distance of the coordinates from the values that the codes represent; `None` if it did not fit.
    pub(crate) error: Option<f64>,
}

impl<'a> Level2Row<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Self {
        let (codes, norms) = bytes.split_at(bytes.len() - NORMS_BYTES);
        let norm = |at: usize| {
            let units = u16::from_le_bytes([norms[at], norms[at + 1]]);
            (units != NORM_UNKNOWN).then_some(f64::from(units) * NORM_UNIT)
        };
        Self { codes, remainder: norm(0), error: norm(2) }
    }
}

fn norm_units(norm: f64) -> u16 {
    // The conversion of a float saturates, so a norm that is too large becomes `NORM_UNKNOWN`.
    (norm / NORM_UNIT).ceil() as u16
}

impl Basis {
    /// Encodes a row of unit norm.
    ///
    /// Errors: `Dimension`, `NotUnit`.
    pub(crate) fn encode(&self, kernel: Kernel, row: &[f32]) -> Result<EncodedRow, Error> {
        let squared_norm = squared_norm(row, self.dim)?;
        let mut coordinates = [0f32; MAX_DIRECTIONS];
        let coordinates = &mut coordinates[..self.scales.len()];
        self.project(kernel, row, 0, coordinates);
        Ok(self.encode_coordinates(coordinates, squared_norm))
    }

    /// Encodes a row by its computed coordinates.
    pub(crate) fn encode_coordinates(&self, coordinates: &[f32], squared_norm: f64) -> EncodedRow {
        let (first, second) = coordinates.split_at(self.level1());
        let mut codes = EncodedRow { level1: [0; 4 * *GROUPS.end()], level2: [0; MAX_LEVEL2_BYTES], is_outlier: false };
        let (mut error, mut spread) = (0.0, 0.0);
        for (j, y) in first.iter().enumerate() {
            let code = ((y - self.offsets[j]) / self.steps[j]).round() as u8;
            let code = code.min(MAX_CODE);
            codes.level1[j] = code;
            error += (f64::from(*y) - self.coordinate(j, code)).powi(2);
            spread += f64::from(i16::from(code) - i16::from(self.centres[j])).powi(2);
        }
        let squared = |coordinates: &[f32]| coordinates.iter().map(|y| f64::from(*y).powi(2)).sum::<f64>();
        let after_level1 = squared_norm - squared(first) + self.remainder_slack();
        let residual = (after_level1.max(0.0).sqrt() - f64::from(self.residual_floor)) / f64::from(self.residual_step);
        let residual = residual.ceil().max(0.0);
        codes.level1[self.level1()] = residual.min(f64::from(MAX_CODE)) as u8;
        codes.is_outlier = residual > f64::from(MAX_CODE)
            || error.sqrt() > f64::from(self.level1_error)
            || spread.sqrt() > f64::from(self.spread);
        for (to, y) in codes.level2.iter_mut().zip(second) {
            let code = (y / self.level2_step).round().clamp(-127.0, 127.0) as i8;
            *to = code as u8;
            error += (f64::from(*y) - f64::from(self.level2_step) * f64::from(code)).powi(2);
        }
        let remainder = (after_level1 - squared(second)).max(0.0).sqrt();
        let norms = self.level2_bytes() - NORMS_BYTES;
        codes.level2[norms..][..2].copy_from_slice(&norm_units(remainder).to_le_bytes());
        codes.level2[norms + 2..][..2].copy_from_slice(&norm_units(error.sqrt()).to_le_bytes());
        codes
    }
}
