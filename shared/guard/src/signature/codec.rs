//! The stored format of a signature.
//!
//! Version 2, all numbers little-endian:
//!
//! | bytes | content |
//! | --- | --- |
//! | 1 | the version |
//! | 1 | the question type |
//! | 1 | the number of negations |
//! | 1 | the number of tokens stored |
//! | 2 | the number of tokens in the text |
//! | 4 | the hash of the exact tokens that were dropped |
//! | 1 | which slots have a value: bit 0: the span of time; 1 to 5: the form; 6: the material |
//! | 4, if bit 0 is set | the span of time |
//! | 2 for each of bits 1 to 5 | the form |
//! | 4, if bit 6 is set | the material |
//! | 9 for each token | the token |
//!
//! Version 1 has no slots, and no byte that says which have a value. It is read, and written again as version 1.
//!
//! A token: the hash, 4 bytes; the detail, 3; the kind in the low half and the role in the high half of a byte; the
//! rarity in the low five bits and three flags in the high bits of a byte.

use thiserror::Error;

use super::{OLDEST_VERSION, Signature, VERSION};
use crate::language::FormSlot;
use crate::text::question_type::QuestionType;
use crate::text::slots::Slots;
use crate::token::{SemanticRole, Token, TokenKind};

const HEADER_BYTES: usize = 10;
const TOKEN_BYTES: usize = 9;
/// The maximum size of the slots.
const SLOTS_BYTES: usize = 1 + 4 + 2 * FormSlot::COUNT + 4;
/// The bit of the material in the byte that says which slots have a value.
const HAS_MATERIAL: u8 = 1 << 6;

const IS_NAME: u8 = 1 << 5;
const IS_QUOTED: u8 = 1 << 6;
const IS_UNKNOWN: u8 = 1 << 7;

/// Bytes that are not a stored signature. The remedy is the same for each error: derive the signature from the query
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Another version of the guard wrote the bytes.
    #[error(
        "the signature has version {found}, and this guard reads versions {OLDEST_VERSION} to {VERSION}; \
         derive it from the query again"
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
    pub const MAX_BYTES: usize = HEADER_BYTES + SLOTS_BYTES + TOKEN_BYTES * Self::MAX_TOKENS;

    /// The stored form, at most [`Signature::MAX_BYTES`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + SLOTS_BYTES + TOKEN_BYTES * self.tokens.len());
        let version = if self.slots.is_some() { VERSION } else { OLDEST_VERSION };
        bytes.extend([version, self.question_type.to_byte(), self.negations, self.tokens.len() as u8]);
        bytes.extend(self.total.to_le_bytes());
        bytes.extend(self.dropped.to_le_bytes());
        if let Some(slots) = &self.slots {
            let is_set = std::iter::once(slots.time != 0).chain(slots.form.iter().map(|value| *value != 0));
            let bits = is_set.enumerate().fold(0, |bits, (at, is_set)| bits | u8::from(is_set) << at);
            bytes.push(if slots.material == 0 { bits } else { bits | HAS_MATERIAL });
            if slots.time != 0 {
                bytes.extend(slots.time.to_le_bytes());
            }
            bytes.extend(slots.form.iter().filter(|value| **value != 0).flat_map(|value| value.to_le_bytes()));
            if slots.material != 0 {
                bytes.extend(slots.material.to_le_bytes());
            }
        }
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
    /// version or of version 1.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(match bytes.first() {
                Some(&found) if !(OLDEST_VERSION..=VERSION).contains(&found) => {
                    SignatureError::UnknownVersion { found }
                }
                _ => SignatureError::WrongLength { found: bytes.len(), expected: HEADER_BYTES },
            });
        };
        let [version, question_type, negations, count, t0, t1, d0, d1, d2, d3] = *header;
        if !(OLDEST_VERSION..=VERSION).contains(&version) {
            return Err(SignatureError::UnknownVersion { found: version });
        }
        let too_short = SignatureError::WrongLength { found: bytes.len(), expected: HEADER_BYTES + SLOTS_BYTES };
        let (slots, rest) = if version == OLDEST_VERSION {
            (None, rest)
        } else {
            let (slots, rest) = slots(rest).ok_or(too_short)?;
            (Some(slots), rest)
        };
        let expected = bytes.len() - rest.len() + TOKEN_BYTES * usize::from(count);
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
            slots,
        })
    }
}

/// The slots that `bytes` begin with, and the bytes after them. `None` if there are too few.
fn slots(bytes: &[u8]) -> Option<(Slots, &[u8])> {
    let (&is_set, mut rest) = bytes.split_first()?;
    let mut slots = Slots::default();
    if is_set & 1 != 0 {
        let (time, after) = rest.split_first_chunk()?;
        slots.time = u32::from_le_bytes(*time);
        rest = after;
    }
    for (at, value) in slots.form.iter_mut().enumerate() {
        if is_set & (2 << at) != 0 {
            let (form, after) = rest.split_first_chunk()?;
            *value = u16::from_le_bytes(*form);
            rest = after;
        }
    }
    if is_set & HAS_MATERIAL != 0 {
        let (material, after) = rest.split_first_chunk()?;
        slots.material = u32::from_le_bytes(*material);
        rest = after;
    }
    Some((slots, rest))
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
