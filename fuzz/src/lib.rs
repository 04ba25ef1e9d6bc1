//! What the targets share: how to corrupt valid bytes, and vectors to train a basis from.

use std::sync::{Arc, LazyLock};

use mneme_search::Basis;

/// The dimension of [`BASIS`].
pub const DIM: usize = 64;

/// A small basis, the same in every run.
pub static BASIS: LazyLock<Arc<Basis>> = LazyLock::new(|| {
    let rows: Vec<Vec<f32>> = (0..256).map(unit_vector).collect();
    Arc::new(Basis::train(DIM, rows.iter().map(Vec::as_slice)).expect("256 unit vectors suffice"))
});

/// A unit vector of dimension [`DIM`] that `seed` determines (a linear congruential generator).
pub fn unit_vector(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let row: Vec<f32> = (0..DIM).map(|j| draw() / (1.0 + j as f32).sqrt()).collect();
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.into_iter().map(|x| x / norm).collect()
}

/// `valid` with the edits that `data` describes: three bytes for each, the position (little-endian, modulo the length)
/// and the new value. One or two bytes at the end of `data` say to how many bytes the result is cut.
///
/// Random bytes almost never form a whole header. These edits reach the checks behind it without stored examples.
pub fn edited(valid: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    let (edits, cut) = data.as_chunks::<3>();
    for [low, high, value] in edits {
        let at = usize::from(u16::from_le_bytes([*low, *high]));
        if let Some(byte) = at.checked_rem(bytes.len()).and_then(|at| bytes.get_mut(at)) {
            *byte = *value;
        }
    }
    match cut {
        [low] => bytes.truncate(usize::from(*low)),
        [low, high] => bytes.truncate(usize::from(u16::from_le_bytes([*low, *high]))),
        _ => {}
    }
    bytes
}
