//! Crisp contradictions: differences that make one answer wrong for the other question, however alike the rest is.

use serde::Serialize;

use crate::alignment::Alignment;
use crate::features::Features;
use crate::signature::Signature;
use crate::token::{Kind, Role, Token};

/// How two questions contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VetoKind {
    /// Another number, or the same in another unit.
    Number,
    /// Another order number, model, version or address.
    Identifier,
    /// Another day, month or time.
    Date,
    /// Another quotation.
    Quote,
    /// One denies what the other does not, and nothing else differs.
    Negation,
    /// A word and its opposite, and nothing else differs.
    Opposite,
    /// From A to B against from B to A.
    Direction,
    /// What was said before a message that leans on it.
    Context,
}

/// The contradiction of two signatures, if there is one.
pub(crate) fn contradiction(
    a: &Signature,
    b: &Signature,
    alignment: &Alignment<'_>,
    features: &Features,
) -> Option<VetoKind> {
    exact(a, b, alignment).or_else(|| polarity(a, b, alignment, features)).or_else(|| direction(alignment))
}

fn exact(a: &Signature, b: &Signature, alignment: &Alignment<'_>) -> Option<VetoKind> {
    let count = |kind: Kind| {
        let of = |token: &&Token| token.kind == kind;
        (alignment.only_a().filter(of).count(), alignment.only_b().filter(of).count())
    };
    let (numbers, identifiers, quotes) = (count(Kind::Number), count(Kind::Identifier), count(Kind::Quote));
    let quoted = |token: &&Token| token.is_quoted && (token.kind == Kind::Word || token.kind.is_exact());
    if identifiers.0 + numbers.0 > 0 && identifiers.1 + numbers.1 > 0 {
        return Some(if identifiers.0 + identifiers.1 > 0 { VetoKind::Identifier } else { VetoKind::Number });
    }
    if a.dropped != b.dropped && a.dropped != 0 && b.dropped != 0 {
        return Some(VetoKind::Identifier);
    }
    let other_unit = |(x, y, _): (&Token, &Token, _)| {
        x.kind == Kind::Number && x.detail != y.detail && x.detail != 0 && y.detail != 0
    };
    if alignment.pairs().any(other_unit) {
        return Some(VetoKind::Number);
    }
    let dates = alignment.only_a().filter(|x| x.kind == Kind::Date);
    if dates.into_iter().any(|x| alignment.only_b().any(|y| y.kind == Kind::Date && y.detail == x.detail)) {
        return Some(VetoKind::Date);
    }
    (quotes.0 > 0 && quotes.1 > 0 && alignment.only_a().any(|x| quoted(&x)) && alignment.only_b().any(|y| quoted(&y)))
        .then_some(VetoKind::Quote)
}

/// Nothing else of the topic differs, and they ask alike.
fn polarity(a: &Signature, b: &Signature, alignment: &Alignment<'_>, features: &Features) -> Option<VetoKind> {
    let topic = |token: &&Token| token.kind.is_content() || token.kind == Kind::Scope;
    let others = alignment.only_a().filter(topic).count().max(alignment.only_b().filter(topic).count());
    let turns = usize::from(a.negations) + usize::from(b.negations) + features.opposites as usize;
    if turns.is_multiple_of(2) || a.asks != b.asks {
        return None;
    }
    match features.opposites as usize {
        0 if others == 0 => Some(VetoKind::Negation),
        1 if others <= 1 => Some(VetoKind::Opposite),
        _ => None,
    }
}

/// Two things that both questions name stand on exchanged sides of a relation.
fn direction(alignment: &Alignment<'_>) -> Option<VetoKind> {
    let moved: Vec<(Role, Role)> = alignment
        .pairs()
        .filter(|(x, y, _)| x.role != y.role && x.kind.is_content())
        .map(|(x, y, _)| (x.role, y.role))
        .collect();
    let exchanged = moved.iter().any(|&(x, y)| moved.contains(&(y, x)));
    (exchanged && alignment.only_a().chain(alignment.only_b()).all(|token| !token.kind.is_content()))
        .then_some(VetoKind::Direction)
}
