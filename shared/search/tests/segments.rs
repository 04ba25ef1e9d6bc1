//! Segments, refused inputs, training and memory.

#![allow(clippy::unwrap_used)] // The helpers are tests too.

mod support;

use std::sync::Arc;

use mneme_search::segment::{CodeSegment, MAX_BYTES};
use mneme_search::{Basis, Error, Index, MIN_CODED_ROWS};
use proptest::prelude::*;
use support::{Rows, SHAPES, Shape, Source, check};

fn basis(source: &mut Source) -> Arc<Basis> {
    let sample: Vec<Vec<f32>> = (0..400).map(|_| source.row()).collect();
    Arc::new(Basis::train(source.dim, sample.iter().map(Vec::as_slice)).unwrap())
}

fn filled(basis: &Arc<Basis>, rows: &Rows) -> Index {
    let mut index = Index::with_basis(Arc::clone(basis));
    rows.iter().for_each(|(id, row)| index.insert(*id, row).unwrap());
    index
}

fn rows(source: &mut Source, count: u64) -> Rows {
    (1..=count).map(|at| (at * 3 - source.rng.u64(0..2), source.row())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The rows are packed in pieces and loaded in any order into an index that already has rows; other rows follow.
    #[test]
    fn search_in_loaded_segments_equals_brute_force(
        shape in prop::sample::select(&SHAPES[..]),
        other in prop::sample::select(&SHAPES[..]),
        count in 1u64..400,
        piece in 1u64..300,
        present in 0usize..40,
        seed in any::<u64>(),
    ) {
        let mut source = Source::new(shape, 96, seed);
        // A basis that was trained on other data has outliers.
        let basis = basis(&mut Source::new(other, 96, !seed));
        let mut rows = rows(&mut source, count);
        let packed = filled(&basis, &rows);
        let mut segments = Vec::new();
        for first in (0..=3 * count).step_by(piece as usize) {
            segments.extend(packed.pack(first..=first + piece - 1).unwrap());
        }
        source.rng.shuffle(&mut segments);
        let mut index = Index::with_basis(Arc::clone(&basis));
        for (id, row) in rows.iter().take(present) {
            index.insert(*id, row).unwrap();
        }
        let mut loaded = index.len();
        if source.rng.bool() {
            index.reserve(rows.len());
        }
        for bytes in &segments {
            let segment = CodeSegment::read(bytes).unwrap();
            prop_assert_eq!(segment.basis(), basis.id());
            // The segment is loaded at once, or first some ids, not all of which it has.
            if source.rng.bool() {
                let some: Vec<u64> = rows.keys().copied().filter(|_| source.rng.bool()).collect();
                let before = index.len();
                loaded += index.load_some(&segment, &some).unwrap();
                prop_assert_eq!(index.len(), loaded);
                prop_assert!(index.ids().skip(before).all(|id| some.contains(&id)));
            }
            loaded += index.load(&segment).unwrap();
        }
        prop_assert_eq!((loaded, index.len()), (rows.len(), rows.len()));
        prop_assert_eq!(index.load(&CodeSegment::read(&segments[0]).unwrap()).unwrap(), 0);
        for _ in 0..20 {
            let id = 3 * count + source.rng.u64(1..1000);
            let row = source.row();
            if index.insert(id, &row).is_ok() {
                rows.insert(id, row);
            }
        }
        let gone = *rows.keys().next().unwrap();
        prop_assert!(index.remove(gone));
        rows.remove(&gone);
        for _ in 0..6 {
            let query = source.query(&rows);
            let threshold = source.threshold(&rows, &query);
            check(&index, &rows, &query, threshold, 5).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn read_with_truncated_or_changed_segment_returns_corrupt(cut in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let mut source = Source::new(Shape::PowerLaw, 64, seed);
        let (basis, rows) = (basis(&mut source), rows(&mut source, 30));
        let whole = filled(&basis, &rows).pack(0..=u64::MAX).unwrap().unwrap();
        let at = cut.index(whole.len());
        let mut changed = whole.clone();
        changed[at] ^= 1 << source.rng.u8(..8);
        for bytes in [&whole[..at], &changed] {
            let is_corrupt = |error| matches!(error, Error::Corrupt { what: "segment", .. });
            prop_assert!(CodeSegment::read(bytes).is_err_and(is_corrupt));
        }
        let mut index = Index::with_basis(basis);
        prop_assert_eq!(index.load(&CodeSegment::read(&whole).unwrap()).unwrap(), rows.len());
    }
}

#[test]
fn load_with_segment_of_another_basis_returns_basis_mismatch() {
    let mut source = Source::new(Shape::PowerLaw, 64, 1);
    let (one, other) = (basis(&mut source), basis(&mut source));
    let segment = filled(&one, &rows(&mut source, 20)).pack(0..=u64::MAX).unwrap().unwrap();
    let segment = CodeSegment::read(&segment).unwrap();
    let mut index = Index::with_basis(other);
    assert_eq!(index.load(&segment), Err(Error::BasisMismatch));
    let mut floats = Index::new(64);
    assert_eq!(floats.load(&segment), Err(Error::BasisMismatch));
    assert!(index.is_empty() && floats.is_empty());
    assert_eq!((index.pack(0..=9), floats.pack(0..=9)), (Ok(None), Ok(None)));
}

#[test]
fn pack_with_segment_rows_fits_an_item_and_with_one_more_returns_too_many_rows() {
    for shape in SHAPES {
        let mut source = Source::new(shape, 128, 2);
        let basis = basis(&mut source);
        let limit = basis.segment_rows();
        assert!(limit >= if basis.level2_bytes() == 64 { 2500 } else { 2000 });
        let row = source.row();
        let all: Rows = (0..=limit as u64).map(|id| (id, row.clone())).collect();
        let index = filled(&basis, &all);
        let segment = index.pack(1..=limit as u64).unwrap().unwrap();
        assert!(segment.len() <= MAX_BYTES, "{} bytes", segment.len());
        assert_eq!(index.pack(0..=limit as u64), Err(Error::TooManyRows { rows: limit + 1, limit }));
    }
}

#[test]
fn index_with_invalid_input_returns_an_error_and_is_unchanged() {
    let mut source = Source::new(Shape::PowerLaw, 64, 3);
    let basis = basis(&mut source);
    let row = source.row();
    for mut index in [Index::new(64), Index::with_basis(basis)] {
        let long: Vec<f32> = row.iter().map(|x| x * 1.01).collect();
        assert_eq!(index.insert(1, &row[1..]), Err(Error::Dimension { expected: 64, found: 63 }));
        assert!(matches!(index.insert(1, &long), Err(Error::NotUnit { squared_norm }) if squared_norm > 1.01));
        assert!(matches!(index.insert(1, &[f32::NAN; 64]), Err(Error::NotUnit { .. })));
        assert!(index.is_empty() && !index.remove(1));
        index.insert(1, &row).unwrap();
        assert_eq!(index.insert(1, &row), Err(Error::DuplicateId { id: 1 }));
        assert_eq!((index.len(), index.ids().collect::<Vec<_>>()), (1, vec![1]));
        let none = |_| None::<Vec<f32>>;
        for k in [0, 1] {
            assert!(matches!(index.search(&long, 0.5, k, none), Err(Error::NotUnit { .. })));
            assert!(matches!(index.search(&row[1..], 0.5, k, none), Err(Error::Dimension { .. })));
        }
        assert!(index.candidates(&long, 0.5).is_err() && index.nearest(&long, |_| true).is_err());
    }
}

#[test]
fn search_with_supplied_vector_of_wrong_dimension_returns_dimension_error() {
    let mut source = Source::new(Shape::PowerLaw, 64, 3);
    let mut index = Index::with_basis(basis(&mut source));
    let row = source.row();
    index.insert(1, &row).unwrap();
    let wrong = index.search(&row, 0.5, 1, |_| Some(vec![1.0]));
    assert_eq!(wrong, Err(Error::Dimension { expected: 64, found: 1 }));
    assert_eq!(index.search(&row, 0.5, 1, |_| None::<Vec<f32>>), Ok(Vec::new()));
}

#[test]
fn training_is_adopted_only_by_the_index_that_waits_for_it() {
    let mut source = Source::new(Shape::PowerLaw, 64, 6);
    let mut index = Index::new(64);
    let mut rows = Rows::new();
    for id in 0..MIN_CODED_ROWS as u64 {
        assert!(!index.should_train());
        let row = source.row();
        index.insert(id, &row).unwrap();
        rows.insert(id, row);
    }
    assert!(index.should_train() && index.basis().is_none());
    let before = index.bytes();
    let replaced = index.begin_training().unwrap();
    assert!(!index.should_train());
    index.abandon_training();
    assert!(index.should_train());
    let job = index.begin_training().unwrap();
    assert_eq!(job.rows(), MIN_CODED_ROWS);
    let none = |_: u64| None::<Vec<f32>>;
    assert_eq!(index.adopt(replaced.run().unwrap(), none), Err(Error::StaleTraining));
    let trained = std::thread::spawn(|| job.run()).join().unwrap().unwrap();
    let id = trained.basis().id();
    index.adopt(trained, none).unwrap();
    assert_eq!(index.basis().unwrap().id(), id);
    assert!(
        !index.should_train() && !index.has_drifted() && index.begin_training().is_none() && index.bytes() < before
    );

    // Rows of another distribution are inserted, and the basis does not fit them.
    let mut other = Source::new(Shape::Sphere, 64, 7);
    for id in 10_000..14_000 {
        let row = other.row();
        index.insert(id, &row).unwrap();
        rows.insert(id, row);
    }
    assert!(index.has_drifted());
    let given = rows.iter().skip(2).map(|(id, row)| (*id, row.as_slice()));
    let job = index.begin_retraining(given.clone()).unwrap();
    index.insert(20_000, &rows[&1]).unwrap();
    assert_eq!(index.rows_to_supply(), [0, 1, 20_000]);
    let trained = job.run().unwrap();
    assert_eq!(index.adopt(trained, none), Err(Error::MissingRows { ids: vec![0, 1, 20_000] }));
    rows.insert(20_000, rows[&1].clone());
    let given = rows.iter().map(|(id, row)| (*id, row.as_slice()));
    assert!(index.begin_retraining(given.clone().chain(given.clone())).is_err());
    let trained = index.begin_retraining(given).unwrap().run().unwrap();
    index.adopt(trained, none).unwrap();
    assert!(!index.has_drifted());
    let query = source.query(&rows);
    check(&index, &rows, &query, 0.5, 9).unwrap();
}

#[test]
fn basis_read_from_its_bytes_gives_the_same_codes() {
    let mut source = Source::new(Shape::Cone, 200, 8);
    let one = basis(&mut source);
    let other = Arc::new(Basis::from_bytes(&one.to_bytes()).unwrap());
    assert_eq!((one.id(), one.dim()), (other.id(), other.dim()));
    let rows = rows(&mut source, 50);
    assert_eq!(filled(&one, &rows).pack(0..=u64::MAX), filled(&other, &rows).pack(0..=u64::MAX));
}

#[test]
fn index_of_768_dimensions_takes_at_most_200_bytes_per_row() {
    for shape in SHAPES {
        let mut source = Source::new(shape, 768, 9);
        let basis = basis(&mut source);
        let row = source.row();
        let mut index = Index::with_basis(basis);
        (0..100_000).for_each(|id| index.insert(id, &row).unwrap());
        assert!(index.bytes() <= 200 * index.len(), "{shape:?}: {} bytes", index.bytes());
    }
}
