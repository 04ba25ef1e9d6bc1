//! Answers each query of a file by the shipped search and by float32 brute force, and compares answers and times.
//!
//! `cargo run --release -p mneme-core --example search -- --vectors X.f32 --queries Q.f32 --dim 768`
//!
//! An index with too few rows for codes holds float32. A larger one holds codes, under a basis that is trained on an
//! evenly spaced sample. For "hot" times the queries run back to back. For "cold" times the last-level cache is filled
//! with other bytes before each query. Prints one line of JSON.

use std::error::Error;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use std::{fs, iter};

use clap::{Parser, ValueEnum};
use mneme_model::embedding::Embedding;
use mneme_search::{Basis, Index, Kernel, MIN_CODED_ROWS, Neighbour, similarity};
use serde_json::{Value, json};

/// Rows from which the basis is trained, at most.
const SAMPLE_ROWS: usize = 4096;

/// Cold queries, at most. There are few, because filling the cache takes longer than a query.
const COLD_QUERIES: usize = 60;

/// How often each query runs for the hot times.
const HOT_ROUNDS: usize = 3;

/// Compare the search with brute force.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rows: raw little-endian float32, `[rows, dim]`.
    #[arg(long)]
    vectors: PathBuf,
    /// Queries: raw little-endian float32, `[queries, dim]`.
    #[arg(long)]
    queries: PathBuf,
    /// The dimension of the vectors.
    #[arg(long)]
    dim: usize,
    /// The smallest similarity of an answer, in [-1, 1].
    #[arg(long, default_value_t = 0.85, allow_negative_numbers = true)]
    threshold: f32,
    /// Answers to each query, at most.
    #[arg(long, default_value_t = 3)]
    k: usize,
    /// A file to which the answers are written: one line `[[row, similarity], …]` per query.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The instructions to use. The default is the fastest.
    #[arg(long)]
    kernel: Option<KernelName>,
    /// The form of the index. The default depends on the number of rows.
    #[arg(long)]
    form: Option<Form>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KernelName {
    Portable,
    Avx2,
    Avx512,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Form {
    Float32,
    Codes,
}

/// Unit vectors in sequence.
struct Matrix {
    dim: usize,
    floats: Vec<f32>,
}

impl Matrix {
    /// Reads the file. Vectors are normalised like those of table rows; unit vectors stay the same bit for bit.
    fn read(path: &Path, dim: usize) -> Result<Self, Box<dyn Error>> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if dim == 0 || bytes.len() % (4 * dim) != 0 {
            return Err(format!(
                "{}: {} bytes are not a whole number of rows of {dim} float32",
                path.display(),
                bytes.len()
            )
            .into());
        }
        let mut floats = Vec::with_capacity(bytes.len() / 4);
        for (at, row) in bytes.chunks_exact(4 * dim).enumerate() {
            let row = Embedding::from_row(row)
                .ok_or_else(|| format!("{}: row {at} is not a valid vector", path.display()))?;
            floats.extend_from_slice(row.as_slice());
        }
        Ok(Self { dim, floats })
    }

    fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> + '_ {
        self.floats.chunks_exact(self.dim)
    }

    fn row(&self, at: u64) -> Option<&[f32]> {
        self.floats.get(at as usize * self.dim..)?.get(..self.dim)
    }

    fn brute_force(&self, query: &[f32], threshold: f32, k: usize) -> Vec<Neighbour> {
        let rows = (0..).zip(self.rows()).map(|(id, row)| Neighbour { id, similarity: similarity(query, row) });
        let mut found: Vec<Neighbour> = rows.filter(|row| row.similarity >= threshold).collect();
        found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.id.cmp(&b.id)));
        found.truncate(k);
        found
    }
}

/// A buffer of twice the size of the last-level cache.
struct Flush(Vec<u64>);

impl Flush {
    fn new() -> Self {
        let caches = fs::read_dir("/sys/devices/system/cpu/cpu0/cache").into_iter().flatten().flatten();
        let sizes = caches.filter_map(|cache| fs::read_to_string(cache.path().join("size")).ok());
        let kilobytes = sizes.filter_map(|size| size.trim().strip_suffix('K')?.parse::<usize>().ok());
        let bytes = (2048 * kilobytes.max().unwrap_or(0)).max(64 << 20);
        Self(vec![1; bytes / 8])
    }

    fn run(&self) {
        black_box(self.0.iter().step_by(8).sum::<u64>());
    }
}

/// The milliseconds of each query, and whether it had an answer.
struct Times(Vec<(f64, bool)>);

impl Times {
    fn measure<'a>(
        queries: impl Iterator<Item = &'a [f32]>,
        flush: Option<&Flush>,
        mut answer: impl FnMut(&[f32]) -> Vec<Neighbour>,
    ) -> Self {
        let times = queries.map(|query| {
            if let Some(flush) = flush {
                flush.run();
            }
            let start = Instant::now();
            let found = answer(query);
            (start.elapsed().as_secs_f64() * 1e3, !found.is_empty())
        });
        Self(times.collect())
    }

    fn summary(&self) -> Value {
        let quantile = |share: f64, keep: &dyn Fn(bool) -> bool| {
            let mut times: Vec<f64> = self.0.iter().filter(|(_, hit)| keep(*hit)).map(|(ms, _)| *ms).collect();
            times.sort_by(f64::total_cmp);
            times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1))).copied()
        };
        json!({
            "median": quantile(0.5, &|_| true),
            "p95": quantile(0.95, &|_| true),
            "min": quantile(0.0, &|_| true),
            "miss_median": quantile(0.5, &|hit| !hit),
        })
    }
}

fn build(rows: &Matrix, form: Form, kernel: Kernel) -> Result<(Index, Value), Box<dyn Error>> {
    let start = Instant::now();
    let mut learn_secs = 0.0;
    let mut index = match form {
        Form::Float32 => Index::new(rows.dim),
        Form::Codes => {
            let sampled = rows.rows().len().min(SAMPLE_ROWS);
            let sample: Vec<&[f32]> =
                (0..sampled).filter_map(|at| rows.row((at * rows.rows().len() / sampled) as u64)).collect();
            let basis = Basis::train(rows.dim, sample.into_iter())?;
            learn_secs = start.elapsed().as_secs_f64();
            Index::with_basis(Arc::new(basis))
        }
    };
    index.use_kernel(kernel);
    let start = Instant::now();
    for (id, row) in (0..).zip(rows.rows()) {
        index.insert(id, row)?;
    }
    let facts = json!({
        "form": if form == Form::Codes { "codes" } else { "float32" },
        "kernel": format!("{kernel:?}").to_lowercase(),
        "level1_bytes": index.basis().map(|basis| basis.level1_bytes()),
        "level2_bytes": index.basis().map(|basis| basis.level2_bytes()),
        "basis_bytes": index.basis().map(|basis| basis.resident_bytes()),
        "bytes_per_row": index.bytes() as f64 / index.len().max(1) as f64,
        "learn_secs": learn_secs,
        "insert_us_per_row": start.elapsed().as_secs_f64() * 1e6 / index.len().max(1) as f64,
    });
    Ok((index, facts))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let (threshold, k) = (arguments.threshold, arguments.k);
    if !(-1.0..=1.0).contains(&threshold) {
        return Err(format!("threshold {threshold} is not in [-1, 1]").into());
    }
    let kernel = match arguments.kernel {
        None => Kernel::best(),
        Some(name) => {
            let wanted = format!("{name:?}");
            let mut available = Kernel::available().into_iter();
            available.find(|kernel| format!("{kernel:?}") == wanted).ok_or(format!("no {wanted} on this machine"))?
        }
    };
    let rows = Matrix::read(&arguments.vectors, arguments.dim)?;
    let queries = Matrix::read(&arguments.queries, arguments.dim)?;
    let by_size = if rows.rows().len() >= MIN_CODED_ROWS && mneme_search::DIMS.contains(&rows.dim) {
        Form::Codes
    } else {
        Form::Float32
    };
    let (index, mut report) = build(&rows, arguments.form.unwrap_or(by_size), kernel)?;

    let search = |query: &[f32]| index.search(query, threshold, k, |id| rows.row(id)).unwrap_or_default();
    let brute_force = |query: &[f32]| rows.brute_force(query, threshold, k);
    let answers = queries.rows().map(|query| index.search(query, threshold, k, |id| rows.row(id)));
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    let mut mismatches = 0;
    let brute_force_hot = Times::measure(queries.rows(), None, brute_force);
    for (query, answer) in queries.rows().zip(&answers) {
        mismatches += usize::from(*answer != brute_force(query));
    }
    let mut candidates = Vec::with_capacity(answers.len());
    for query in queries.rows() {
        candidates.push(index.candidates(query, threshold)?.len());
    }
    candidates.sort_unstable();
    let hot = Times::measure(iter::repeat_n((), HOT_ROUNDS).flat_map(|()| queries.rows()), None, search);
    let flush = Flush::new();
    let cold = Times::measure(queries.rows().take(COLD_QUERIES), Some(&flush), search);
    let brute_force_cold = Times::measure(queries.rows().take(COLD_QUERIES), Some(&flush), brute_force);

    if let Some(path) = &arguments.out {
        let mut out = BufWriter::new(fs::File::create(path)?);
        for answer in &answers {
            let rows: Vec<Value> = answer.iter().map(|row| json!([row.id, row.similarity])).collect();
            writeln!(out, "{}", Value::from(rows))?;
        }
        out.flush()?;
    }
    report["rows"] = index.len().into();
    report["dim"] = rows.dim.into();
    report["queries"] = answers.len().into();
    report["hits"] = answers.iter().filter(|answer| !answer.is_empty()).count().into();
    report["threshold"] = threshold.into();
    report["k"] = k.into();
    report["mismatches"] = mismatches.into();
    report["candidates_median"] = candidates.get(candidates.len() / 2).copied().into();
    report["search_ms"] = json!({ "hot": hot.summary(), "cold": cold.summary() });
    report["brute_force_ms"] = json!({ "hot": brute_force_hot.summary(), "cold": brute_force_cold.summary() });
    println!("{report}");
    Ok(())
}
