//! Text: how a question is split into segments and read as tokens.
//!
//! | module | contains |
//! | --- | --- |
//! | `segment` | words, characters and marks, in the order of the text |
//! | `number` | numbers, times and identifiers as people write them |
//! | `spelling` | a sketch of a word's letters, to recognise misspellings |
//! | `token_builder` | the tokens of one segment |
//! | `tokenizer` | the tokens of a text |
//! | `question_type` | what kind of answer a question asks for |

mod number;
pub(crate) mod question_type;
mod segment;
pub(crate) mod spelling;
mod token_builder;
pub(crate) mod tokenizer;
