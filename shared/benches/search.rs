//! Times searches at a threshold of 0.85 for three answers, brute force, training, inserting, and loading segments.
//!
//! Run it by `cargo bench -p mneme-core --bench search`. All figures are with warm caches. The example `search` also
//! measures with cold ones.

mod data;

use std::sync::Arc;

use data::{Data, Shape};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use mneme_search::segment::CodeSegment;
use mneme_search::{Basis, Index, Neighbour, similarity};

const THRESHOLD: f32 = 0.85;
const K: usize = 3;

const CASES: [(Shape, usize, usize); 10] = [
    (Shape::Topics, 384, 10_000),
    (Shape::Topics, 768, 10_000),
    (Shape::Topics, 1536, 10_000),
    (Shape::Topics, 384, 100_000),
    (Shape::Topics, 768, 100_000),
    (Shape::Topics, 1536, 100_000),
    (Shape::Topics, 384, 1_000_000),
    (Shape::Cone, 768, 100_000),
    (Shape::Dense, 768, 100_000),
    (Shape::Duplicates, 768, 100_000),
];

fn main() {
    divan::main();
}

fn coded(data: &Data, dim: usize) -> Index {
    let basis = Basis::train(dim, data.rows().take(4096).collect::<Vec<_>>().into_iter()).expect("enough rows");
    let mut index = Index::with_basis(Arc::new(basis));
    (0..).zip(data.rows()).for_each(|(id, row)| index.insert(id, row).expect("a unit vector"));
    index
}

#[divan::bench(args = CASES)]
fn search(bencher: Bencher<'_, '_>, (shape, dim, rows): (Shape, usize, usize)) {
    let data = Data::new(shape, dim, rows);
    let index = coded(&data, dim);
    let queries = data.queries(64);
    let mut next = queries.iter().cycle();
    bencher
        .with_inputs(|| next.next().expect("a cycle"))
        .bench_local_values(|query| index.search(query, THRESHOLD, K, |id| Some(data.row(id))).expect("a unit vector"));
}

#[divan::bench(args = CASES, sample_count = 20)]
fn brute_force(bencher: Bencher<'_, '_>, (shape, dim, rows): (Shape, usize, usize)) {
    let data = Data::new(shape, dim, rows);
    let queries = data.queries(64);
    let mut next = queries.iter().cycle();
    bencher.with_inputs(|| next.next().expect("a cycle")).bench_local_values(|query| {
        let all = (0..).zip(data.rows()).map(|(id, row)| Neighbour { id, similarity: similarity(query, row) });
        let mut found: Vec<Neighbour> = all.filter(|row| row.similarity >= THRESHOLD).collect();
        found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.id.cmp(&b.id)));
        found.truncate(K);
        found
    });
}

/// Both forms of a small index, to find the number of rows from which codes are faster.
#[divan::bench(args = [1_000, 2_000, 4_000, 8_000, 16_000], consts = [0, 1])]
fn small<const CODED: usize>(bencher: Bencher<'_, '_>, rows: usize) {
    let data = Data::new(Shape::Topics, 768, rows);
    let index = if CODED == 1 {
        coded(&data, 768)
    } else {
        let mut index = Index::new(768);
        (0..).zip(data.rows()).for_each(|(id, row)| index.insert(id, row).expect("a unit vector"));
        index
    };
    let queries = data.queries(64);
    let mut next = queries.iter().cycle();
    bencher
        .with_inputs(|| next.next().expect("a cycle"))
        .bench_local_values(|query| index.search(query, THRESHOLD, K, |id| Some(data.row(id))).expect("a unit vector"));
}

#[divan::bench(args = [384, 768, 1536], sample_count = 3)]
fn train(bencher: Bencher<'_, '_>, dim: usize) {
    let data = Data::new(Shape::Topics, dim, 4096);
    bencher.bench_local(|| Basis::train(dim, data.rows()));
}

#[divan::bench(args = [384, 768, 1536], sample_count = 10)]
fn encode(bencher: Bencher<'_, '_>, dim: usize) {
    let data = Data::new(Shape::Topics, dim, 10_000);
    let basis = Arc::clone(coded(&data, dim).basis().expect("codes"));
    bencher.counter(ItemsCount::new(10_000usize)).bench_local(|| {
        let mut index = Index::with_basis(Arc::clone(&basis));
        (0..).zip(data.rows()).for_each(|(id, row)| index.insert(id, row).expect("a unit vector"));
        index
    });
}

/// Loads 100,000 rows of 768 dimensions from segments.
#[divan::bench(sample_count = 20)]
fn load_segments(bencher: Bencher<'_, '_>) {
    let (basis, segments) = segments();
    bencher.counter(ItemsCount::new(100_000usize)).bench_local(|| {
        let mut index = Index::with_basis(Arc::clone(&basis));
        index.reserve(100_000);
        for bytes in &segments {
            let segment = CodeSegment::read(bytes).expect("a valid segment");
            assert!(index.load(&segment).is_ok());
        }
        index
    });
}

/// Only copies the same bytes.
#[divan::bench(sample_count = 20)]
fn copy_segments(bencher: Bencher<'_, '_>) {
    let (_, segments) = segments();
    bencher.counter(BytesCount::new(segments.iter().map(Vec::len).sum::<usize>())).bench_local(|| segments.clone());
}

fn segments() -> (Arc<Basis>, Vec<Vec<u8>>) {
    let data = Data::new(Shape::Topics, 768, 100_000);
    let index = coded(&data, 768);
    let basis = Arc::clone(index.basis().expect("codes"));
    let rows = basis.segment_rows() as u64;
    let pieces = (0..100_000).step_by(rows as usize).map(|first| index.pack(first..=first + rows - 1));
    let segments = pieces.filter_map(|piece| piece.expect("no more than fit")).collect();
    (basis, segments)
}
