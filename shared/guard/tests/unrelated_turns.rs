//! Earlier turns that do not concern the last message, and those that do (`pairs/conversations.tsv`).

use mneme_guard::{Conversation, Verdict, compare_conversations};

/// The confidence from which on an answer is served by default.
const CUTOFF: f64 = 0.7;

fn conversation(contents: &str) -> Conversation {
    let roles = ["user", "assistant"].into_iter().cycle();
    let messages: Vec<(&str, &str)> = roles.zip(contents.split(" | ")).collect();
    Conversation::of(&messages, None).expect("a valid conversation")
}

fn is_served(a: &str, b: &str) -> bool {
    let (a, b) = (conversation(a), conversation(b));
    let verdict = compare_conversations(&a.signature, &b.signature, 1.0);
    a.context_key == b.context_key && matches!(verdict, Verdict::Probability(p) if p >= CUTOFF)
}

/// The pairs of a kind, and whether each is served.
fn judged(kind: &str) -> Vec<(bool, &'static str, &'static str)> {
    let rows = include_str!("pairs/conversations.tsv").lines().filter(|line| !line.starts_with('#'));
    let pairs = rows.filter_map(|row| match row.split('\t').collect::<Vec<_>>()[..] {
        [of, a, b] if of == kind => Some((is_served(a, b) && is_served(b, a), a, b)),
        _ => None,
    });
    pairs.collect()
}

#[test]
fn earlier_turns_that_decide_the_answer_prevent_a_hit() {
    for kind in ["different", "kept-different"] {
        let served: Vec<_> = judged(kind).into_iter().filter(|(is_served, ..)| *is_served).collect();
        assert_eq!(served, []);
    }
}

#[test]
fn earlier_turns_that_do_not_concern_the_question_seldom_prevent_a_hit() {
    // The rules are unsure of the rest. A miss is the safe error.
    for (kind, percent) in [("same", 90), ("kept", 50)] {
        let all = judged(kind);
        let served = all.iter().filter(|(is_served, ..)| *is_served).count();
        assert!(served * 100 >= all.len() * percent, "{kind}: {served} of {} are served", all.len());
    }
}
