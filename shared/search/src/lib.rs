//! Exact threshold search over the unit vectors of one namespace, in memory.
//!
//! [`Index::candidates`] and [`Index::search`] answer as a loop of [`similarity`] (simsimd's float32 dot product) over all
//! rows would, at any threshold in [-1, 1] and any `k`, and read a few bytes of most rows only.
//!
//! # Use
//!
//! - [`Index::new`] holds float32 and searches by brute force. When it [`Index::is_ripe`], [`Index::begin_learning`] gives a
//!   [`Learning`] that shares the rows; [`Learning::run`] on another thread gives a [`Learned`], and [`Index::adopt`] takes
//!   it over, encoding only what was inserted meanwhile. [`Learned::basis`] is what to store ([`Basis::to_bytes`]).
//! - [`Index::with_basis`] holds codes from the first row on: no learning on a cold instance.
//! - With codes no float32 is resident: [`Index::candidates`] yields upper bounds, highest first. The caller reads rows
//!   from the top, computes their [`similarity`], and stops when the next bound is below its `k`-th best;
//!   [`Index::search`] is that loop, with a closure that gives the vectors.
//! - [`Index::pack`] and [`Index::load`] copy codes to and from bytes ([`segment`]), [`Basis::segment_rows`] at a time.
//! - When an index has [`Index::drifted`], [`Index::begin_relearning`] takes float32 rows that the caller has read.
//!
//! # Method
//!
//! Fix orthonormal directions u₁…u_D. Split a unit vector x into its coordinates along the first directions and the rest.
//! By Cauchy and Schwarz, ⟨q,x⟩ ≤ ⟨q₁,x₁⟩ + |q₂| |x₂|; below the threshold, x is out, for certain.
//!
//! 1. *Level 1*: m = 4g − 1 coordinates as codes 0 to 127, and a code for |x₂|, rounded up: the bound is one integer
//!    product of 4g bytes, and the threshold one integer. Blocks of 16 rows, read in one stream.
//! 2. *Level 2*: 60 or 124 further coordinates as i8, the norm of what then remains and the distance of the row from its
//!    codes, in one or two cache lines: first by integers, then, for what passes, without rounding the query.
//! 3. *Level 3*: float32, by whoever has the rows.
//!
//! g and the lines of level 2 are chosen with the basis, from a sample, as what costs least.
//!
//! # The bound, and every rounding in it
//!
//! The stored directions B (i16 times a scale) are not quite orthonormal: G = BBᵀ = I + E, |E| ≤ ε, the Frobenius norm
//! of E, computed exactly but for the float64 sum. U = G^(−1/2) B is orthonormal, and with x⊥ what U leaves of x,
//! ⟨q,x⟩ = ⟨Uq,Ux⟩ + ⟨q⊥,x⊥⟩. A vector's squared norm is held within 0.001 of one, so that |x| ≤ 1.0005.
//!
//! - ⟨Uq,Ux⟩ = ⟨Bq, G⁻¹Bx⟩ ≤ ⟨Bq,Bx⟩ + ε|Uq||Ux|, since ⟨Bq,Bx⟩ = ⟨Uq, G Ux⟩. *(the directions: 1.1 ε)*
//! - Computed coordinates y are within φ of Bx: a float32 sum of depth n is within γₙ = nu/(1−nu) of its terms' absolute
//!   sum, u = 2⁻²⁴ (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 4.2), and that is at most
//!   |b||x| in each of D coordinates; n = dim/16 + 8 by the kernels' lanes. With p of the query alike,
//!   ⟨Bq,Bx⟩ ≤ ⟨p,y⟩ + φ(|p| + |y|) + φ². *(projection: 2.2 φ)*
//! - |x⊥|² = |x|² − |Ux|² ≤ |x|² − |y|² + 1.1 ε + 2.2 φ, as |Ux|² ≥ |Bx|²/(1+ε). So the rests' norms come from
//!   the float64 norm of x and of y, with that added below the root; and ⟨q⊥,x⊥⟩ ≤ |q⊥| |x⊥|. *(the rest)*
//! - ŷ being the coordinates that the codes stand for, ⟨p,y⟩ = ⟨p,ŷ⟩ + ⟨p,y−ŷ⟩ ≤ ⟨p,ŷ⟩ + |p| |y−ŷ|. Level 1 takes
//!   the largest |y−ŷ| that the basis allows, level 2 the row's own, rounded up. *(the rows' codes)*
//! - ŷⱼ = oⱼ + sⱼcⱼ, so ⟨p,ŷ⟩ = ⟨p,o⟩ + Σ wⱼcⱼ, wⱼ = pⱼsⱼ. With integer weights dⱼ and eⱼ = wⱼ − t dⱼ,
//!   Σ wⱼcⱼ = t Σ dⱼcⱼ + Σ eⱼμⱼ + Σ eⱼ(cⱼ−μⱼ) ≤ t Σ dⱼcⱼ + ⟨e,μ⟩ + |e| |c−μ|, μ being the codes' usual values
//!   and |c−μ| the largest that the basis allows. *(the query's codes; in level 2 likewise, with |e| |ŷ|)*
//! - The residual's code c stands for f + rc ≥ |x⊥|, and its weight d has td ≥ |q⊥| r. *(rounded up twice)*
//! - simsimd's float32 dot product is within γ_dim |q| |x| of ⟨q,x⟩, in whatever order it sums, and is rounded to float32 once
//!   more. *(1.01 (dim + 2) u)*
//! - The bounds themselves are float64 sums of some hundred terms; 10⁻⁷ is added for them. The bound handed out is the next
//!   float32 above.
//!
//! A row whose |y−ŷ|, |c−μ| or |x⊥| exceeds what the basis allows in level 1 is *wild*: it is passed to level 2 always.

mod basis;
mod candidates;
mod codes;
mod encode;
mod error;
mod floats;
mod growth;
mod ids;
mod index;
mod kernel;
mod learning;
mod memory;
mod product;
mod query;
mod search;
pub mod segment;

pub use basis::{Basis, BasisId, DIMS, MIN_ROWS};
pub use candidates::{Candidate, Candidates};
pub use error::Error;
pub use floats::similarity;
pub use index::{Index, RIPE_ROWS};
pub use kernel::Kernel;
pub use learning::{Learned, Learning};
pub use search::Match;
