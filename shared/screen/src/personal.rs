//! Questions about something of the person who asks: "Where is my parcel?", "meine Bestellung".

use crate::phrases::{LANGUAGES, contains, folded, is_unspaced, phrases};

/// How many words after "my" the thing stands: "my last two orders".
const MAX_WORDS_TO_THING: usize = 3;
/// The same in characters, in a script without spaces.
const MAX_CHARS_TO_THING: usize = 6;

/// Whether the answer to `question` depends on who asks, because the question is about a thing of that person.
///
/// A question about how something is done in general ("How do I change my password?") is not personal: its answer is
/// the same for everybody.
pub fn is_personal(question: &str) -> bool {
    let question = folded(question);
    LANGUAGES.iter().any(|(_, file)| {
        let is_general = || phrases(file, "general").any(|phrase| contains(&question, phrase));
        let is_own =
            phrases(file, "whole").any(|phrase| contains(&question, phrase)) || names_own_thing(file, &question);
        is_own && !is_general()
    })
}

/// Whether `question` has a possessive of the first person with one of the things after it.
fn names_own_thing(file: &str, question: &str) -> bool {
    let is_thing = |word: &str| phrases(file, "thing").any(|thing| word.starts_with(thing));
    phrases(file, "own").any(|own| {
        question.match_indices(own).any(|(at, _)| {
            let (before, rest) = (&question[..at], &question[at + own.len()..]);
            if own.chars().any(is_unspaced) {
                let near: String = rest.chars().take(MAX_CHARS_TO_THING).collect();
                return phrases(file, "thing").any(|thing| near.contains(thing));
            }
            let is_word = !before.ends_with(char::is_alphanumeric) && !rest.starts_with(char::is_alphanumeric);
            let mut words = rest.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            is_word && words.by_ref().take(MAX_WORDS_TO_THING).any(is_thing)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_about_own_things_are_personal_and_general_ones_are_not() {
        for question in [
            "What is my balance?",
            "Where's my parcel?",
            "where is my last order",
            "Show me my invoices",
            "Wo ist meine Bestellung?",
            "Wie hoch ist mein aktueller Kontostand?",
            "Où est ma commande ?",
            "¿Cuál es mi saldo?",
            "Onde está minha encomenda?",
            "Dov'è il mio pacco?",
            "Waar is mijn pakket?",
            "Где моя посылка?",
            "私の注文はどこですか？",
            "我的包裹到哪里了？",
            "How much do I owe?",
        ] {
            assert!(is_personal(question), "{question}");
        }
        for question in [
            "How do I change my password?",
            "Can I return my order after 30 days?",
            "What happens if my card is stolen?",
            "Wie ändere ich meine Adresse?",
            "Comment annuler ma commande ?",
            "¿Cómo cancelo mi pedido?",
            "如何取消我的订单？",
            "Как отменить мой заказ?",
            "What is the capital of France?",
            "Explain the army order of battle",
            "Write a poem about my dog",
        ] {
            assert!(!is_personal(question), "{question}");
        }
    }
}
