//! The context key: the part of a question that must match exactly.

/// A hash of the system messages and the `context` of a request. Two questions are compared only if their context keys
/// are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextKey([u8; 32]);

impl ContextKey {
    /// Reads a context key from a row. `None` unless there are 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, as a row holds them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for ContextKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}
