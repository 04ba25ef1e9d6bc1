//! The quantiser: orthonormal directions for one dimension, and the code books of the coordinates along them.
//!
//! | to learn about | read |
//! | --- | --- |
//! | what a basis holds, and the error terms that follow from it | [`definition`] |
//! | its name and its bytes | [`id`], [`codec`] |
//! | training: principal directions, layout, code books | [`train`], [`principal`], [`layout`] |

mod codec;
mod definition;
mod id;
mod layout;
mod principal;
mod train;

pub use definition::{Basis, DIMS};
pub(crate) use definition::{
    MAX_CODE, MAX_DIRECTIONS, MAX_LEVEL2_BYTES, MAX_LEVEL2_COORDINATES, NORMS_BYTES, squared_norm,
};
pub use id::BasisId;
pub use train::MIN_TRAINING_ROWS;
