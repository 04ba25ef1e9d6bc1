//! The causes of an error, for the log.

use mneme_aws::sdk_error::cause_chain;
use mneme_model::error::Error;

/// The causes of `error` on one line, outermost first; empty if it has none.
pub(crate) fn causes(error: &Error) -> String {
    std::error::Error::source(error).map(cause_chain).unwrap_or_default()
}
