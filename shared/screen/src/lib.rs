//! What a put does not store, by what it says.
//!
//! | module | decides |
//! | --- | --- |
//! | [`finish_reason`] | whether the model finished its answer |
//! | [`answer`] | whether a response is an answer: not blank, no report of a failure, no refusal |
//! | `error_body` | whether a response is the body of an error |
//! | `refusal` | whether a response declines to answer, in ten languages |
//! | [`personal`] | whether a question is about something of the person who asks, in ten languages |
//! | [`policy`] | which of these rules the configuration applies, and how long an answer stays |
//! | `phrases` | the data files under `languages/`, and texts in the form in which they are compared |

pub mod answer;
mod error_body;
pub mod finish_reason;
pub mod personal;
mod phrases;
pub mod policy;
mod refusal;
