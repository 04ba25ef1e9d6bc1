//! The bytes of a signature.
//!
//! Version 1: the version, how it asks, the negations and the number of tokens, a byte each; the text's tokens and the digest of
//! the dropped ones, 2 and 4 bytes; then 9 bytes a token: hash (4), detail (3), kind in the low and role in the high
//! half of a byte, rarity in the low five bits of a byte and the three flags above. Little-endian.

use thiserror::Error;

use crate::signature::Signature;
use crate::token::{Kind, Role, Token};

/// The version of the format and of what the tokens mean: raised when the same text would give other tokens.
pub(crate) const VERSION: u8 = 1;
const HEADER_BYTES: usize = 10;
const TOKEN_BYTES: usize = 9;

const IS_NAME: u8 = 1 << 5;
const IS_QUOTED: u8 = 1 << 6;
const IS_UNKNOWN: u8 = 1 << 7;

/// Why bytes are no signature. The remedy is one for all: derive the signature from the query's text again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Written by another version of the guard.
    #[error("the signature has version {found}, this guard reads version {VERSION}; derive it from the query again")]
    UnknownVersion {
        /// The version found.
        found: u8,
    },
    /// Not as long as its header says, or without one.
    #[error("the signature has {found} bytes where {expected} were expected; derive it from the query again")]
    WrongLength {
        /// How many bytes there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A token of a kind that does not exist.
    #[error("token {at} of the signature is of no known kind; derive it from the query again")]
    BadToken {
        /// The token's place, from 0.
        at: usize,
    },
}

impl Signature {
    /// The most bytes a signature takes.
    pub const MAX_BYTES: usize = HEADER_BYTES + TOKEN_BYTES * Self::MAX_TOKENS;

    /// The signature's bytes, at most [`Signature::MAX_BYTES`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + TOKEN_BYTES * self.tokens.len());
        bytes.extend([VERSION, self.asks, self.negations, self.tokens.len() as u8]);
        bytes.extend(self.total.to_le_bytes());
        bytes.extend(self.dropped.to_le_bytes());
        for token in &self.tokens {
            bytes.extend(token.hash.to_le_bytes());
            bytes.extend_from_slice(&token.detail.to_le_bytes()[..3]);
            bytes.push(token.kind as u8 | (token.role as u8) << 4);
            let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
            let flags =
                flag(token.is_name, IS_NAME) | flag(token.is_quoted, IS_QUOTED) | flag(token.is_unknown, IS_UNKNOWN);
            bytes.push(token.rarity.min(31) | flags);
        }
        bytes
    }

    /// Reads [`Signature::to_bytes`]. Errors: a version this guard does not know, and anything else that is no signature.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(match bytes.first() {
                Some(&found) if found != VERSION => SignatureError::UnknownVersion { found },
                _ => SignatureError::WrongLength { found: bytes.len(), expected: HEADER_BYTES },
            });
        };
        let [version, asks, negations, count, t0, t1, d0, d1, d2, d3] = *header;
        if version != VERSION {
            return Err(SignatureError::UnknownVersion { found: version });
        }
        let expected = HEADER_BYTES + TOKEN_BYTES * usize::from(count);
        if bytes.len() != expected || usize::from(count) > Self::MAX_TOKENS {
            return Err(SignatureError::WrongLength { found: bytes.len(), expected: expected.min(Self::MAX_BYTES) });
        }
        let (rows, _) = rest.as_chunks::<TOKEN_BYTES>();
        let tokens = rows.iter().enumerate().map(|(at, row)| token(row).ok_or(SignatureError::BadToken { at }));
        Ok(Self {
            tokens: tokens.collect::<Result<_, _>>()?,
            asks,
            negations,
            total: u16::from_le_bytes([t0, t1]),
            dropped: u32::from_le_bytes([d0, d1, d2, d3]),
        })
    }
}

fn token(row: &[u8; TOKEN_BYTES]) -> Option<Token> {
    let [h0, h1, h2, h3, d0, d1, d2, what, flags] = *row;
    Some(Token {
        hash: u32::from_le_bytes([h0, h1, h2, h3]),
        detail: u32::from_le_bytes([d0, d1, d2, 0]),
        kind: *Kind::STORED.get(usize::from(what & 0x0f))?,
        role: *Role::STORED.get(usize::from(what >> 4))?,
        rarity: flags & 0x1f,
        is_name: flags & IS_NAME != 0,
        is_quoted: flags & IS_QUOTED != 0,
        is_unknown: flags & IS_UNKNOWN != 0,
    })
}
