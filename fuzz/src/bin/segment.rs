//! Segments: arbitrary bytes are refused or loaded, and a loaded segment can be searched and packed again.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use mneme_fuzz::{BASIS, edited, unit_vector};
use mneme_search::Index;
use mneme_search::segment::CodeSegment;

/// 20 rows: one block and a part of the next.
static VALID: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut index = Index::with_basis(Arc::clone(&BASIS));
    (1..=20).for_each(|id| index.insert(3 * id, &unit_vector(id)).expect("a unit vector"));
    index.pack(0..=u64::MAX).expect("few rows").expect("some rows")
});

/// `body` with the checksum that [`CodeSegment::read`] expects, so that the checks behind it are reached.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&body);
    body.extend_from_slice(&checksum.to_le_bytes());
    body
}

/// Packs all rows of `index`; `None` if they are none, or too many for one segment.
fn packed(index: &Index) -> Option<Vec<u8>> {
    index.pack(0..=u64::MAX).ok().flatten()
}

fn check(bytes: &[u8]) {
    let Ok(segment) = CodeSegment::read(bytes) else { return };
    let mut index = Index::with_basis(Arc::clone(&BASIS));
    let Ok(loaded) = index.load(&segment) else { return };
    assert_eq!(loaded, index.len());
    for threshold in [-1.0, 0.5, 1.0] {
        let candidates = index.candidates(&unit_vector(7), threshold).expect("a unit vector");
        assert!(candidates.into_iter().all(|candidate| candidate.bound >= threshold && index.contains(candidate.id)));
    }
    let Some(first) = packed(&index) else { return };
    let mut again = Index::with_basis(Arc::clone(&BASIS));
    let whole = CodeSegment::read(&first).expect("what was packed can be read");
    assert_eq!(again.load(&whole), Ok(loaded));
    assert_eq!(packed(&again).as_ref(), Some(&first));
    let ids: Vec<u64> = index.ids().collect();
    ids.iter().for_each(|id| assert!(index.remove(*id)));
    assert!(index.is_empty());
}

fuzz_target!(|data: &[u8]| {
    check(data);
    check(&sealed(data.to_vec()));
    let body = &VALID[..VALID.len() - 4];
    check(&sealed(edited(body, data)));
});
