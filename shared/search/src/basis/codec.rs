//! A basis as bytes, as it is stored in the table.

use super::definition::{Basis, DIMS, NORMS_BYTES};
use super::id::{BasisId, ID_BYTES};
use crate::error::Error;
use crate::kernel::GROUPS;
use crate::memory::LINE_BYTES;

const MAGIC: &[u8; 4] = b"MNBS";
const VERSION: u8 = 1;
/// Magic, version, groups, lines, dimension, directions.
const HEADER_BYTES: usize = 4 + 1 + 1 + 1 + 2 + 2;
/// Spread, level-1 error, residual floor, step and mean, level-2 step, Gram error.
const SCALARS: usize = 7;

impl Basis {
    /// The basis as bytes.
    ///
    /// A basis has 67 to 171 directions, and each of their coordinates takes 2 bytes. That is 100 to 260 KB at
    /// 768 dimensions and up to 1.4 MB at 4096. A caller that stores the bytes in parts joins them before reading.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.body();
        bytes.extend_from_slice(&self.id.0);
        bytes
    }

    /// Sets the id from all other fields, which must be final.
    pub(crate) fn seal(mut self) -> Self {
        self.id = BasisId::of(&self.body());
        self
    }

    fn body(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 2 * self.matrix.len() + 16 * self.scales.len() + 64);
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        bytes.push(self.groups as u8);
        bytes.push(self.lines as u8);
        bytes.extend_from_slice(&(self.dim as u16).to_le_bytes());
        bytes.extend_from_slice(&(self.scales.len() as u16).to_le_bytes());
        let scalars = [
            self.spread,
            self.level1_error,
            self.residual_floor,
            self.residual_step,
            self.residual_mean,
            self.level2_step,
            self.gram_error,
        ];
        let floats = scalars.iter().chain(&self.scales).chain(&self.offsets).chain(&self.steps);
        bytes.extend(floats.flat_map(|float| float.to_le_bytes()));
        bytes.extend_from_slice(&self.centres);
        bytes.extend(self.matrix.iter().flat_map(|weight| weight.to_le_bytes()));
        bytes
    }

    /// Reads the bytes that [`Self::to_bytes`] wrote.
    ///
    /// Errors: `Corrupt`, for bytes that are truncated, changed, of another version, or not a basis.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let corrupt = |fact| Error::Corrupt { what: "basis", fact };
        if bytes.len() < HEADER_BYTES + ID_BYTES || &bytes[..4] != MAGIC {
            return Err(corrupt("the magic number is missing"));
        }
        if bytes[4] != VERSION {
            return Err(corrupt("its version is not supported"));
        }
        let (body, id) = bytes.split_at(bytes.len() - ID_BYTES);
        if BasisId::of(body).0 != id {
            return Err(corrupt("its hash differs"));
        }
        let groups = usize::from(body[5]);
        let lines = usize::from(body[6]);
        let dim = usize::from(u16::from_le_bytes([body[7], body[8]]));
        let directions = usize::from(u16::from_le_bytes([body[9], body[10]]));
        let level1 = (4 * groups).wrapping_sub(1);
        if !GROUPS.contains(&groups)
            || !(1..=2).contains(&lines)
            || !DIMS.contains(&dim)
            || !(level1..=(level1 + lines * LINE_BYTES - NORMS_BYTES).min(dim)).contains(&directions)
        {
            return Err(corrupt("its shape is not that of a basis"));
        }
        let float_count = SCALARS + directions + 2 * level1;
        if body.len() != HEADER_BYTES + 4 * float_count + level1 + 2 * directions * dim {
            return Err(corrupt("its length does not fit its shape"));
        }
        let (floats, rest) = body[HEADER_BYTES..].split_at(4 * float_count);
        let (centres, matrix) = rest.split_at(level1);
        let mut floats = floats.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let scalars: [f32; SCALARS] = std::array::from_fn(|_| floats.next().unwrap_or_default());
        let [spread, level1_error, residual_floor, residual_step, residual_mean, level2_step, gram_error] = scalars;
        let mut take = |count: usize| floats.by_ref().take(count).collect::<Vec<f32>>();
        let (scales, offsets, steps) = (take(directions), take(level1), take(level1));
        let matrix = matrix.as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
        let mut id_bytes = [0; ID_BYTES];
        id_bytes.copy_from_slice(id);
        Ok(Self {
            id: BasisId(id_bytes),
            dim,
            groups,
            lines,
            matrix,
            scales,
            offsets,
            steps,
            centres: centres.to_vec(),
            spread,
            level1_error,
            residual_floor,
            residual_step,
            residual_mean,
            level2_step,
            gram_error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::basis::MIN_TRAINING_ROWS;

    fn basis() -> Basis {
        let mut rng = fastrand::Rng::with_seed(3);
        let rows: Vec<Vec<f32>> = (0..MIN_TRAINING_ROWS)
            .map(|_| {
                let row: Vec<f32> = (0..64).map(|_| rng.f32() - 0.5).collect();
                let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                row.into_iter().map(|x| x / norm).collect()
            })
            .collect();
        Basis::train(64, rows.iter().map(Vec::as_slice)).unwrap()
    }

    #[test]
    fn from_bytes_reads_written_bytes_and_refuses_truncated_or_changed_ones() {
        let basis = basis();
        let bytes = basis.to_bytes();
        assert_eq!(Basis::from_bytes(&bytes).unwrap(), basis);
        assert_eq!(basis.id().to_string().len(), 32);
        for len in 0..bytes.len() {
            assert!(matches!(Basis::from_bytes(&bytes[..len]), Err(Error::Corrupt { what: "basis", .. })), "{len}");
        }
        for at in (0..bytes.len()).step_by(97).chain([4, 5, 6, 7, 9]) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(matches!(Basis::from_bytes(&changed), Err(Error::Corrupt { .. })), "{at}");
        }
    }

    #[test]
    fn from_bytes_with_impossible_shape_and_valid_hash_returns_corrupt() {
        for (at, value) in [(5, 1), (5, 17), (6, 0), (6, 3), (7, 63), (9, 200), (9, 66)] {
            let mut body = basis().body();
            body[at] = value;
            let id = BasisId::of(&body);
            body.extend_from_slice(&id.0);
            assert!(matches!(Basis::from_bytes(&body), Err(Error::Corrupt { .. })), "{at} {value}");
        }
    }
}
