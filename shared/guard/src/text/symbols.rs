//! Symbols: what embedders drop, although it decides the answer where the words are the same: `rm -rf ./` and `rm -rf /`,
//! `i++` and `++i`, the thumb up and the thumb down.

/// Marks that prose may have or lack.
const PROSE: &str = ".,;:!?'\"`´’‘“”„«»()-‐‑–—…¿¡·、。，！？：；「」『』（）_#";
/// Signs of currencies and shares, which may stand before or after their number.
const BEFORE_OR_AFTER: &str = "€$£¥₹₽%°";

/// Symbols without white space, and what surrounds them.
#[derive(Debug, PartialEq, Eq)]
struct Run<'a> {
    /// The number of words before it.
    words_before: usize,
    text: &'a str,
}

/// The words of a text in lower case, and its symbols.
#[derive(Debug, Default)]
struct Parts<'a> {
    words: Vec<String>,
    runs: Vec<Run<'a>>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let mut parts = Self::default();
        let mut rest = text;
        let mut before = None;
        while let Some(first) = rest.chars().next() {
            let kind = Kind::of(first);
            let end = rest.find(|character| Kind::of(character) != kind).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            match kind {
                Kind::Word => parts.words.push(run.to_lowercase()),
                Kind::Space => {}
                Kind::Symbol => {
                    let after = after.chars().next();
                    if let Some(text) = significant(run, before, after) {
                        parts.runs.push(Run { words_before: parts.words.len(), text });
                    }
                }
            }
            before = run.chars().next_back();
            rest = after;
        }
        parts
    }

    /// The signs that may stand before or after their number, sorted.
    fn signs(&self) -> Vec<char> {
        let mut signs: Vec<char> =
            self.runs.iter().flat_map(|run| run.text.chars()).filter(|sign| BEFORE_OR_AFTER.contains(*sign)).collect();
        signs.sort_unstable();
        signs
    }

    /// The other symbols with their places. Symbols before the first or after the last word are decoration unless the other
    /// text has some there, too.
    fn operators<'b>(&'b self, other: &Self) -> Vec<(usize, &'b str)> {
        let is_edge = |run: &Run<'_>| run.words_before == 0 || run.words_before == self.words.len();
        let is_decoration =
            |run: &Run<'_>| is_edge(run) && !other.runs.iter().any(|theirs| theirs.words_before == run.words_before);
        let kept = self.runs.iter().filter(|run| !run.text.chars().all(|sign| BEFORE_OR_AFTER.contains(sign)));
        kept.filter(|run| !is_decoration(run)).map(|run| (run.words_before, run.text)).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Space,
    Symbol,
}

impl Kind {
    fn of(character: char) -> Self {
        match character {
            _ if character.is_alphanumeric() => Self::Word,
            _ if character.is_whitespace() => Self::Space,
            _ => Self::Symbol,
        }
    }
}

/// The part of `run` that prose does not explain. `before` and `after`: the characters around it.
fn significant(run: &str, before: Option<char>, after: Option<char>) -> Option<&str> {
    let is_prose = |character: char| PROSE.contains(character);
    let follows_word = before.is_some_and(char::is_alphanumeric);
    let precedes_word = after.is_some_and(char::is_alphanumeric);
    if !run.chars().all(is_prose) {
        // The mark that ends a sentence may follow an operator.
        let kept = if precedes_word { run } else { run.trim_end_matches(['.', ',', ';', ':', '!', '?', '…', ')']) };
        return Some(if kept.is_empty() { run } else { kept });
    }
    let is_long = run.chars().count() > 1;
    let has_point = run.chars().any(|character| ".:?!".contains(character));
    // `a?.b` and `std::cout`; `!x`; `??` between blanks, which no sentence ends with.
    let joins = follows_word && precedes_word && is_long && has_point;
    let negates = run == "!" && precedes_word && !follows_word;
    let stands_alone = !follows_word && before.is_some() && is_long && after.is_some_and(char::is_whitespace) && {
        let mut characters = run.chars();
        let first = characters.next();
        first.is_some_and(|first| "?!:.".contains(first)) && characters.all(|next| Some(next) == first)
    };
    (joins || negates || stands_alone).then_some(run)
}

/// Whether two questions with the same words in the same order have the same symbols, too. True if their words differ,
/// which other rules judge. Marks of prose, decoration around one text, and the side of a currency's sign do not count.
pub fn symbols_agree(query: &str, candidate: &str) -> bool {
    let (a, b) = (Parts::of(query), Parts::of(candidate));
    a.words != b.words || a.signs() == b.signs() && a.operators(&b) == b.operators(&a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_equal_words_that_differ_disagree() {
        for (a, b) in [
            ("What does || do in bash?", "What does | do in bash?"),
            ("What is i++ in C?", "What is ++i in C?"),
            ("When is !x and x true?", "When is x and x true?"),
            ("What does *p mean?", "What does &p mean?"),
            ("What does *args do?", "What does **args do?"),
            ("What does ?? mean in C#?", "What does ? mean in C#?"),
            ("How does a?.b differ?", "How does a.b differ?"),
            ("What is std::cout?", "What is std:cout?"),
            ("What does -> mean?", "What does => mean?"),
            ("What does <- mean?", "What does -> mean?"),
            ("Where is ~/.bashrc?", "Where is /.bashrc?"),
            ("What does rm -rf ./ do?", "What does rm -rf / do?"),
            ("Delete *.txt files", "Delete .txt files"),
            ("What does [^a] match?", "What does [a] match?"),
            ("Compute (a+b)*c", "Compute a+(b*c)"),
            ("What does 👍 mean?", "What does 👎 mean?"),
            ("How much is € 5?", "How much is £ 5?"),
            ("What is 25 % of 80?", "What is 25 of 80?"),
        ] {
            assert!(!symbols_agree(a, b), "{a} / {b}");
            assert!(!symbols_agree(b, a), "{b} / {a}");
        }
    }

    #[test]
    fn marks_of_prose_and_decoration_agree() {
        for (a, b) in [
            ("How do I pay?", "how do i pay"),
            ("How do I pay?", "How do I pay ?!"),
            ("Comment payer ?", "Comment payer?"),
            ("How do I pay? 🙂", "How do I pay?"),
            ("~how do I pay?", "How do I pay?"),
            ("What's \"cash back\"?", "What’s cash back?"),
            ("Ticket #123: status", "Ticket 123 status"),
            ("Is it 5 €?", "Is it €5?"),
            ("Wi-Fi, or cable?", "Wi Fi or cable"),
            ("What does && do?", "What does && do"),
            ("What is (roughly) the price...", "What is roughly the price?"),
            ("Call user_id here", "call user id here."),
            ("How do I pay?", "How can I pay with & without a card?"),
        ] {
            assert!(symbols_agree(a, b), "{a} / {b}");
            assert!(symbols_agree(b, a), "{b} / {a}");
        }
    }
}
