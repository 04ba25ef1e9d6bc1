//! The name of a basis.

use std::fmt;

use sha2::{Digest, Sha256};

/// Bytes of a [`BasisId`].
pub(crate) const ID_BYTES: usize = 16;

/// The first 128 bits of the SHA-256 of a basis's bytes. It is displayed as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BasisId(pub(crate) [u8; ID_BYTES]);

impl fmt::Debug for BasisId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BasisId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl BasisId {
    /// The id of a basis that is still being built.
    pub(crate) const UNSET: Self = Self([0; ID_BYTES]);

    pub(crate) fn of(body: &[u8]) -> Self {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&Sha256::digest(body)[..ID_BYTES]);
        Self(id)
    }
}
