//! Small talk: greetings, thanks and offers of help, which no answer depends on (`small_talk.tsv` of each language).

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::speaker::Speaker;
use crate::language::{FollowUpCue, Language};

const LISTS: [&str; 11] = [
    include_str!("../../languages/en/small_talk.tsv"),
    include_str!("../../languages/de/small_talk.tsv"),
    include_str!("../../languages/fr/small_talk.tsv"),
    include_str!("../../languages/es/small_talk.tsv"),
    include_str!("../../languages/pt/small_talk.tsv"),
    include_str!("../../languages/it/small_talk.tsv"),
    include_str!("../../languages/nl/small_talk.tsv"),
    include_str!("../../languages/pl/small_talk.tsv"),
    include_str!("../../languages/ru/small_talk.tsv"),
    include_str!("../../languages/ja/small_talk.tsv"),
    include_str!("../../languages/zh/small_talk.tsv"),
];

/// A longer text is no small talk. The time to recognise small talk stays bounded.
const MAX_WORDS: usize = 60;
/// The most words that a `_` of a pattern stands for.
const MAX_WILDCARD_WORDS: usize = 4;
/// The end of a sentence among the words of a text. No phrase goes beyond it.
const SENTENCE_END: &str = ".";
/// The marks and pictures that may accompany small talk. Any other character that is no letter may have a meaning.
const MARKS: &str = "、，.,!?;:'’‘`´\"“”«»()-–—…*~¡¿/^|_👋🙂😊😀😃😄🙏❤️👍🎉✨🤗☺️\u{200d}\u{fe0f}";

/// The marks that end a sentence.
const SENTENCE_MARKS: &str = ".!?\n。！？";

/// The kinds of rows that hold patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PatternKind {
    /// It says nothing that an answer depends on, in any place.
    Pleasantry,
    /// It says nothing if nothing but small talk precedes it: "ok" may be the answer to a question.
    Acknowledgement,
    /// It says nothing if the assistant says it: "I am Ava, your virtual assistant".
    Introduction,
}

/// An element of a pattern: one of several choices.
struct Slot {
    /// Each a list of words.
    choices: Vec<Vec<&'static str>>,
    is_optional: bool,
    /// For `_` and `@`: the most words that it stands for.
    max_wildcard_words: Option<usize>,
}

struct Pattern {
    kind: PatternKind,
    slots: Vec<Slot>,
}

/// The words of one language that show whether a message after small talk is a question or a follow-up.
struct Cues {
    question: HashSet<&'static str>,
    follow_up: HashSet<(FollowUpCue, &'static str)>,
}

#[derive(Default)]
struct SmallTalk {
    patterns: Vec<Pattern>,
    /// By a pattern's first word: the indexes of the patterns.
    by_first_word: HashMap<&'static str, Vec<usize>>,
    /// The words for yes and no.
    answers: HashSet<&'static str>,
    /// By language, English first. The follow-up words of English are those of [`Language`].
    cues: Vec<Cues>,
}

impl SmallTalk {
    /// The lists, parsed at the first call.
    fn get() -> &'static Self {
        static LISTED: OnceLock<SmallTalk> = OnceLock::new();
        LISTED.get_or_init(|| {
            let mut this = Self::default();
            LISTS.iter().for_each(|list| this.parse(list));
            this
        })
    }

    fn parse(&mut self, list: &'static str) {
        let mut cues = Cues { question: HashSet::new(), follow_up: HashSet::new() };
        let rows = list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
        for (name, row) in rows {
            let kind = match name {
                "pleasantry" => PatternKind::Pleasantry,
                "ack" => PatternKind::Acknowledgement,
                "introduction" => PatternKind::Introduction,
                "answer" => {
                    self.answers.extend(row.split(' '));
                    continue;
                }
                "question" => {
                    cues.question.extend(row.split(' '));
                    continue;
                }
                _ => {
                    let cue = match name {
                        "opener" => FollowUpCue::Opener,
                        "reference" => FollowUpCue::Reference,
                        "definite" => FollowUpCue::Definite,
                        _ => FollowUpCue::Specifier,
                    };
                    cues.follow_up.extend(row.split(' ').map(|word| (cue, word)));
                    continue;
                }
            };
            for pattern in row.split("; ") {
                self.add(kind, pattern);
            }
        }
        self.cues.push(cues);
    }

    fn add(&mut self, kind: PatternKind, pattern: &'static str) {
        let slots: Vec<Slot> = pattern.split(' ').map(Slot::parse).collect();
        // A pattern may begin with optional words, so it can begin with a word of any slot up to the first needed one.
        let needed = slots.iter().position(|slot| !slot.is_optional).unwrap_or(0);
        let first_words: HashSet<&'static str> =
            slots[..=needed].iter().flat_map(|slot| slot.choices.iter().map(|choice| choice[0])).collect();
        for word in first_words {
            self.by_first_word.entry(word).or_default().push(self.patterns.len());
        }
        self.patterns.push(Pattern { kind, slots });
    }

    /// True if `words` are a sequence of phrases of the given kinds.
    fn covers(&self, words: &[String], is_included: impl Fn(PatternKind) -> bool) -> bool {
        let mut reached = vec![false; words.len() + 1];
        reached[0] = true;
        for start in 0..words.len() {
            if !reached[start] {
                continue;
            }
            if words[start] == SENTENCE_END {
                reached[start + 1] = true;
                continue;
            }
            for &pattern in self.by_first_word.get(words[start].as_str()).into_iter().flatten() {
                let pattern = &self.patterns[pattern];
                if is_included(pattern.kind) {
                    pattern.mark_ends(words, start, &mut reached);
                }
            }
        }
        reached[words.len()]
    }
}

impl Slot {
    fn parse(slot: &'static str) -> Self {
        let inner = slot.strip_prefix('(').and_then(|slot| slot.strip_suffix(')'));
        let choices = inner.unwrap_or(slot);
        Self {
            choices: choices.split('|').map(|choice| choice.split('+').collect()).collect(),
            is_optional: inner.is_some(),
            max_wildcard_words: match choices {
                "_" => Some(MAX_WILDCARD_WORDS),
                "@" => Some(1),
                _ => None,
            },
        }
    }
}

impl Pattern {
    /// Marks each place where the pattern can end if it begins at `start`.
    fn mark_ends(&self, words: &[String], start: usize, reached: &mut [bool]) {
        let mut places = HashSet::from([start]);
        for slot in &self.slots {
            let mut next = if slot.is_optional { places.clone() } else { HashSet::new() };
            for &place in &places {
                if let Some(max) = slot.max_wildcard_words {
                    let free = words[place..].iter().take(max).take_while(|word| *word != SENTENCE_END).count();
                    next.extend(place + 1..=place + free);
                } else {
                    let fitting = slot.choices.iter().filter(|choice| {
                        words.get(place..place + choice.len()).is_some_and(|words| words.iter().eq(choice.iter()))
                    });
                    next.extend(fitting.map(|choice| place + choice.len()));
                }
            }
            places = next;
        }
        for place in places {
            if place > start {
                reached[place] = true;
            }
        }
    }
}

/// The words of a text in lower case, with [`SENTENCE_END`] at the end of each sentence. `None` if it holds a character
/// that may have a meaning of its own, or more than [`MAX_WORDS`] words.
fn plain_words(text: &str) -> Option<Vec<String>> {
    let mut words = vec![String::new()];
    for character in text.chars() {
        match character {
            '\'' | '’' | '‘' => words.last_mut()?.push('\''),
            letter if letter.is_alphabetic() => words.last_mut()?.extend(letter.to_lowercase()),
            mark if mark.is_whitespace() || MARKS.contains(mark) || SENTENCE_MARKS.contains(mark) => {
                if words.last().is_some_and(|word| !word.is_empty()) {
                    words.push(String::new());
                }
                if SENTENCE_MARKS.contains(mark) && words.len() > 1 {
                    words.insert(words.len() - 1, SENTENCE_END.to_owned());
                }
            }
            _ => return None,
        }
        if words.len() > MAX_WORDS {
            return None;
        }
    }
    let words = words.into_iter().map(|word| word.trim_matches('\'').to_owned());
    Some(words.filter(|word| !word.is_empty()).collect())
}

/// True if a message of `speaker`, before which only small talk was said, is small talk: greetings, thanks, offers of
/// help. Languages: English, German, French, Spanish, Portuguese, Italian, Dutch, Polish, Russian, Japanese, Chinese.
pub(super) fn is_small_talk(speaker: Speaker, text: &str) -> bool {
    if text.trim().is_empty() {
        return true;
    }
    let is_included = |kind| kind != PatternKind::Introduction || speaker == Speaker::Assistant;
    plain_words(text).is_some_and(|words| {
        words.iter().any(|word| word != SENTENCE_END) && SmallTalk::get().covers(&words, is_included)
    })
}

/// `text` without the clauses that say nothing in any place: "Hello, ", "Thanks a lot!". The other clauses are as they
/// were.
pub(super) fn without_pleasantries(text: &str) -> String {
    let is_pleasantry = |words: &[String]| SmallTalk::get().covers(words, |kind| kind == PatternKind::Pleasantry);
    without_clauses(text, is_pleasantry)
}

/// `text` without small talk and acknowledgements ("ok thanks"). "Yes" and "no" are kept, since they answer a question.
pub(super) fn without_acknowledgements(text: &str) -> String {
    let answers = &SmallTalk::get().answers;
    without_clauses(text, |words| {
        !words.iter().any(|word| answers.contains(word.as_str()))
            && SmallTalk::get().covers(words, |kind| kind != PatternKind::Introduction)
    })
}

/// A longer text keeps its greetings. It may be a letter that is the matter of the question.
const MAX_FRAMED_BYTES: usize = 400;

/// `text` without the greeting that begins it, and without the thanks and the name that end it after a sentence. All of
/// `text` if nothing else remains, or if it may hold a text that the question is about.
pub(super) fn without_frame(text: &str) -> &str {
    if text.len() > MAX_FRAMED_BYTES || text.contains([':', '"', '“', '”', '„', '«', '»', '`', '：', '「']) {
        return text;
    }
    let is_small_talk = |clause: &str| {
        plain_words(clause).is_some_and(|words| {
            words.iter().any(|word| word != SENTENCE_END)
                && SmallTalk::get().covers(&words, |kind| kind == PatternKind::Pleasantry)
        })
    };
    let mut start = 0;
    for clause in clauses(text).take_while(|clause| is_small_talk(clause)) {
        start += clause.len();
    }
    let rest = &text[start..];
    let ends_sentence =
        |clause: &str| clause.trim_end().ends_with(['?', '.', '!', '？', '。', '！']) || clause.ends_with('\n');
    let mut end = rest.len();
    let all: Vec<&str> = clauses(rest).collect();
    // A short last clause after the thanks is a name.
    let is_name = |clause: &str| clause.split_whitespace().count() <= MAX_NAME_WORDS && !clause.contains('?');
    let mut at = all.len();
    while at > 1 {
        let is_signed = at == all.len() && at > 2 && is_name(all[at - 1]) && is_small_talk(all[at - 2]);
        if !(is_small_talk(all[at - 1]) || is_signed) {
            break;
        }
        at -= 1;
        end -= all[at].len();
    }
    if at == 0 || rest.trim().is_empty() {
        return text;
    }
    if at < all.len() && !ends_sentence(all[at - 1]) {
        end = rest.len();
    }
    rest[..end].trim()
}

/// The name after "Many thanks," has at most this many words.
const MAX_NAME_WORDS: usize = 2;

fn without_clauses(text: &str, is_nothing: impl Fn(&[String]) -> bool) -> String {
    let is_kept = |clause: &&str| {
        !plain_words(clause).is_some_and(|words| words.iter().any(|word| word != SENTENCE_END) && is_nothing(&words))
    };
    clauses(text).filter(is_kept).collect()
}

/// The clauses of a text, each with the marks after it.
fn clauses(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.char_indices().zip(rest.chars().skip(1)).find_map(|((at, mark), next)| {
            let ends = mark == '\n' || ".!?;,".contains(mark) && next.is_whitespace();
            ends.then_some(at + mark.len_utf8())
        });
        let (clause, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        (!clause.is_empty()).then_some(clause)
    })
}

/// True if a message is a question, by its mark or its first word.
pub(super) fn is_question(text: &str) -> bool {
    text.contains(['?', '？', '¿', '؟']) || begins_with_question_word(text, &SmallTalk::get().cues)
}

/// True if a message begins with an English question word, or with one after "and" or "ok".
pub(super) fn is_english_question(text: &str) -> bool {
    begins_with_question_word(text, &SmallTalk::get().cues[..1])
}

fn begins_with_question_word(text: &str, cues: &[Cues]) -> bool {
    let words = lower_words(text);
    let english = Language::english();
    let is_question = |word: &String| cues.iter().any(|cues| cues.question.contains(word.as_str()));
    let is_opener = |word: &&String| english.is_cue(FollowUpCue::Opener, word);
    words.first().is_some_and(is_question) || words.iter().find(|word| !is_opener(word)).is_some_and(is_question)
}

/// True if a message that follows small talk alone refers to something that was not said: a statement or a command with
/// a word such as "it", or about a definite thing ("cancel the order"). A question is none, since nothing was said that
/// it could refer to. Any other text in another script than Latin is one.
pub(super) fn refers_to_unsaid(text: &str) -> bool {
    if is_question(text) {
        return false;
    }
    if text.chars().filter(|character| character.is_alphabetic()).any(|letter| !is_latin(letter)) {
        return true;
    }
    let words = lower_words(text);
    let english = Language::english();
    let is_cue = |language: usize, cue: FollowUpCue, word: &str| match language {
        0 => english.is_cue(cue, word),
        _ => SmallTalk::get().cues[language].follow_up.contains(&(cue, word)),
    };
    let is_known = |language: usize, word: &str| {
        let cues = [FollowUpCue::Opener, FollowUpCue::Reference, FollowUpCue::Definite, FollowUpCue::Specifier];
        cues.iter().any(|cue| is_cue(language, *cue, word)) || language == 0 && english.is_listed(word)
    };
    let count = |language: usize| words.iter().filter(|word| is_known(language, word)).count();
    let Some(language) = (0..LISTS.len()).rev().max_by_key(|language| count(*language)) else { return true };
    let mentions_definite_thing = words.iter().enumerate().any(|(at, word)| {
        is_cue(language, FollowUpCue::Definite, word)
            && !words[at + 1..].iter().any(|later| is_cue(language, FollowUpCue::Specifier, later))
    });
    mentions_definite_thing
        || words.first().is_some_and(|first| is_cue(language, FollowUpCue::Opener, first))
        || words.iter().any(|word| is_cue(language, FollowUpCue::Reference, word))
}

fn lower_words(text: &str) -> Vec<String> {
    let words = text.split(|character: char| !character.is_alphanumeric() && !"'’".contains(character));
    words.filter(|word| !word.is_empty()).map(|word| word.to_lowercase().replace('’', "'")).collect()
}

/// True for a letter of the Latin script: the blocks Basic Latin to Latin Extended-B, and Latin Extended Additional.
fn is_latin(letter: char) -> bool {
    matches!(letter, '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_lists_has_a_known_kind_and_every_pattern_begins_with_a_word() {
        const KINDS: &[&str] = &[
            "pleasantry",
            "ack",
            "introduction",
            "answer",
            "question",
            "opener",
            "reference",
            "definite",
            "specifier",
        ];
        for list in LISTS {
            for row in list.lines().filter(|line| !line.starts_with('#')) {
                let (kind, patterns) = row.split_once('\t').expect("a kind and its patterns");
                assert!(KINDS.contains(&kind), "{kind}");
                for pattern in patterns.split("; ") {
                    assert!(
                        !pattern.starts_with(['_', '@']) && !pattern.contains("  ") && !pattern.is_empty(),
                        "{row}"
                    );
                    assert_eq!(pattern.matches('(').count(), pattern.matches(')').count(), "{pattern}");
                }
            }
        }
    }

    #[test]
    fn is_small_talk_of_introductions_depends_on_the_speaker() {
        let introduction = "Hello! I'm Ava, your virtual assistant at Acme.";
        assert!(is_small_talk(Speaker::Assistant, introduction));
        assert!(!is_small_talk(Speaker::User, introduction));
        assert!(!is_small_talk(Speaker::Assistant, "Hello! We are closed today. How can I help?"));
        assert!(!is_small_talk(Speaker::User, &"thanks ".repeat(MAX_WORDS + 1)));
    }

    #[test]
    fn without_pleasantries_keeps_statements_as_they_are() {
        assert_eq!(without_pleasantries("Hi, where is my order 48213? Thanks a lot!"), " where is my order 48213?");
        assert_eq!(without_pleasantries("It costs 1,000.50 euros, ok"), "It costs 1,000.50 euros, ok");
        assert_eq!(without_acknowledgements("yes"), "yes");
        assert_eq!(without_acknowledgements("ok thanks"), "");
    }

    #[test]
    fn without_frame_leaves_out_greetings_and_thanks_around_a_question() {
        for (text, asked) in [
            ("Hi, how do I pay?", "how do I pay?"),
            ("Good morning! How do I pay? Cheers", "How do I pay?"),
            ("Hi team, when does the sale end? Many thanks, Anna", "when does the sale end?"),
            ("Bonjour, comment payer ?", "comment payer ?"),
            ("How do I pay?", "How do I pay?"),
            ("Hello", "Hello"),
            ("Translate into French: Hello, how are you?", "Translate into French: Hello, how are you?"),
            ("What does \"Where is it? Thanks\" mean", "What does \"Where is it? Thanks\" mean"),
            ("How do I say thanks, bye", "How do I say thanks, bye"),
        ] {
            assert_eq!(without_frame(text), asked, "{text}");
        }
    }
}
