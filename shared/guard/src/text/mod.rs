//! Text: how a question is split into segments and read as tokens.
//!
//! | module | contains |
//! | --- | --- |
//! | `segment` | words, characters and marks, in the order of the text |
//! | `number`, `date`, `phone` | numbers, times, identifiers, dates and phone numbers as people write them |
//! | `notation` | how a text writes numbers and dates |
//! | `spelling` | a sketch of a word's letters, to recognise misspellings |
//! | `token_builder`, `quantity`, `open_number` | the tokens of one segment; those of numbers, units and dates |
//! | `tokenizer` | the tokens of a text |
//! | `material` | an instruction and the document, code or list that it is about |
//! | `instruction` | an instruction about material in one form |
//! | `slots` | the span of time and the form of the answer that a question asks for |
//! | `written` | what case folding, the collapse of white space and the tokens drop |
//! | `symbols` | the operators and pictures of questions that have the same words |
//! | `code` | what shows that a chunk or a line is code |
//! | `unit_case` | the units whose case decides which unit they are |
//! | `question_type` | what kind of answer a question asks for |

mod code;
mod date;
mod instruction;
pub(crate) mod material;
mod notation;
mod number;
mod open_number;
mod phone;
mod quantity;
pub(crate) mod question_type;
mod segment;
pub(crate) mod slots;
pub(crate) mod spelling;
pub(crate) mod symbols;
mod token_builder;
pub(crate) use segment::is_unspaced;
pub(crate) mod tokenizer;
mod unit_case;
pub(crate) mod written;
