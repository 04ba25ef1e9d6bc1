//! Compares answers with a plain loop of simsimd's float32 dot product over all rows.

#![allow(clippy::unwrap_used)] // The helpers are tests too.

mod support;

use std::collections::btree_map::Entry;
use std::sync::Arc;

use mneme_search::{Basis, Error, Index, Kernel, MIN_TRAINING_ROWS};
use proptest::prelude::*;
use support::{Rows, SHAPES, Shape, Source, check};

const DIMS: [usize; 9] = [64, 65, 100, 127, 200, 384, 768, 1001, 1536];

fn basis(source: &mut Source, rows: usize) -> Arc<Basis> {
    let sample: Vec<Vec<f32>> = (0..rows).map(|_| source.row()).collect();
    Arc::new(Basis::train(source.dim, sample.iter().map(Vec::as_slice)).unwrap())
}

fn fill(index: &mut Index, rows: &mut Rows, source: &mut Source, count: usize) {
    for _ in 0..count {
        // The ids mostly increase; every tenth does not.
        let next = rows.keys().next_back().map_or(1, |id| id + source.rng.u64(1..3));
        let id = if source.rng.u8(..10) == 0 { source.rng.u64(1..=next) } else { next };
        let row = source.row();
        match rows.entry(id) {
            Entry::Occupied(_) => assert_eq!(index.insert(id, &row), Err(Error::DuplicateId { id })),
            Entry::Vacant(entry) => {
                index.insert(id, &row).unwrap();
                entry.insert(row);
            }
        }
    }
}

fn drop_some(index: &mut Index, rows: &mut Rows, source: &mut Source, count: usize) {
    for _ in 0..count.min(rows.len()) {
        let id = *rows.keys().nth(source.rng.usize(..rows.len())).unwrap();
        assert!(index.remove(id) && !index.contains(id) && !index.remove(id));
        rows.remove(&id);
    }
}

/// Compares `times` random searches with brute force.
fn ask(index: &Index, rows: &Rows, source: &mut Source, times: usize) {
    assert_eq!(index.len(), rows.len());
    for _ in 0..times {
        let query = source.query(rows);
        let threshold = source.threshold(rows, &query);
        let k = [0, 1, 3, 10, rows.len() + 1][source.rng.usize(..5)];
        check(index, rows, &query, threshold, k)
            .unwrap_or_else(|what| panic!("{:?} at {}: {what}", source.shape, source.dim));
    }
}

/// Takes an index through all its states: float32, training during changes, codes, drift to another shape, retraining.
fn exercise(source: &mut Source, other: &mut Source, rows_at_first: usize, asks: usize) {
    let mut rows = Rows::new();
    let mut index = Index::new(source.dim);
    fill(&mut index, &mut rows, source, rows_at_first);
    drop_some(&mut index, &mut rows, source, rows_at_first / 10);
    ask(&index, &rows, source, asks);

    let job = index.begin_training().unwrap();
    fill(&mut index, &mut rows, source, 40);
    drop_some(&mut index, &mut rows, source, 30);
    ask(&index, &rows, source, 1);
    let Ok(trained) = job.run() else { return };
    fill(&mut index, &mut rows, source, 3);
    index.adopt(trained, |_| -> Option<Vec<f32>> { unreachable!("float32 is held") }).unwrap();
    for kernel in Kernel::available() {
        index.use_kernel(kernel);
        ask(&index, &rows, source, asks);
    }
    drop_some(&mut index, &mut rows, source, rows_at_first / 5);
    fill(&mut index, &mut rows, other, rows_at_first / 5);
    ask(&index, &rows, source, asks);
    ask(&index, &rows, other, asks);

    let job = index.begin_retraining(rows.iter().skip(3).map(|(id, row)| (*id, row.as_slice()))).unwrap();
    drop_some(&mut index, &mut rows, source, 5);
    fill(&mut index, &mut rows, other, 5);
    let Ok(trained) = job.run() else { return };
    index.adopt(trained, |id| rows.get(&id)).unwrap();
    ask(&index, &rows, source, asks);
    ask(&index, &rows, other, asks);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn search_in_every_state_of_an_index_equals_brute_force(
        dim in prop::sample::select(&DIMS[..6]),
        shape in prop::sample::select(&SHAPES[..]),
        other in prop::sample::select(&SHAPES[..]),
        rows in MIN_TRAINING_ROWS..600,
        seed in any::<u64>(),
    ) {
        exercise(&mut Source::new(shape, dim, seed), &mut Source::new(other, dim, !seed), rows, 6);
    }

    #[test]
    fn search_in_small_index_of_few_dimensions_equals_brute_force(dim in 1usize..64, count in 0usize..40, seed in any::<u64>()) {
        let mut source = Source::new(Shape::Sphere, dim, seed);
        let (mut rows, mut index) = (Rows::new(), Index::new(dim));
        fill(&mut index, &mut rows, &mut source, count);
        ask(&index, &rows, &mut source, 5);
        let query = source.row();
        let nearest = support::brute_force(&rows, &query, -1.0, 1).first().copied();
        prop_assert_eq!(index.nearest(&query, |_| true).unwrap(), nearest);
    }
}

#[test]
fn search_with_many_dimensions_equals_brute_force() {
    for dim in [1536, 4096] {
        exercise(&mut Source::new(Shape::Cone, dim, 8), &mut Source::new(Shape::Clusters, dim, 9), 300, 4);
    }
}

#[test]
fn search_with_more_rows_than_a_chunk_equals_brute_force() {
    let mut source = Source::new(Shape::PowerLaw, 64, 4);
    let mut index = Index::with_basis(basis(&mut source, 2000));
    let mut rows = Rows::new();
    fill(&mut index, &mut rows, &mut source, 80_000);
    assert!(rows.len() > 66_000);
    ask(&index, &rows, &mut source, 20);
    // The row count falls below the size of a chunk and then exceeds it again.
    let count = rows.len() - 65_000;
    drop_some(&mut index, &mut rows, &mut source, count);
    ask(&index, &rows, &mut source, 10);
    fill(&mut index, &mut rows, &mut source, 2_000);
    ask(&index, &rows, &mut source, 10);
}

/// This test takes minutes: `cargo test -p mneme-search --release --test exactness -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn search_in_50_000_random_cases_equals_brute_force() {
    let mut checks = 0;
    for round in 0u64.. {
        for shape in SHAPES {
            for dim in DIMS {
                let mut source = Source::new(shape, dim, round * 1000 + dim as u64);
                let mut other = Source::new(SHAPES[fastrand::usize(..SHAPES.len())], dim, round);
                // The basis is trained on the same data, or on other data.
                let basis = if source.rng.bool() { basis(&mut source, 500) } else { basis(&mut other, 500) };
                let (mut rows, mut index) = (Rows::new(), Index::with_basis(basis));
                let count = source.rng.usize(1..3000);
                fill(&mut index, &mut rows, &mut source, count);
                fill(&mut index, &mut rows, &mut other, count / 10);
                drop_some(&mut index, &mut rows, &mut source, count / 20);
                index.use_kernel(*source.rng.choice(&Kernel::available()).unwrap());
                ask(&index, &rows, &mut source, 300);
                checks += 300;
            }
        }
        println!("{checks} checks, 0 mismatches");
        if checks >= 50_000 {
            break;
        }
    }
}
