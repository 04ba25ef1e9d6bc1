//! Written forms: what case folding, the collapse of white space and the tokens drop, although it can decide an answer.
//! These are the case of flags, identifiers and code, operators, and the indentation of code.

use std::collections::BTreeMap;

use super::code::{has_inner_capital, indentation, is_code_like, is_flag, is_sentence_mark, without_host};
use super::unit_case::{MILLIBAR, unit_case};
use crate::language::Language;
use crate::language::lexicon::hash32;

/// What a written form is about. Signatures store the discriminants, so they must never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum WrittenKind {
    /// The case of letters: `grep -v` and `grep -V`.
    Case = 0,
    /// An operator or another mark: `age > 30` and `age < 30`.
    Mark = 1,
    /// White space: the indentation of code, and blanks in a literal.
    Space = 2,
}

/// How a text writes one thing. Two texts that write one thing in two ways have different answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WrittenForm {
    /// The thing: a hash of it in lower case or without marks. The low two bits are the kind.
    key: u32,
    /// The hash of how it is written.
    form: u32,
}

/// A text has at most this many forms. One further form holds the sum of the rest.
const MAX_FORMS: usize = 16;
/// A literal with more bytes has no form of its own.
const MAX_LITERAL_BYTES: usize = 80;
/// A chunk with more bytes is read as a whole, without a look for operators in it.
const MAX_OPERAND_BYTES: usize = 64;
/// The operators that are read between two operands, the longest first.
const OPERATORS: [&str; 31] = [
    "===", "!==", "<=>", ">>>", "<=", ">=", "==", "!=", "<>", "<<", ">>", "=>", ":=", "+=", "-=", "&&", "||", "**",
    "//", "≤", "≥", "≠", "<", ">", "=", "+", "*", "×", "÷", "^", "%",
];
/// The operators that join words in prose, too. They are read between numbers and single letters.
const PROSE_OPERATORS: [&str; 5] = ["-", "–", "−", "/", "&"];
/// The marks that a letter or a short name is written with: "C++", "F#", "A+".
const SUFFIXES: [&str; 5] = ["++", "#", "+", "-", "*"];
/// A name with a suffix has at most this many letters.
const MAX_SUFFIXED_LETTERS: usize = 2;
/// Single letters that are words in some language. Without a suffix, they are no names.
const WORDS_OF_ONE_LETTER: &str = "aeiouyà";

impl WrittenForm {
    /// The most forms of one text.
    pub(crate) const MAX: usize = MAX_FORMS + 1;
    /// The size in bytes.
    pub(crate) const BYTES: usize = 8;
    const KIND_BITS: u32 = 0b11;

    fn new(kind: WrittenKind, thing: &str, form: &str) -> Self {
        Self { key: hash32(thing) & !Self::KIND_BITS | kind as u32, form: hash32(form) }
    }

    pub(crate) fn kind(self) -> WrittenKind {
        match self.key & Self::KIND_BITS {
            0 => WrittenKind::Case,
            1 => WrittenKind::Mark,
            _ => WrittenKind::Space,
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        (u64::from(self.key) << 32 | u64::from(self.form)).to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let bits = u64::from_le_bytes(bytes);
        Self { key: (bits >> 32) as u32, form: bits as u32 }
    }
}

/// The forms of `text`, sorted, at most [`WrittenForm::MAX`]. Linear in the length of the text.
pub(crate) fn written_forms(text: &str) -> Vec<WrittenForm> {
    let mut reader = Reader { case: TextCase::of(text), ..Reader::default() };
    for line in text.lines() {
        reader.line(line);
    }
    for (unit, form) in std::mem::take(&mut reader.units) {
        reader.add(WrittenKind::Case, &unit, &form);
    }
    if let Some(indentation) = indentation(text) {
        reader.add(WrittenKind::Space, "indentation", &indentation);
    }
    let mut forms = reader.forms;
    forms.sort_unstable();
    forms.dedup();
    if forms.len() > MAX_FORMS {
        let rest = forms.split_off(MAX_FORMS);
        let sum =
            rest.iter().fold(0u32, |sum, form| sum.wrapping_add((form.key ^ form.form).wrapping_mul(form.form | 1)));
        forms.push(WrittenForm { key: !WrittenForm::KIND_BITS, form: sum });
        forms.sort_unstable();
    }
    forms
}

/// The kind of a difference between two sorted lists of forms: a thing that both write, and not in the same way.
pub(crate) fn difference(a: &[WrittenForm], b: &[WrittenForm]) -> Option<WrittenKind> {
    let of_key = |forms: &[WrittenForm], key: u32| -> (usize, usize) {
        (forms.partition_point(|form| form.key < key), forms.partition_point(|form| form.key <= key))
    };
    let differs = |form: &&WrittenForm| {
        let ((start, end), (start_b, end_b)) = (of_key(a, form.key), of_key(b, form.key));
        start_b < end_b && a[start..end] != b[start_b..end_b]
    };
    a.iter().find(differs).map(|form| form.kind())
}

/// Whether a text uses capitals and small letters. One that is written in either alone says nothing by its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum TextCase {
    #[default]
    Both,
    Small,
    /// More than two words in capitals. Fewer may be the name of a unit.
    Capitals,
}

impl TextCase {
    fn of(text: &str) -> Self {
        if !text.chars().any(char::is_uppercase) {
            Self::Small
        } else if !text.chars().any(char::is_lowercase) && text.split_whitespace().nth(2).is_some() {
            Self::Capitals
        } else {
            Self::Both
        }
    }
}

/// Reads the lines of one text.
#[derive(Default)]
struct Reader {
    forms: Vec<WrittenForm>,
    case: TextCase,
    /// By a unit in lower case, the letters that decide, in the order of the text: "How many Mb are in a MB?".
    units: BTreeMap<String, String>,
    /// Between backticks.
    is_code: bool,
    /// Within a literal of code that a quotation mark has opened.
    is_literal: bool,
}

impl Reader {
    fn add(&mut self, kind: WrittenKind, thing: &str, form: &str) {
        self.forms.push(WrittenForm::new(kind, thing, form));
    }

    fn line(&mut self, line: &str) {
        self.literals(line);
        let mut before: Option<&str> = None;
        let mut chunks = line.split_whitespace().peekable();
        while let Some(chunk) = chunks.next() {
            self.chunk(chunk, before);
            if let (Some(left), Some(right)) = (before, chunks.peek()) {
                self.operator(left, chunk, right);
            }
            before = Some(chunk);
        }
    }

    /// Reads a chunk without white space, and the one before it in its line.
    fn chunk(&mut self, chunk: &str, before: Option<&str>) {
        let ticks = chunk.matches('`').count();
        let is_code = self.is_code || self.is_literal || ticks > 0;
        self.is_code ^= ticks % 2 == 1;
        let core = chunk.trim_matches(is_sentence_mark);
        if core.is_empty() {
            return;
        }
        // The commonest chunk is a word.
        if !is_code
            && core.len() > MILLIBAR.len()
            && core.bytes().all(|b| b.is_ascii_lowercase())
            && core.len() == chunk.len()
        {
            return;
        }
        if is_code || is_flag(chunk) || is_code_like(core) {
            let literal_marks = core.matches('"').count();
            self.is_literal ^= literal_marks % 2 == 1;
            let folded = core.to_lowercase();
            let written = without_host(core);
            self.add(WrittenKind::Case, &folded, written);
            let (letters, marks): (String, String) =
                folded.trim_end_matches('/').chars().partition(|c| c.is_alphanumeric());
            if !marks.is_empty() && !letters.is_empty() {
                self.add(WrittenKind::Mark, &letters, &marks);
            }
        } else {
            self.case_of_names(core, before);
            self.suffixed(chunk.trim_matches(|c| is_sentence_mark(c) && c != '+' && c != '-'));
        }
        self.inner_operators(core);
    }

    /// Reads the identifiers with an inner capital and the units in a chunk of prose. After a number, small letters stand
    /// for every unit that people write so.
    fn case_of_names(&mut self, chunk: &str, before: Option<&str>) {
        let follows_number = before.is_some_and(|before| before.ends_with(|c: char| c.is_ascii_digit()));
        for part in chunk.split(|c: char| !c.is_alphanumeric()) {
            let mut is_unit = false;
            for code in part.split(|c: char| !c.is_ascii()) {
                let Some((thing, form)) = unit_case(code) else { continue };
                is_unit = true;
                let is_information = form.ends_with(['b', 'B']);
                let says_nothing = self.case != TextCase::Both || code == MILLIBAR && follows_number;
                if !(is_information && says_nothing) {
                    let forms = self.units.entry(thing).or_default();
                    if !forms.ends_with(form) {
                        forms.push_str(form);
                    }
                }
            }
            if !is_unit && has_inner_capital(part) {
                let folded = part.to_lowercase();
                // People write a trade name in several ways: "macOS", "MacOS".
                if !part.ends_with("OS") && !Language::is_trade_name(&folded) {
                    self.add(WrittenKind::Case, &folded, part);
                }
            }
        }
    }

    /// Reads a single letter, or a short name with a mark: "C", "C++", "F#", "A+".
    fn suffixed(&mut self, chunk: &str) {
        let end = chunk.find(|c: char| !c.is_alphabetic()).unwrap_or(chunk.len());
        let (name, suffix) = chunk.split_at(end);
        let letters = name.chars().count();
        if (suffix.is_empty() && letters == 1)
            || (1..=MAX_SUFFIXED_LETTERS).contains(&letters) && SUFFIXES.contains(&suffix)
        {
            self.name(&name.to_lowercase(), suffix);
        }
    }

    fn name(&mut self, name: &str, suffix: &str) {
        if !suffix.is_empty() || !WORDS_OF_ONE_LETTER.contains(name) {
            self.add(WrittenKind::Mark, name, suffix);
        }
    }

    /// Reads `chunk` as an operator between two chunks.
    fn operator(&mut self, left: &str, chunk: &str, right: &str) {
        let left = left.trim_matches(is_sentence_mark);
        let right = right.trim_matches(is_sentence_mark);
        let is_operand = |text: &str| text.chars().count() == 1 || text.starts_with(|c: char| c.is_ascii_digit());
        let joins_operands = PROSE_OPERATORS.contains(&chunk) && is_operand(left) && is_operand(right);
        if !left.is_empty() && !right.is_empty() && (OPERATORS.contains(&chunk) || joins_operands) {
            let operator = if matches!(chunk, "–" | "−") { "-" } else { chunk };
            self.add(WrittenKind::Mark, &left.to_lowercase(), operator);
        }
    }

    /// Reads the operators within a chunk: "age>30", "x==3", "5-3".
    fn inner_operators(&mut self, chunk: &str) {
        if chunk.len() > MAX_OPERAND_BYTES || chunk.contains("://") {
            return;
        }
        let is_operand = |c: char| c.is_alphanumeric() || matches!(c, '_' | ')' | ']');
        let mut left = 0;
        while let Some(length) = chunk[left..].find(|c: char| !is_operand(c)) {
            let at = left + length;
            let rest = &chunk[at..];
            let operator = OPERATORS.iter().find(|operator| rest.starts_with(**operator));
            let end = at + operator.map_or_else(|| rest.chars().next().map_or(1, char::len_utf8), |found| found.len());
            let joins = length > 0 && chunk[end..].starts_with(|c: char| c.is_alphanumeric() || matches!(c, '(' | '_'));
            if let Some(operator) = operator.filter(|_| joins) {
                self.add(WrittenKind::Mark, &chunk[left..at].to_lowercase(), operator);
            }
            left = end;
        }
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if let Some((left, right)) = chunk.split_once(['-', '–', '/'])
            && are_digits(left)
            && are_digits(right)
        {
            self.add(WrittenKind::Mark, left, if chunk.contains('/') { "/" } else { "-" });
        }
    }

    /// Reads the blanks in literals of code, and between backticks.
    fn literals(&mut self, line: &str) {
        if !line.contains(['"', '`']) {
            return;
        }
        let mut before = ' ';
        let mut rest = line;
        while let Some(open) = rest.find(['"', '`']) {
            before = rest[..open].trim_end().chars().next_back().unwrap_or(before);
            let mark = &rest[open..=open];
            let Some(length) = rest[open + 1..].find(mark) else { return };
            let literal = &rest[open + 1..open + 1 + length];
            let is_of_code = mark == "`" || matches!(before, '(' | '=' | '[' | ',' | '+' | '{' | ':');
            if is_of_code && literal.len() <= MAX_LITERAL_BYTES && literal.contains(char::is_whitespace) {
                let collapsed = literal.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
                let written = literal.to_lowercase();
                self.add(WrittenKind::Space, &format!("literal {collapsed}"), &written);
            }
            before = '"';
            rest = &rest[open + length + 2..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differ(a: &str, b: &str) -> Option<WrittenKind> {
        let (a, b) = (written_forms(a), written_forms(b));
        assert_eq!(difference(&a, &b), difference(&b, &a));
        difference(&a, &b)
    }

    #[test]
    fn case_of_flags_identifiers_and_code_differs() {
        for (a, b) in [
            ("What does grep -v do?", "What does grep -V do?"),
            ("ls --All", "ls --all"),
            ("What does chmod +x do?", "What does chmod +X do?"),
            ("What is userID here?", "What is userId here?"),
            ("What is myVar here?", "What is MyVar here?"),
            ("Rename MAX_SIZE", "Rename max_size"),
            ("What does `True` mean?", "What does `true` mean?"),
            ("What does print(\"Hello you\") show?", "What does print(\"hello you\") show?"),
            ("Open https://youtu.be/dQw4w9WgXcQ", "Open https://youtu.be/dQw4w9wgXcQ"),
            ("Where is /usr/Local?", "Where is /usr/local?"),
            ("Echo $Path", "Echo $PATH"),
            ("How much is one MW?", "How much is one mW?"),
            ("MW", "mW"),
            ("What does MB stand for?", "What does mb stand for?"),
            ("Is a Gb less than a GB?", "Is a GB less than a Gb?"),
            ("Is the limit in Mb/s?", "Is the limit in MB/s?"),
            ("MWとは何ですか", "mWとは何ですか"),
        ] {
            assert_eq!(differ(a, b), Some(WrittenKind::Case), "{a:?} | {b:?}");
        }
    }

    #[test]
    fn operators_and_marks_of_names_differ() {
        for (a, b) in [
            ("Select users with age > 30", "Select users with age < 30"),
            ("Is x>=3 true?", "Is x<=3 true?"),
            ("What is 7 - 2?", "What is 7 + 2?"),
            ("What is 7-2?", "What is 7+2?"),
            ("What is C++?", "What is C#?"),
            ("What is C?", "What is C++?"),
            ("Is blood type A+ rare?", "Is blood type A- rare?"),
            ("a && b", "a || b"),
            ("What does chmod +x do?", "What does chmod -x do?"),
            ("What does arr[0] give?", "What does arr(0) give?"),
        ] {
            assert_eq!(differ(a, b), Some(WrittenKind::Mark), "{a:?} | {b:?}");
        }
    }

    #[test]
    fn indentation_of_code_and_blanks_of_literals_differ() {
        for (a, b) in [
            ("What does it print?\nfor i in x:\n    a(i)\n    b()", "What does it print?\nfor i in x:\n    a(i)\nb()"),
            ("What is split(\"a  b\")?", "What is split(\"a b\")?"),
        ] {
            assert_eq!(differ(a, b), Some(WrittenKind::Space), "{a:?} | {b:?}");
        }
        let (two, four) = ("Why?\nif a:\n  b()\n", "Why?\n\nif a:\n    b()");
        assert_eq!(differ(two, four), None, "the width of a step does not matter");
    }

    #[test]
    fn case_and_white_space_of_prose_do_not_differ() {
        for (a, b) in [
            ("HOW DO I RESET MY PASSWORD?", "how do I reset my password?"),
            ("  how do I\n  reset my (old) password?", "How do I reset my (old) password?"),
            ("Is my iPhone on GitHub?", "is my iphone on github?"),
            ("Install it on macOS", "Install it on MacOS"),
            ("Is my iPad in iCloud?", "Is my IPad in ICloud?"),
            ("Is JavaScript or Javascript right?", "Is javascript or Javascript right?"),
            ("Track order AB-1234", "track order ab-1234"),
            ("Write to Ann@Example.com", "write to ann@example.com"),
            ("Open HTTPS://Example.com/a", "open https://example.com/a"),
            ("Return the item(s)", "return the ITEM(S)"),
            ("Plan B - what is it?", "plan b – what is it?"),
            ("24/12/2026 and/or more", "24-12-2026 and/or more"),
            ("What does \"Idle\" mean?", "what does \"idle\" mean?"),
            ("How many MB are in a GB?", "how many mb are in a gb?"),
            ("HOW MANY MB ARE LEFT?", "How many mb are left?"),
            ("Is 10 MB enough?", "Is 10 mb enough?"),
            ("I have 8 GB of RAM", "I have 8 gb of RAM"),
            ("Is MA a state?", "Is ma a state?"),
            ("Is kB or KB right?", "Is KB or kB right?"),
        ] {
            assert_eq!(differ(a, b), None, "{a:?} | {b:?}");
        }
    }

    #[test]
    fn forms_of_long_code_are_bounded_and_differ() {
        let code = |last: &str| (0..40).map(|n| format!("var_{n}(x) ")).collect::<String>() + last;
        assert_eq!(written_forms(&code("End_x()")).len(), WrittenForm::MAX);
        assert_ne!(written_forms(&code("End_x()")), written_forms(&code("end_x()")));
        assert_eq!(differ(&code("End_x()"), &code("end_x()")), Some(WrittenKind::Case));
    }
}
