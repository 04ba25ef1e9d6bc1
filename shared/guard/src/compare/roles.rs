//! Exchanged roles: "Did Acme acquire Globex?" and "Did Globex acquire Acme?".

use fnv::FnvHashSet;

use super::alignment::Alignment;
use crate::language::{Relations, are_opposites};
use crate::signature::Signature;
use crate::token::{Token, TokenKind};

/// A question with more topic tokens is not examined: two parts of a long text can be exchanged for many reasons.
const MAX_TOPIC_TOKENS: usize = 24;

/// True if the questions have the same tokens, but two parts have exchanged their places and are not joined as equals.
///
/// The words between the parts must be the same, apart from articles and pronouns, so that a rewording with another
/// preposition does not count ("the history of the town", "the town's history"). A passive exchanges the parts back
/// ("Was Globex acquired by Acme?").
pub(super) fn exchanged(a: &Signature, b: &Signature, alignment: &Alignment<'_>) -> bool {
    let words = Relations::of(a.language, b.language);
    if asks_for_other_case(words, alignment) {
        return true;
    }
    let differs = |token: &Token| !may_differ(words, token);
    if alignment.only_a().chain(alignment.only_b()).any(differs) {
        return false;
    }
    let is_covered = |signature: &Signature| signature.language.is_told() && signature.language.index().is_some();
    if !(is_covered(a) || is_legible(alignment.a)) || !(is_covered(b) || is_legible(alignment.b)) {
        return false;
    }
    let (topic_a, topic_b) = (topic(words, alignment.a), topic(words, alignment.b));
    if topic_a.len() != topic_b.len() || topic_a.len() > MAX_TOPIC_TOKENS {
        return false;
    }
    // By the index in the first topic: the index in the second.
    let order: Option<Vec<usize>> =
        topic_a.iter().map(|&i| alignment.of_a[i].and_then(|(j, _)| topic_b.binary_search(&j).ok())).collect();
    let Some(order) = order else { return false };
    let gaps = (Gap::of(words, alignment.a), Gap::of(words, alignment.b));
    if let (Some(a), Some(b)) = gaps
        && a.differs_from(b, &order, || {
            let swap = Swap::of(&order);
            swap.is_some_and(|swap| {
                swap.follows_verb(words, alignment.a, &topic_a) && swap.follows_verb(words, alignment.b, &topic_b)
            })
        })
    {
        return true;
    }
    let is_passive_only_once = is_passive(words, alignment.a) != is_passive(words, alignment.b);
    let is_agent = |token: &&Token| words.agents.contains(&token.hash);
    let agents = |tokens: &[Token]| tokens.iter().filter(is_agent).count();
    let is_symmetric = alignment.a.iter().any(|token| words.symmetric.contains(&token.hash));
    if is_symmetric {
        return false;
    }
    if let Some(differ) = cases_differ(words, alignment) {
        return differ;
    }
    let Some(swap) = Swap::of(&order) else {
        // The same order in the active and the passive voice.
        let is_same_order = order.iter().enumerate().all(|(at, partner)| at == *partner);
        if is_same_order && persons_are_exchanged(words, alignment) {
            return true;
        }
        let has_agent_only_once = agents(alignment.a).abs_diff(agents(alignment.b)) == 1;
        return is_same_order && order.len() == 3 && is_passive_only_once && has_agent_only_once;
    };
    if is_passive_only_once || agents(alignment.a) != agents(alignment.b) {
        return false;
    }
    if swap.first.1 == swap.second.0 && pronoun_takes_the_other_side(words, alignment, &topic_a, &topic_b, &swap) {
        return true;
    }
    if words.has_final_verb
        && swap.precedes_verb(words, alignment.a, &topic_a)
        && swap.precedes_verb(words, alignment.b, &topic_b)
    {
        return true;
    }
    let between_a = between(words, alignment.a, topic_a[swap.first.1 - 1], topic_a[swap.second.0]);
    let (start_b, end_b) = swap.bounds_on_other_side();
    let between_b = between(words, alignment.b, topic_b[start_b], topic_b[end_b]);
    let joins_equals = |tokens: &[&Token]| tokens.iter().any(|token| words.connectives.contains(&token.hash));
    let hashes = |tokens: &[&Token]| tokens.iter().map(|token| token.hash).collect::<Vec<_>>();
    !between_a.is_empty() && !joins_equals(&between_a) && hashes(&between_a) == hashes(&between_b)
}

/// Whether the article of a thing that both questions contain shows another case. `None` if no article shows the case in
/// both.
fn cases_differ(words: &Relations, alignment: &Alignment<'_>) -> Option<bool> {
    let is_subject = |tokens: &[Token], at: usize| {
        let article = tokens[at.checked_sub(1)?].hash;
        let is_subject = words.subject_articles.contains(&article);
        (is_subject || words.object_articles.contains(&article)).then_some(is_subject)
    };
    let pairs = alignment.of_a.iter().enumerate().filter_map(|(i, matched)| matched.map(|(j, _)| (i, j)));
    let mut cases = pairs.filter(|(i, _)| alignment.a[*i].kind == TokenKind::Word).filter_map(|(i, j)| {
        let (a, b) = (is_subject(alignment.a, i)?, is_subject(alignment.b, j)?);
        Some(a != b)
    });
    let first = cases.next()?;
    Some(first || cases.any(|differs| differs))
}

/// True if the questions differ only in the case of the question word, or in whether a preposition of the object precedes
/// it: "wer" and "wen", "quién" and "a quién".
fn asks_for_other_case(words: &Relations, alignment: &Alignment<'_>) -> bool {
    let decisive = |token: &&Token| !may_differ(words, token);
    let (mut only_a, mut only_b) = (alignment.only_a().filter(decisive), alignment.only_b().filter(decisive));
    let is_question = |token: &Token| token.kind == TokenKind::QuestionWord;
    match (only_a.next(), only_b.next(), only_a.next(), only_b.next()) {
        (Some(a), Some(b), None, None) => is_question(a) && is_question(b) && are_opposites(a.hash, b.hash),
        (None, None, ..) => {
            let is_marked = |tokens: &[Token]| {
                let at = tokens.iter().position(is_question).and_then(|at| at.checked_sub(1));
                at.is_some_and(|at| words.object_markers.contains(&tokens[at].hash))
            };
            alignment.a.iter().any(is_question) && is_marked(alignment.a) != is_marked(alignment.b)
        }
        _ => false,
    }
}

/// What the question word for a person or thing stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    participant: Participant,
    /// A passive says it: "Who was Brazil beaten by?"
    is_passive: bool,
    /// The subject is a pronoun: "Who do you love?"
    is_pronoun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Participant {
    /// The one who does something: "Who beat Brazil?"
    Subject,
    /// The one to whom it is done: "Who did Brazil beat?"
    Object,
    /// The order of the words says it: "Who can Brazil beat?", "Who can beat Brazil?"
    Ordered,
}

/// At most this many words of the phrase of a question word precede the verb: "which national football team".
const MAX_PHRASE_WORDS: usize = 4;

impl Gap {
    fn of_participant(participant: Participant) -> Self {
        Self { participant, is_passive: false, is_pronoun: false }
    }

    /// The gap of a question. `None` for a text without a question word of a person or thing.
    fn of(words: &Relations, tokens: &[Token]) -> Option<Self> {
        let at = tokens.iter().position(|token| token.kind == TokenKind::QuestionWord)?;
        let is_in = |token: &Token, select: fn(&Relations) -> &FnvHashSet<u32>| select(words).contains(&token.hash);
        let asks_for_participant = is_in(&tokens[at], |words| &words.participants)
            || tokens.get(at + 1).is_some_and(|next| next.kind == TokenKind::Quantifier);
        if !asks_for_participant {
            return None;
        }
        // "By whom was Brazil beaten?"
        if at.checked_sub(1).is_some_and(|before| is_in(&tokens[before], |words| &words.agents)) {
            return Some(Self { is_passive: true, ..Self::of_participant(Participant::Subject) });
        }
        let rest = &tokens[at + 1..];
        let is_verb = |token: &Token| matches!(token.kind, TokenKind::Auxiliary | TokenKind::Modal);
        let may_be_in_phrase =
            |token: &Token| token.kind.is_content() || token.kind == TokenKind::Quantifier || is_article(words, token);
        let phrase = rest.iter().take(MAX_PHRASE_WORDS).take_while(|token| may_be_in_phrase(token)).count();
        let is_of_person = is_in(&tokens[at], |words| &words.persons_asked);
        let verb = rest.get(phrase).filter(|token| is_verb(token) && (phrase == 0 || !is_of_person));
        let Some(verb) = verb else {
            return Some(Self::of_participant(Participant::Subject));
        };
        let after = &rest[phrase + 1..];
        if is_in(verb, |words| &words.supports) {
            let is_pronoun = after.first().is_some_and(|token| token.kind == TokenKind::Pronoun);
            return Some(Self { is_pronoun, ..Self::of_participant(Participant::Object) });
        }
        if is_in(verb, |words| &words.passives)
            && let Some(agent) = after.iter().position(|token| is_in(token, |words| &words.agents))
        {
            let participle = after[..agent].iter().filter(|token| token.kind.is_content()).count();
            let has_name = |token: &Token| token.kind.is_content() || is_in(token, |words| &words.articles);
            let participant = match after.get(agent + 1).is_some_and(has_name) {
                true if participle == 1 => Participant::Object,
                false if participle > 1 => Participant::Subject,
                _ => return None,
            };
            return Some(Self { is_passive: true, ..Self::of_participant(participant) });
        }
        Some(Self::of_participant(Participant::Ordered))
    }

    /// True if two questions with the same words ask for another participant. `order`: by the place in one topic, the
    /// place in the other. `changes_places`: whether a verb and the words next to it have changed places.
    fn differs_from(self, other: Self, order: &[usize], changes_places: impl Fn() -> bool) -> bool {
        let is_same_order = || order.iter().enumerate().all(|(at, partner)| at == *partner);
        let is_passive_once = self.is_passive != other.is_passive;
        match (self.participant, other.participant) {
            // The order of "Who has beaten Brazil?" is that of "Who beat Brazil?", and of the passive of the opposite.
            (Participant::Ordered, _) | (_, Participant::Ordered) => changes_places() != is_passive_once,
            (one, another) => {
                one != another && (is_passive_once || self.is_pronoun || other.is_pronoun || !is_same_order())
            }
        }
    }
}

/// A text is in a language with word lists if at least one in so many of its tokens is in the class lists.
const MAX_TOKENS_PER_LISTED_WORD: usize = 5;

/// True if the words that join parts as equals are known: the text is in a language with word lists, or in a script
/// without spaces, whose characters are tokens without a sketch.
fn is_legible(tokens: &[Token]) -> bool {
    let is_word = |token: &&Token| token.kind == TokenKind::Word;
    let listed = tokens.iter().filter(|token| !is_word(token) && !token.kind.is_exact()).count();
    listed * MAX_TOKENS_PER_LISTED_WORD >= tokens.len()
        || tokens.iter().filter(is_word).all(|token| token.detail == 0 || token.is_name)
}

/// True if each question has two pronouns, of different persons, and the other has them in the other order: "Can I call
/// you?" and "Can you call me?".
fn persons_are_exchanged(words: &Relations, alignment: &Alignment<'_>) -> bool {
    let person = |token: &Token| (0..3).find(|&at| words.persons[at].contains(&token.hash));
    let persons = |tokens: &[Token]| tokens.iter().filter_map(person).collect::<Vec<_>>();
    match (&persons(alignment.a)[..], &persons(alignment.b)[..]) {
        ([a, b], [c, d]) => a != b && a == d && b == c,
        _ => false,
    }
}

/// True if a verb and a noun have changed places, and a pronoun is the object of one question and the subject of the
/// other: "Can my landlord sue me?" and "Can I sue my landlord?".
fn pronoun_takes_the_other_side(
    words: &Relations,
    alignment: &Alignment<'_>,
    a: &[usize],
    b: &[usize],
    swap: &Swap,
) -> bool {
    let object_after =
        |tokens: &[Token], at: usize| tokens.get(at + 1).is_some_and(|token| words.objects.contains(&token.hash));
    let subject_before =
        |tokens: &[Token], at: usize| at.checked_sub(1).is_some_and(|at| words.subjects.contains(&tokens[at].hash));
    let (first_a, last_a) = (a[swap.first.0], a[swap.second.1 - 1]);
    let (first_b, last_b) = (b[swap.first.0], b[swap.second.1 - 1]);
    object_after(alignment.a, last_a) && subject_before(alignment.b, first_b)
        || object_after(alignment.b, last_b) && subject_before(alignment.a, first_a)
}

/// True for tokens that may be on one side only: they do not decide the roles.
fn may_differ(words: &Relations, token: &Token) -> bool {
    matches!(token.kind, TokenKind::Pronoun | TokenKind::Auxiliary)
        || is_article(words, token)
        || words.agents.contains(&token.hash)
}

fn is_article(words: &Relations, token: &Token) -> bool {
    // French "a" is a verb.
    token.kind != TokenKind::Auxiliary && words.articles.contains(&token.hash)
}

/// The indexes of the tokens of the topic.
fn topic(words: &Relations, tokens: &[Token]) -> Vec<usize> {
    // A date has no role: "today's weather", "the weather today".
    let has_role =
        |token: &Token| token.kind.is_content() && token.kind != TokenKind::Date && !may_differ(words, token);
    (0..tokens.len()).filter(|&at| has_role(&tokens[at])).collect()
}

/// True if the question has an agent after a passive verb: "was acquired by Acme".
fn is_passive(words: &Relations, tokens: &[Token]) -> bool {
    let is_verb = |token: &Token| words.passives.contains(&token.hash);
    let is_agent = |token: &Token| words.agents.contains(&token.hash);
    let Some(agent) = tokens.iter().position(is_agent) else { return false };
    tokens[..agent].iter().any(is_verb) && tokens[..agent].last().is_some_and(|verb| verb.kind == TokenKind::Word)
}

/// The tokens between two places, without articles, pronouns and auxiliaries.
fn between<'t>(words: &Relations, tokens: &'t [Token], start: usize, end: usize) -> Vec<&'t Token> {
    tokens[start + 1..end].iter().filter(|token| !may_differ(words, token)).collect()
}

/// Two parts of a topic that have exchanged their places. Each is a range of indexes in the first topic, end excluded.
struct Swap {
    first: (usize, usize),
    second: (usize, usize),
}

impl Swap {
    /// The exchange of two parts that makes `order` of the identity. `None` if `order` is another permutation.
    fn of(order: &[usize]) -> Option<Self> {
        let start = order.iter().enumerate().position(|(at, partner)| at != *partner)?;
        let end = order.iter().enumerate().rposition(|(at, partner)| at != *partner)? + 1;
        // The second part begins where the token is that has the place `start`, and ends at `end`. The first part
        // begins at `start` and ends with the token that has the last place.
        let second = order.iter().position(|partner| *partner == start)?;
        let first_end = order.iter().position(|partner| *partner == end - 1)? + 1;
        if first_end > second {
            return None;
        }
        let exchanged = (second..end).chain(first_end..second).chain(start..first_end);
        exchanged
            .enumerate()
            .all(|(at, index)| order[index] == start + at)
            .then_some(Self { first: (start, first_end), second: (second, end) })
    }

    /// True if both parts stand together directly after the first verb of one side, or after the question word. `topic`:
    /// the indexes of the topic tokens among `tokens`.
    fn follows_verb(&self, words: &Relations, tokens: &[Token], topic: &[usize]) -> bool {
        let (start, end) = (topic[self.first.0], topic[self.second.1 - 1]);
        let may_stand_between = |token: &Token| token.kind.is_content() || may_differ(words, token);
        let before = tokens[..start].iter().rfind(|token| !is_article(words, token)).map(|token| token.kind);
        self.first.1 == self.second.0
            && tokens[start..=end].iter().all(may_stand_between)
            && matches!(before, None | Some(TokenKind::Auxiliary | TokenKind::Modal | TokenKind::QuestionWord))
    }

    /// True if each part is one noun, both stand together directly after the auxiliary that begins the question, and a
    /// verb ends it: "Hat die Katze die Maus gefressen?".
    fn precedes_verb(&self, words: &Relations, tokens: &[Token], topic: &[usize]) -> bool {
        self.follows_verb(words, tokens, topic)
            && tokens.first().is_some_and(|first| matches!(first.kind, TokenKind::Auxiliary | TokenKind::Modal))
            && topic.len() == self.second.1 + 1
            && self.first.1 - self.first.0 == 1
            && self.second.1 - self.second.0 == 1
    }

    /// On the other side: the index of the last token of the part that is first there, and of the first token of the
    /// part that is second there.
    fn bounds_on_other_side(&self) -> (usize, usize) {
        let start = self.first.0;
        let end = self.second.1;
        (start + (self.second.1 - self.second.0) - 1, end - (self.first.1 - self.first.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_of_permutation_is_exchange_of_two_parts_or_none() {
        let parts = |order: &[usize]| Swap::of(order).map(|swap| (swap.first, swap.second));
        assert_eq!(parts(&[2, 1, 0]), Some(((0, 1), (2, 3))));
        assert_eq!(parts(&[0, 3, 4, 2, 1]), Some(((1, 3), (4, 5))));
        assert_eq!(parts(&[0, 3, 4, 1, 2]), Some(((1, 3), (3, 5))));
        assert_eq!(parts(&[0, 1, 2]), None);
        assert_eq!(parts(&[1, 2, 0, 4, 3]), None);
    }
}
