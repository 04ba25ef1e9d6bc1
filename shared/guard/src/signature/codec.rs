//! The stored format of a signature.
//!
//! Version 1, all numbers little-endian:
//!
//! | bytes | content |
//! | --- | --- |
//! | 1 | the version |
//! | 1 | the question type |
//! | 1 | the number of negations |
//! | 1 | the number of tokens stored |
//! | 2 | the number of tokens in the text |
//! | 4 | the hash of the exact tokens that were dropped |
//! | 9 for each token | the token |
//!
//! A token: the hash, 4 bytes; the detail, 3; the kind in the low half and the role in the high half of a byte; the
//! rarity in the low five bits and three flags in the high bits of a byte.

use thiserror::Error;

use super::{Signature, VERSION};
use crate::text::question_type::QuestionType;
use crate::token::{SemanticRole, Token, TokenKind};

const HEADER_BYTES: usize = 10;
const TOKEN_BYTES: usize = 9;

const IS_NAME: u8 = 1 << 5;
const IS_QUOTED: u8 = 1 << 6;
const IS_UNKNOWN: u8 = 1 << 7;

/// Bytes that are not a stored signature. The remedy is the same for each error: derive the signature from the query
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Another version of the guard wrote the bytes.
    #[error(
        "the signature has version {found}, and this guard reads version {VERSION}; derive it from the query again"
    )]
    UnknownVersion {
        /// The version found.
        found: u8,
    },
    /// The length does not agree with the header, or the header is incomplete.
    #[error("the signature has {found} bytes, and {expected} were expected; derive it from the query again")]
    WrongLength {
        /// The number of bytes given.
        found: usize,
        /// The number of bytes that the header implies.
        expected: usize,
    },
    /// A token has an unknown kind or role.
    #[error("token {at} of the signature has an unknown kind or role; derive it from the query again")]
    BadToken {
        /// The token's index, from 0.
        at: usize,
    },
}

impl Signature {
    /// The maximum size of a signature in bytes.
    pub const MAX_BYTES: usize = HEADER_BYTES + TOKEN_BYTES * Self::MAX_TOKENS;

    /// The stored form, at most [`Signature::MAX_BYTES`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + TOKEN_BYTES * self.tokens.len());
        bytes.extend([VERSION, self.question_type.to_byte(), self.negations, self.tokens.len() as u8]);
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

    /// Reads [`Signature::to_bytes`]. Errors: [`SignatureError`], for any bytes that are not a stored signature of this
    /// version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(match bytes.first() {
                Some(&found) if found != VERSION => SignatureError::UnknownVersion { found },
                _ => SignatureError::WrongLength { found: bytes.len(), expected: HEADER_BYTES },
            });
        };
        let [version, question_type, negations, count, t0, t1, d0, d1, d2, d3] = *header;
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
            question_type: QuestionType::from_byte(question_type),
            negations,
            total: u16::from_le_bytes([t0, t1]),
            dropped: u32::from_le_bytes([d0, d1, d2, d3]),
        })
    }
}

fn token(row: &[u8; TOKEN_BYTES]) -> Option<Token> {
    let [h0, h1, h2, h3, d0, d1, d2, kind_and_role, flags] = *row;
    Some(Token {
        hash: u32::from_le_bytes([h0, h1, h2, h3]),
        detail: u32::from_le_bytes([d0, d1, d2, 0]),
        kind: *TokenKind::STORED.get(usize::from(kind_and_role & 0x0f))?,
        role: *SemanticRole::STORED.get(usize::from(kind_and_role >> 4))?,
        rarity: flags & 0x1f,
        is_name: flags & IS_NAME != 0,
        is_quoted: flags & IS_QUOTED != 0,
        is_unknown: flags & IS_UNKNOWN != 0,
    })
}
