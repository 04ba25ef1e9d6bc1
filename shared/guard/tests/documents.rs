//! Instructions about one document: which of them one answer serves (`pairs/documents.tsv`).

use mneme_guard::{Signature, Verdict, compare};

const DOCUMENT: &str = "The garden society was founded in 1921 by three teachers who wanted a place for roses. In its first \
    years it had forty members. After the war the land was sold and the society moved to a field near \
    the river. A flood in 1953 destroyed the greenhouse, and the members rebuilt it by hand. The board \
    meets each month and publishes a report.";
/// The same with one word changed.
const OTHER: (&str, &str) = ("forty members", "sixty members");
/// The similarity of two long prompts with one document.
const SIMILARITY: f32 = 0.98;
/// The confidence from which on an answer is served by default.
const CUTOFF: f64 = 0.7;

/// The ways in which people put a document and an instruction into one prompt. D is the document, I the instruction.
const LAYOUTS: [&str; 10] = [
    "D\n\nI",
    "I\n\nD",
    "D I",
    "I D",
    "Text: D\n\nQuestion: I",
    "Context:\nD\n\nQuestion: I\nAnswer:",
    "<document>\nD\n</document>\n\nI",
    "I\n\n\"\"\"\nD\n\"\"\"",
    "I\n\n```\nD\n```",
    "I\n\n---\nD\n---",
];

fn prompt(layout: &str, document: &str, instruction: &str) -> String {
    layout.replace('I', "\u{1}").replace('D', document).replace('\u{1}', instruction)
}

fn is_served(a: &str, b: &str) -> bool {
    let verdict = compare(&Signature::of(a), &Signature::of(b), SIMILARITY);
    matches!(verdict, Verdict::Probability(probability) if probability >= CUTOFF)
}

/// The rows of a kind: `(language, a, b)`.
fn rows(kind: &str) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let rows = include_str!("pairs/documents.tsv").lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(move |row| match row.split('\t').collect::<Vec<_>>()[..] {
        [of, language, a, b] if of == kind => Some((language, a, b)),
        _ => None,
    })
}

/// The rows of `kind` in a layout that are served, and the number of all.
fn served(kind: &str) -> (Vec<String>, usize) {
    let cases: Vec<_> = rows(kind).flat_map(|row| LAYOUTS.map(|layout| (layout, row))).collect();
    let served = cases
        .iter()
        .filter(|(layout, (_, a, b))| is_served(&prompt(layout, DOCUMENT, a), &prompt(layout, DOCUMENT, b)));
    (served.map(|case| format!("{case:?}")).collect(), cases.len())
}

#[test]
fn another_instruction_about_the_same_document_is_not_served() {
    for kind in ["different", "kept-different"] {
        assert_eq!(served(kind).0, Vec::<String>::new());
    }
}

#[test]
fn same_instruction_in_other_words_is_served_in_nine_of_ten_cases() {
    for kind in ["same", "kept"] {
        let (served, all) = served(kind);
        assert!(served.len() * 10 >= all * 9, "{kind}: {} of {all} are served", served.len());
    }
}

#[test]
fn same_instruction_about_a_changed_document_is_not_served() {
    let other = DOCUMENT.replace(OTHER.0, OTHER.1);
    for (layout, (_, a, b)) in LAYOUTS.into_iter().flat_map(|layout| rows("same").map(move |row| (layout, row))) {
        assert!(!is_served(&prompt(layout, DOCUMENT, a), &prompt(layout, &other, a)), "{layout:?} {a:?}");
        assert!(!is_served(&prompt(layout, DOCUMENT, a), &prompt(layout, &other, b)), "{layout:?} {a:?} {b:?}");
    }
}

#[test]
fn layout_of_a_document_in_prose_does_not_decide() {
    // The white space of code between fences counts, so code and prose are never equal.
    let layouts = LAYOUTS.into_iter().filter(|layout| !layout.contains('`'));
    let prompts: Vec<String> = layouts.map(|layout| prompt(layout, DOCUMENT, "When was the flood?")).collect();
    for (a, b) in prompts.iter().flat_map(|a| prompts.iter().map(move |b| (a, b))) {
        assert!(is_served(a, b), "{a:?} | {b:?}");
    }
}
