//! The sentence embedder all-MiniLM-L6-v2 on the processor: no service, no network.
//!
//! | to learn about | read |
//! | --- | --- |
//! | texts to vectors | [`model`] |
//! | texts to word pieces | [`tokenizer`], `normalize` |
//! | word pieces to vectors | [`encoder`], `attention`, `product` |
//! | the files, and what may be wrong with them | `weights`, [`error`] |

mod attention;
pub mod encoder;
pub mod error;
pub mod model;
mod normalize;
mod product;
pub mod tokenizer;
mod weights;
