//! Bases: arbitrary bytes are refused or read, and what was read is written as the same bytes.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mneme_fuzz::{BASIS, edited};
use mneme_search::{Basis, DIMS};
use sha2::{Digest, Sha256};

const ID_BYTES: usize = 16;

static VALID: LazyLock<Vec<u8>> = LazyLock::new(|| BASIS.to_bytes());

/// `body` with the hash that [`Basis::from_bytes`] expects, so that the checks behind it are reached.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let hash = Sha256::digest(&body);
    body.extend_from_slice(&hash[..ID_BYTES]);
    body
}

fn check(bytes: &[u8]) {
    let Ok(basis) = Basis::from_bytes(bytes) else { return };
    assert_eq!(basis.to_bytes(), bytes);
    assert!(DIMS.contains(&basis.dim()) && basis.segment_rows() > 0);
}

fuzz_target!(|data: &[u8]| {
    check(data);
    check(&sealed(data.to_vec()));
    let body = &VALID[..VALID.len() - ID_BYTES];
    check(&sealed(edited(body, data)));
});
