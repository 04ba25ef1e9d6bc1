//! Exact threshold search over the unit vectors of one namespace, in memory.
//!
//! [`Index::candidates`] and [`Index::search`] give the same answers as a loop of [`similarity`] (simsimd's float32 dot
//! product) over all rows, at any threshold in [-1, 1] and any `k`. They read only a few bytes of most rows.
//!
//! | to learn about | read |
//! | --- | --- |
//! | the rows: insert, remove, when to train | `index`, `ids`, `float_rows`, `encoded_rows` |
//! | searching | `search`, `query`, `candidates`, `kernel` |
//! | the quantiser and its training | `basis`, `encode`, `training` |
//! | codes as bytes | [`segment`] |
//! | memory and matrix products | `memory`, `product` |
//!
//! # Use
//!
//! - [`Index::new`] holds float32 and searches by brute force. When [`Index::should_train`] is true,
//!   [`Index::begin_training`] returns a [`TrainingJob`] that shares the rows. [`TrainingJob::run`] on another thread
//!   returns [`TrainedCodes`]. [`Index::adopt`] replaces the rows by them, and encodes only the rows that were inserted
//!   during the training. The caller stores [`TrainedCodes::basis`] by [`Basis::to_bytes`].
//! - [`Index::with_basis`] holds codes from the first row on, so that a new instance need not train.
//! - An index with codes holds no float32. [`Index::candidates`] yields upper bounds, highest first. The caller reads
//!   rows in this order, computes their [`similarity`], and stops when the next bound is below its `k`-th best.
//!   [`Index::search`] is that loop, with a closure that returns the vectors.
//! - [`Index::pack`] and [`Index::load`] convert codes to and from bytes, [`Basis::segment_rows`] rows at a time.
//! - When [`Index::has_drifted`] is true, [`Index::begin_retraining`] takes float32 rows that the caller has read.
//!
//! # Method
//!
//! Let u₁…u_D be orthonormal directions. They split a unit vector x into its coordinates x₁ along the first directions
//! and a remainder x₂. By the Cauchy-Schwarz inequality, ⟨q,x⟩ ≤ ⟨q₁,x₁⟩ + |q₂| |x₂|. If this bound is below the
//! threshold, x is certainly not an answer.
//!
//! 1. *Level 1* has m = 4g − 1 coordinates as codes 0 to 127, and a code for |x₂|, rounded up. The bound is one integer
//!    product of 4g bytes, and the threshold is one integer. The codes are in blocks of 16 rows that are read
//!    sequentially.
//! 2. *Level 2* has 60 or 124 further coordinates as i8, the norm of the remainder after them, and the distance of the
//!    row from the values that its codes represent. It takes one or two cache lines. The coarse bound uses integers.
//!    For rows that pass it, the fine bound does not round the query.
//! 3. *Level 3* is float32, computed by the caller, who has the rows.
//!
//! Training chooses g and the number of cache lines of level 2: the choice with the least estimated time on a sample.
//!
//! # The bound, and every rounding in it
//!
//! The stored directions B (i16 times a scale) are not exactly orthonormal: G = BBᵀ = I + E with |E| ≤ ε. ε is the
//! Frobenius norm of E, which is computed exactly except for the float64 sum. U = G^(−1/2) B is orthonormal. Let x⊥ be
//! the remainder of x outside U. Then ⟨q,x⟩ = ⟨Uq,Ux⟩ + ⟨q⊥,x⊥⟩. The squared norm of a vector is within 0.001 of one,
//! so |x| ≤ 1.0005.
//!
//! - *The directions (1.1 ε).* ⟨Uq,Ux⟩ = ⟨Bq, G⁻¹Bx⟩ ≤ ⟨Bq,Bx⟩ + ε|Uq||Ux|, because ⟨Bq,Bx⟩ = ⟨Uq, G Ux⟩.
//! - *The projection (2.2 φ).* Computed coordinates y are within φ of Bx. A float32 sum of depth n is within
//!   γₙ = nu/(1−nu) of the sum of its terms' absolute values, with u = 2⁻²⁴ (Higham, Accuracy and Stability of
//!   Numerical Algorithms, 2nd ed., section 4.2). That sum is at most |b||x| in each of the D coordinates. The lanes of
//!   the kernels give n = dim/16 + 8. The coordinates p of the query have the same error, so
//!   ⟨Bq,Bx⟩ ≤ ⟨p,y⟩ + φ(|p| + |y|) + φ².
//! - *The remainder.* |x⊥|² = |x|² − |Ux|² ≤ |x|² − |y|² + 1.1 ε + 2.2 φ, because |Ux|² ≥ |Bx|²/(1+ε). The norm of the
//!   remainder is therefore computed from the float64 norms of x and y, with 1.1 ε + 2.2 φ added under the root. Then
//!   ⟨q⊥,x⊥⟩ ≤ |q⊥| |x⊥|.
//! - *The codes of the rows.* Let ŷ be the coordinates that the codes represent. Then
//!   ⟨p,y⟩ = ⟨p,ŷ⟩ + ⟨p,y−ŷ⟩ ≤ ⟨p,ŷ⟩ + |p| |y−ŷ|. Level 1 uses the largest |y−ŷ| that the basis allows. Level 2 uses
//!   that of the row, rounded up.
//! - *The codes of the query.* ŷⱼ = oⱼ + sⱼcⱼ, so ⟨p,ŷ⟩ = ⟨p,o⟩ + Σ wⱼcⱼ with wⱼ = pⱼsⱼ. For integer weights dⱼ and
//!   eⱼ = wⱼ − t dⱼ,
//!   Σ wⱼcⱼ = t Σ dⱼcⱼ + Σ eⱼμⱼ + Σ eⱼ(cⱼ−μⱼ) ≤ t Σ dⱼcⱼ + ⟨e,μ⟩ + |e| |c−μ|. Here μ are the mean codes of the sample,
//!   and |c−μ| is the largest distance that the basis allows. Level 2 is similar, with |e| |ŷ|.
//! - *The residual, rounded up twice.* The residual's code c represents f + rc ≥ |x⊥|, and its weight d satisfies
//!   td ≥ |q⊥| r.
//! - *The dot product (1.01 (dim + 2) u).* simsimd's float32 dot product is within γ_dim |q| |x| of ⟨q,x⟩, in any order
//!   of summation, and is rounded to float32 once more.
//! - *The bound itself (10⁻⁷).* The bounds are float64 sums of some hundred terms. The bound that is returned is the
//!   next larger float32.
//!
//! A row is an *outlier* if its |y−ŷ|, |c−μ| or |x⊥| exceeds what the basis allows in level 1. Outliers always pass to
//! level 2.

mod basis;
mod candidates;
mod encode;
mod encoded_rows;
mod error;
mod float_rows;
mod ids;
mod index;
mod kernel;
mod memory;
mod product;
mod query;
mod search;
pub mod segment;
mod training;

pub use basis::{Basis, BasisId, DIMS, MIN_TRAINING_ROWS};
pub use candidates::{Candidate, Candidates};
pub use error::Error;
pub use float_rows::similarity;
pub use index::{Index, MIN_CODED_ROWS};
pub use kernel::Kernel;
pub use search::Neighbour;
pub use training::{TrainedCodes, TrainingJob};
