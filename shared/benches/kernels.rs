//! Times each kernel on the codes of 100,000 rows, and for comparison simsimd's loops over float32 and i8, and plain
//! reading.
//!
//! Run it by `cargo bench -p mneme-core --bench kernels`. The throughput counts the bytes that each loop reads.

mod data;

use std::hint::black_box;
use std::sync::Arc;

use data::{Data, Shape};
use divan::Bencher;
use divan::counter::BytesCount;
use mneme_search::{Basis, Index, Kernel, similarity};
use simsimd::SpatialSimilarity;

const ROWS: usize = 100_000;
const DIMS: [usize; 3] = [384, 768, 1536];

fn main() {
    divan::main();
}

fn kernel_names() -> Vec<String> {
    Kernel::available().iter().map(|kernel| format!("{kernel:?}")).collect()
}

/// Level 1 and the preparation of the query. Level 2 does not run, because no row reaches a similarity of 1.
#[divan::bench(args = kernel_names(), consts = DIMS)]
fn level1<const DIM: usize>(bencher: Bencher<'_, '_>, name: &str) {
    let data = Data::new(Shape::Topics, DIM, ROWS);
    let basis = Basis::train(DIM, data.rows().take(4096).collect::<Vec<_>>().into_iter()).expect("enough rows");
    let level1_bytes = basis.level1_bytes();
    let mut index = Index::with_basis(Arc::new(basis));
    (0..).zip(data.rows()).for_each(|(id, row)| index.insert(id, row).expect("a unit vector"));
    let kernel = Kernel::available().into_iter().find(|kernel| format!("{kernel:?}") == name);
    index.use_kernel(kernel.expect("an available kernel"));
    let query = &data.queries(2)[1];
    bencher
        .counter(BytesCount::new(ROWS * level1_bytes))
        .bench_local(|| index.candidates(black_box(query), 1.0).expect("a unit vector").len());
}

/// The search of an index that holds float32.
#[divan::bench(consts = DIMS)]
fn float32_form<const DIM: usize>(bencher: Bencher<'_, '_>) {
    let data = Data::new(Shape::Topics, DIM, ROWS);
    let mut index = Index::new(DIM);
    (0..).zip(data.rows()).for_each(|(id, row)| index.insert(id, row).expect("a unit vector"));
    let query = &data.queries(2)[1];
    bencher
        .counter(BytesCount::new(ROWS * DIM * 4))
        .bench_local(|| index.candidates(black_box(query), 1.0).expect("a unit vector").len());
}

#[divan::bench(consts = DIMS)]
fn simsimd_float32<const DIM: usize>(bencher: Bencher<'_, '_>) {
    let data = Data::new(Shape::Topics, DIM, ROWS);
    let query = &data.queries(2)[1];
    bencher
        .counter(BytesCount::new(ROWS * DIM * 4))
        .bench_local(|| data.rows().map(|row| similarity(black_box(query), row)).fold(-1.0, f32::max));
}

#[divan::bench(consts = DIMS)]
fn simsimd_i8<const DIM: usize>(bencher: Bencher<'_, '_>) {
    let rows = vec![3i8; ROWS * DIM];
    let query = vec![5i8; DIM];
    bencher.counter(BytesCount::new(ROWS * DIM)).bench_local(|| {
        let dots = rows.chunks_exact(DIM).map(|row| <i8 as SpatialSimilarity>::dot(black_box(&query), row));
        dots.flatten().fold(0.0, f64::max)
    });
}

/// The memory bandwidth of the machine, from cache and from memory; one size is close to that of level 1.
#[divan::bench(args = [2 << 20, 5 << 20, 300 << 20])]
fn plain_reading(bencher: Bencher<'_, '_>, bytes: usize) {
    let words = vec![1u64; bytes / 8];
    bencher.counter(BytesCount::new(bytes)).bench_local(|| black_box(&words).iter().fold(0, |sum, word| sum ^ word));
}
