//! The sentence embedder all-MiniLM-L6-v2. It runs on the processor, and needs no service and no network.
//!
//! | to learn about | read |
//! | --- | --- |
//! | the model: texts to vectors | [`model`] |
//! | texts to word pieces | [`tokenizer`], `normalize` |
//! | word pieces to vectors | [`encoder`], `attention`, `product` |
//! | the files of the model, and errors of loading them | `weights`, [`error`] |

mod attention;
pub mod encoder;
pub mod error;
pub mod model;
mod normalize;
mod product;
pub mod tokenizer;
mod weights;
