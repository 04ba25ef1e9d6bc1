//! The stored format of a signature.
//!
//! Version 3, all numbers little-endian:
//!
//! | bytes | content |
//! | --- | --- |
//! | 1 | the version |
//! | 1 | the question type |
//! | 1 | the number of negations |
//! | 1 | the number of tokens stored |
//! | 2 | the number of tokens in the text |
//! | 8 | the hash of the exact tokens that were dropped |
//! | 1 | which slots have a value: bit 0: the span of time; 1 to 5: the form; 6: the material |
//! | 4, if bit 0 is set | the span of time |
//! | 2 for each of bits 1 to 5 | the form |
//! | 4, if bit 6 is set | the material |
//! | 1 | the language: its number, with bit 6 if the text may be in another one; 255 if it has no word lists |
//! | 1 | the number of written forms |
//! | 8 for each | how something is written |
//! | 9 or 13 for each token | the token |
//!
//! A token: the hash, 4 bytes; the detail, 3; the kind in the low half and the role in the high half of a byte; the
//! rarity in the low five bits and three flags in the high bits of a byte. A number, identifier, quotation or date has 4
//! bytes more of the hash after these.
//!
//! Version 2 has no written forms, 4 bytes for the hash of dropped tokens, and 9 bytes for each token. Version 1 has, in
//! addition, no slots and no byte that says which have a value. Both are read, and written again as they were.

use thiserror::Error;

use super::{OLDEST_VERSION, Signature, VERSION, VERSION_WITHOUT_FORMS};
use crate::language::FormSlot;
use crate::language::detect::ToldLanguage;
use crate::text::question_type::QuestionType;
use crate::text::slots::Slots;
use crate::text::written::WrittenForm;
use crate::token::{SemanticRole, Token, TokenKind};

const HEADER_BYTES: usize = 6;
/// The size of the hash of dropped tokens, and of that in earlier versions.
const DROPPED_BYTES: usize = 8;
const EARLIER_DROPPED_BYTES: usize = 4;
const TOKEN_BYTES: usize = 9;
/// The size of the further bits of an exact token's hash.
const LOW_BYTES: usize = 4;
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
    pub const MAX_BYTES: usize = HEADER_BYTES
        + DROPPED_BYTES
        + SLOTS_BYTES
        + 2
        + WrittenForm::BYTES * WrittenForm::MAX
        + (TOKEN_BYTES + LOW_BYTES) * Self::MAX_TOKENS;

    /// The version that the signature is written as.
    fn version(&self) -> u8 {
        match (&self.slots, &self.written) {
            (None, _) => OLDEST_VERSION,
            (Some(_), None) => VERSION_WITHOUT_FORMS,
            (Some(_), Some(_)) => VERSION,
        }
    }

    /// The stored form, at most [`Signature::MAX_BYTES`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + SLOTS_BYTES + (TOKEN_BYTES + LOW_BYTES) * self.tokens.len());
        let version = self.version();
        bytes.extend([version, self.question_type.to_byte(), self.negations, self.tokens.len() as u8]);
        bytes.extend(self.total.to_le_bytes());
        let dropped = self.dropped.to_le_bytes();
        bytes.extend_from_slice(if version == VERSION { &dropped } else { &dropped[..EARLIER_DROPPED_BYTES] });
        if let Some(slots) = &self.slots {
            write_slots(slots, &mut bytes);
        }
        if let Some(forms) = &self.written {
            bytes.extend([self.language.0, forms.len() as u8]);
            bytes.extend(forms.iter().flat_map(|form| form.to_bytes()));
        }
        for token in &self.tokens {
            write_token(token, version, &mut bytes);
        }
        bytes
    }

    /// Reads [`Signature::to_bytes`]. Errors: [`SignatureError`], for any bytes that are not a stored signature of this
    /// version or of an earlier one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        if let Some(&found) = bytes.first().filter(|version| !(OLDEST_VERSION..=VERSION).contains(*version)) {
            return Err(SignatureError::UnknownVersion { found });
        }
        let wrong_length = |expected| SignatureError::WrongLength { found: bytes.len(), expected };
        let mut rest = Bytes(bytes);
        let least = HEADER_BYTES + EARLIER_DROPPED_BYTES;
        let [version, question_type, negations, count, t0, t1] =
            rest.take::<HEADER_BYTES>().ok_or(wrong_length(least))?;
        let dropped = match version {
            VERSION => rest.take().map(u64::from_le_bytes),
            _ => rest.take().map(u32::from_le_bytes).map(u64::from),
        };
        let dropped = dropped.ok_or(wrong_length(least))?;
        let slots = match version {
            OLDEST_VERSION => None,
            _ => Some(read_slots(&mut rest).ok_or(wrong_length(HEADER_BYTES + DROPPED_BYTES + SLOTS_BYTES))?),
        };
        let language = match version {
            VERSION => ToldLanguage(u8::from_le_bytes(rest.take().ok_or(wrong_length(bytes.len() + 1))?)),
            _ => ToldLanguage::default(),
        };
        let written = match version {
            VERSION => Some(read_forms(&mut rest).ok_or(wrong_length(bytes.len() + WrittenForm::BYTES))?),
            _ => None,
        };
        if usize::from(count) > Self::MAX_TOKENS {
            return Err(wrong_length(Self::MAX_BYTES));
        }
        let mut tokens = Vec::with_capacity(usize::from(count));
        for at in 0..usize::from(count) {
            let row = rest.take().ok_or(wrong_length(bytes.len() + TOKEN_BYTES))?;
            let mut token = token(&row).ok_or(SignatureError::BadToken { at })?;
            if version == VERSION && has_low(&token) {
                token.low = u32::from_le_bytes(rest.take().ok_or(wrong_length(bytes.len() + LOW_BYTES))?);
            }
            tokens.push(token);
        }
        if !rest.0.is_empty() {
            return Err(wrong_length(bytes.len() - rest.0.len()));
        }
        Ok(Self {
            tokens,
            question_type: QuestionType::from_byte(question_type),
            negations,
            total: u16::from_le_bytes([t0, t1]),
            dropped,
            slots,
            language,
            written,
        })
    }
}

/// The bytes that were not read yet.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}

/// True if a token of this version has further bits of its hash.
fn has_low(token: &Token) -> bool {
    token.kind.is_exact()
}

fn write_slots(slots: &Slots, bytes: &mut Vec<u8>) {
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

fn read_slots(bytes: &mut Bytes<'_>) -> Option<Slots> {
    let [is_set] = bytes.take()?;
    let mut slots = Slots::default();
    if is_set & 1 != 0 {
        slots.time = u32::from_le_bytes(bytes.take()?);
    }
    for (at, value) in slots.form.iter_mut().enumerate() {
        if is_set & (2 << at) != 0 {
            *value = u16::from_le_bytes(bytes.take()?);
        }
    }
    if is_set & HAS_MATERIAL != 0 {
        slots.material = u32::from_le_bytes(bytes.take()?);
    }
    Some(slots)
}

/// `None` if there are too few bytes, or more forms than a text has.
fn read_forms(bytes: &mut Bytes<'_>) -> Option<Vec<WrittenForm>> {
    let [count] = bytes.take()?;
    let count = usize::from(count);
    if count > WrittenForm::MAX {
        return None;
    }
    let forms: Option<Vec<WrittenForm>> = (0..count).map(|_| bytes.take().map(WrittenForm::from_bytes)).collect();
    let mut forms = forms?;
    // A comparison relies on their order.
    forms.sort_unstable();
    Some(forms)
}

fn write_token(token: &Token, version: u8, bytes: &mut Vec<u8>) {
    bytes.extend(token.hash.to_le_bytes());
    bytes.extend_from_slice(&token.detail.to_le_bytes()[..3]);
    bytes.push(token.kind as u8 | (token.role as u8) << 4);
    let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    let flags = flag(token.is_name, IS_NAME) | flag(token.is_quoted, IS_QUOTED) | flag(token.is_unknown, IS_UNKNOWN);
    bytes.push(token.rarity.min(31) | flags);
    if version == VERSION && has_low(token) {
        bytes.extend(token.low.to_le_bytes());
    }
}

fn token(row: &[u8; TOKEN_BYTES]) -> Option<Token> {
    let [h0, h1, h2, h3, d0, d1, d2, kind_and_role, flags] = *row;
    Some(Token {
        hash: u32::from_le_bytes([h0, h1, h2, h3]),
        low: 0,
        detail: u32::from_le_bytes([d0, d1, d2, 0]),
        kind: *TokenKind::STORED.get(usize::from(kind_and_role & 0x0f))?,
        role: *SemanticRole::STORED.get(usize::from(kind_and_role >> 4))?,
        rarity: flags & 0x1f,
        is_name: flags & IS_NAME != 0,
        is_quoted: flags & IS_QUOTED != 0,
        is_unknown: flags & IS_UNKNOWN != 0,
    })
}
