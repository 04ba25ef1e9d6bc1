//! Vetoes: differences that make one question's answer wrong for the other, however similar the questions are.

use serde::Serialize;

use super::alignment::Alignment;
use super::features::Features;
use super::roles;
use crate::language::detect::ToldLanguage;
use crate::language::lexicon::hash16;
use crate::language::{FormSlot, units_agree};
use crate::signature::Signature;
use crate::text::slots::Slots;
use crate::text::written::{WrittenForm, WrittenKind, difference};
use crate::token::{SemanticRole, Token, TokenKind};

/// The kind of a contradiction between two questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VetoKind {
    /// Different numbers, or the same number with different units.
    Number,
    /// Different order numbers, models, versions or addresses.
    Identifier,
    /// Different days, months or times.
    Date,
    /// Different quotations.
    Quote,
    /// One question negates what the other does not, and nothing else differs.
    Negation,
    /// One question has the opposite of a word of the other, and nothing else differs.
    Opposite,
    /// From A to B, and from B to A; or from A, and to A.
    Direction,
    /// Two things have exchanged what they do: "A buys B", "B buys A".
    Role,
    /// Different spans of time relative to the moment of asking: "this year", "next year".
    Time,
    /// The material that the questions are about differs, or the questions about it share too few words.
    Material,
    /// Another form of the answer: its language, format, length, audience or persona.
    Form,
    /// What was said before the last messages differs.
    Context,
    /// The case of a flag, an identifier, code or a unit differs.
    Case,
    /// An operator differs, or a mark of a name: "C++", "C#".
    Mark,
    /// The indentation of code or the blanks of a literal differ.
    Space,
    /// The languages of the questions differ, or the questions differ in a language that has no word lists.
    Language,
    /// The embeddings are equal although the questions share no word of content, so the embedder tells nothing.
    Embedding,
}

impl From<WrittenKind> for VetoKind {
    fn from(kind: WrittenKind) -> Self {
        match kind {
            WrittenKind::Case => Self::Case,
            WrittenKind::Mark => Self::Mark,
            WrittenKind::Space => Self::Space,
        }
    }
}

/// The contradiction of two texts that were said before the question, if there is one. The span of time and the form
/// are those of an answer that was given, so they do not decide.
pub(super) fn contradiction_of_histories(
    a: &Signature,
    b: &Signature,
    alignment: &Alignment<'_>,
    features: &Features,
) -> Option<VetoKind> {
    exact(a, b, alignment)
        .or_else(|| written(a, b))
        .or_else(|| polarity(a, b, alignment, features))
        .or_else(|| direction(alignment))
        .or_else(|| roles::exchanged(a, b, alignment).then_some(VetoKind::Role))
}

/// The contradiction of two questions, if there is one.
pub(super) fn contradiction(
    a: &Signature,
    b: &Signature,
    alignment: &Alignment<'_>,
    features: &Features,
) -> Option<VetoKind> {
    exact(a, b, alignment)
        .or_else(|| language(a, b, alignment, features))
        .or_else(|| slots(a, b, alignment))
        .or_else(|| material(a, b, alignment, features))
        .or_else(|| contradiction_of_histories(a, b, alignment, features))
}

/// The contradiction of two questions whose normalised texts are equal: in what normalisation drops.
///
/// Of a signature that an earlier version made it is not known how its text is written. It agrees only with a text that
/// can be written in one way.
pub(crate) fn contradiction_of_equal_texts(a: &Signature, b: &Signature) -> Option<VetoKind> {
    let of_unit = |(x, y): (&Token, &Token)| {
        x.kind == TokenKind::Number
            && y.kind == TokenKind::Number
            && (x.hash != y.hash || x.detail != y.detail && !units_agree(x.detail, y.detail))
    };
    let may_have_other_unit = || a.tokens.len() == b.tokens.len() && a.tokens.iter().zip(&b.tokens).any(of_unit);
    match (&a.written, &b.written) {
        (Some(x), Some(y)) => {
            // Both have the same things, so a form on one side only is a difference as well.
            let of_space = |forms: &[WrittenForm]| -> Vec<WrittenForm> {
                forms.iter().copied().filter(|form| form.kind() == WrittenKind::Space).collect()
            };
            let space = || (of_space(x) != of_space(y)).then_some(VetoKind::Space);
            difference(x, y)
                .map(VetoKind::from)
                .or_else(|| may_have_other_unit().then_some(VetoKind::Case))
                .or_else(space)
        }
        (Some(_), None) => first_written_form(a),
        (None, Some(_)) => first_written_form(b),
        (None, None) => None,
    }
}

/// The kind of the first thing in a text that can be written in two ways which normalise to one text. Normalisation
/// keeps the marks.
pub(crate) fn first_written_form(signature: &Signature) -> Option<VetoKind> {
    let mut forms = signature.written.iter().flatten();
    forms.find(|form| form.kind() != WrittenKind::Mark).map(|form| form.kind().into())
}

/// A contradiction in the case, the marks or the white space of something that both questions contain.
fn written(a: &Signature, b: &Signature) -> Option<VetoKind> {
    match (&a.written, &b.written) {
        (Some(x), Some(y)) => difference(x, y).map(VetoKind::from),
        _ => contradiction_of_equal_texts(a, b),
    }
}

/// A contradiction in numbers, identifiers, dates or quotations: each side has one that the other lacks.
fn exact(a: &Signature, b: &Signature, alignment: &Alignment<'_>) -> Option<VetoKind> {
    let unmatched = |kind: TokenKind| {
        let is_of_kind = |token: &&Token| token.kind == kind;
        (alignment.only_a().filter(is_of_kind).count(), alignment.only_b().filter(is_of_kind).count())
    };
    let (numbers, identifiers) = (unmatched(TokenKind::Number), unmatched(TokenKind::Identifier));
    if identifiers.0 + numbers.0 > 0 && identifiers.1 + numbers.1 > 0 {
        return Some(if identifiers.0 + identifiers.1 > 0 { VetoKind::Identifier } else { VetoKind::Number });
    }
    if a.dropped != b.dropped && a.dropped != 0 && b.dropped != 0 {
        return Some(VetoKind::Identifier);
    }
    let have_different_units = |(x, y, _): (&Token, &Token, _)| {
        x.kind == TokenKind::Number && x.detail != 0 && y.detail != 0 && !units_agree(x.detail, y.detail)
    };
    if alignment.matches().any(have_different_units) {
        return Some(VetoKind::Number);
    }
    let mut dates = alignment.only_a().filter(|x| x.kind == TokenKind::Date);
    if dates.any(|x| alignment.only_b().any(|y| y.kind == TokenKind::Date && y.detail == x.detail)) {
        return Some(VetoKind::Date);
    }
    let quotes = unmatched(TokenKind::Quote);
    let is_quoted = |token: &Token| token.is_quoted && (token.kind == TokenKind::Word || token.kind.is_exact());
    (quotes.0 > 0 && quotes.1 > 0 && alignment.only_a().any(is_quoted) && alignment.only_b().any(is_quoted))
        .then_some(VetoKind::Quote)
}

/// In a language without word lists, a word of at most this many letters may be a negation or a preposition.
const MAX_PARTICLE_LETTERS: u32 = 4;

/// Different languages. In a language without word lists: a short word that only one question has, words in the place
/// of others, another spelling, or another order.
fn language(a: &Signature, b: &Signature, alignment: &Alignment<'_>, features: &Features) -> Option<VetoKind> {
    let differs = if a.language != b.language && a.language.is_told() && b.language.is_told() {
        true
    } else if a.language == ToldLanguage::UNCOVERED || b.language == ToldLanguage::UNCOVERED {
        let is_short = |token: &Token| token.detail >> 20 <= MAX_PARTICLE_LETTERS && !token.kind.is_exact();
        let is_topic = |token: &Token| token.kind.is_content();
        alignment.only_a().chain(alignment.only_b()).any(is_short)
            || alignment.only_a().any(is_topic) && alignment.only_b().any(is_topic)
            || features.single_swap != 0.0
            || features.spellings != 0.0
            || features.reordered != 0.0
    } else {
        false
    };
    differs.then_some(VetoKind::Language)
}

/// Values of the form that an answer can have without being asked for them.
const UNMARKED_FORMS: [&str; 3] = ["english", "list", "text"];

/// A contradiction in the span of time or in the form of the answer.
fn slots(a: &Signature, b: &Signature, alignment: &Alignment<'_>) -> Option<VetoKind> {
    let (x, y) = match (&a.slots, &b.slots) {
        (Some(x), Some(y)) => (x, y),
        (None, None) => return None,
        // A signature of version 1 does not say. It agrees with slots that have a value only if it has the same tokens.
        (Some(known), None) | (None, Some(known)) => {
            let is_same = a.total == b.total && alignment.only_a().chain(alignment.only_b()).next().is_none();
            let kind = match known {
                Slots { material: 1.., .. } => VetoKind::Material,
                Slots { time: 1.., .. } => VetoKind::Time,
                _ => VetoKind::Form,
            };
            return (*known != Slots::default() && !is_same).then_some(kind);
        }
    };
    if x.material != y.material {
        return Some(VetoKind::Material);
    }
    if x.time != y.time && x.time != 0 && y.time != 0 {
        return Some(VetoKind::Time);
    }
    let differs = |slot: FormSlot| {
        let (x, y) = (x.form[slot as usize], y.form[slot as usize]);
        let is_required = matches!(slot, FormSlot::Language | FormSlot::Format | FormSlot::Audience);
        match (x, y) {
            (0, 0) => false,
            (0, only) => is_required && !is_mentioned(only, alignment.a),
            (only, 0) => is_required && !is_mentioned(only, alignment.b),
            (x, y) => x != y,
        }
    };
    FormSlot::ALL.into_iter().any(differs).then_some(VetoKind::Form)
}

/// The least share of common topic words (`overlap_loose`) of two instructions about the same material. The similarity
/// of the embeddings shows the material, and so it is no evidence for the instructions.
const MIN_INSTRUCTION_OVERLAP: f64 = 0.75;

/// Two instructions about the same material that share too few words, have a word in place of another, or ask with
/// another kind of question word.
fn material(a: &Signature, b: &Signature, alignment: &Alignment<'_>, features: &Features) -> Option<VetoKind> {
    let has_material = |signature: &Signature| signature.slots.is_some_and(|slots| slots.material != 0);
    let is_topic = |token: &Token| token.kind.is_content() || token.kind == TokenKind::Quantifier;
    let is_replaced = || alignment.only_a().any(is_topic) && alignment.only_b().any(is_topic);
    let differs =
        || features.overlap_loose < MIN_INSTRUCTION_OVERLAP || features.question_type_different != 0.0 || is_replaced();
    (has_material(a) && has_material(b) && differs()).then_some(VetoKind::Material)
}

/// True if the value of a form is unmarked, or if a word among `tokens` names it: "sort a list in Python", "sort a
/// Python list".
fn is_mentioned(value: u16, tokens: &[Token]) -> bool {
    UNMARKED_FORMS.iter().any(|form| hash16(form) == u32::from(value))
        || tokens.iter().any(|token| (token.hash >> 16).max(1) == u32::from(value))
}

/// An odd number of negations and opposites, between two questions of one type whose topics do not differ otherwise.
fn polarity(a: &Signature, b: &Signature, alignment: &Alignment<'_>, features: &Features) -> Option<VetoKind> {
    let is_topic = |token: &&Token| token.kind.is_content() || token.kind == TokenKind::Quantifier;
    let others = alignment.only_a().filter(is_topic).count().max(alignment.only_b().filter(is_topic).count());
    let opposites = features.opposites as usize;
    let inversions = usize::from(a.negations) + usize::from(b.negations) + opposites;
    if inversions.is_multiple_of(2) || a.question_type != b.question_type {
        return None;
    }
    match opposites {
        0 if others == 0 => Some(VetoKind::Negation),
        1 if others <= 1 => Some(VetoKind::Opposite),
        _ => None,
    }
}

/// Two tokens that both questions contain have exchanged roles, or one comes from where the other goes to, and the
/// topics do not differ otherwise.
fn direction(alignment: &Alignment<'_>) -> Option<VetoKind> {
    let changed: Vec<(SemanticRole, SemanticRole)> = alignment
        .matches()
        .filter(|(x, y, _)| x.role != y.role && x.kind.is_content())
        .map(|(x, y, _)| (x.role, y.role))
        .collect();
    let is_opposite = |&(x, y): &(SemanticRole, SemanticRole)| {
        matches!((x, y), (SemanticRole::From, SemanticRole::To) | (SemanticRole::To, SemanticRole::From))
    };
    let is_exchanged = changed.iter().any(|&(x, y)| changed.contains(&(y, x))) || changed.iter().any(is_opposite);
    (is_exchanged && alignment.only_a().chain(alignment.only_b()).all(|token| !token.kind.is_content()))
        .then_some(VetoKind::Direction)
}
