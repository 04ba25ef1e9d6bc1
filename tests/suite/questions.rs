//! Questions and rewordings that the guard accepts as the same question.

/// A question to store.
pub(crate) const QUESTION: &str = "How long does a refund to my card take?";
/// A rewording of [`QUESTION`].
pub(crate) const REWORDED: &str = "How long do refunds to my card take?";

/// A question to store. Questions about other orders contradict it.
pub(crate) fn order(number: impl std::fmt::Display) -> String {
    format!("Track order {number}")
}

/// A rewording of [`order`].
pub(crate) fn order_reworded(number: impl std::fmt::Display) -> String {
    format!("Where is order {number}?")
}

/// Different texts that the guard accepts as [`QUESTION`]: they differ in punctuation.
pub(crate) fn variant(number: usize) -> String {
    format!("{QUESTION}{}", "?".repeat(number))
}
