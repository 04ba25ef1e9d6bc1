//! Earlier turns: what the user said before the last message must agree, and small talk counts as nothing.
//!
//! The pairs were written while the limits of `history.rs` were chosen. They show what is meant and are no measure.

use mneme_guard::{Conversation, Verdict, compare_conversations};

/// The contents of messages: the user's and the assistant's in turn.
type Contents<'m> = &'m [&'m str];

/// Conversations whose last messages are equal or alike, and whose earlier messages make another answer right.
const DIFFERENT: &[(Contents<'_>, Contents<'_>)] = &[
    (
        &["I am allergic to nuts.", "Thanks for telling me.", "Suggest a quick dinner recipe with rice and vegetables"],
        &["Hello", "Hi! How can I help?", "Suggest a quick dinner recipe with rice and vegetables"],
    ),
    (
        &["I'm allergic to peanuts", "Got it. How can I help?", "Recommend a Thai dish for dinner tonight"],
        &["I'm allergic to shellfish", "Got it. How can I help?", "Recommend a Thai dish for dinner tonight"],
    ),
    (
        &["I have a Model A watch", "Got it. How can I help?", "How do I replace the battery?"],
        &["I have a Model B phone", "Got it. How can I help?", "How do I replace the battery?"],
    ),
    (
        &["I have a Dyson V11", "Got it. How can I help?", "How do I clean the filter of my vacuum cleaner?"],
        &["I have a Dyson V15", "Got it. How can I help?", "How do I clean the filter of my vacuum cleaner?"],
    ),
    (
        &["I use Windows", "Got it. How can I help?", "How do I install Python packages with pip?"],
        &["I use Linux", "Got it. How can I help?", "How do I install Python packages with pip?"],
    ),
    (
        &["I'm on the free plan", "Got it. How can I help?", "How many projects can I create in Taskwell?"],
        &["I'm on the business plan", "Got it. How can I help?", "How many projects can I create in Taskwell?"],
    ),
    (
        &["Please answer in German", "Got it. How can I help?", "What is the capital of France?"],
        &["Please answer in French", "Got it. How can I help?", "What is the capital of France?"],
    ),
    (
        &["Please answer in German", "Got it. How can I help?", "What is the capital of France?"],
        &["Hi", "Got it. How can I help?", "What is the capital of France?"],
    ),
    (
        &["Keep your answers short.", "Got it. How can I help?", "What causes the seasons on Earth?"],
        &["Explain everything in detail.", "Got it. How can I help?", "What causes the seasons on Earth?"],
    ),
    (
        &["Keep your answers short.", "Got it. How can I help?", "What causes the seasons on Earth?"],
        &["What causes the seasons on Earth?"],
    ),
    (
        &["My order number is 48213", "Got it. How can I help?", "When does my parcel from Hollins arrive?"],
        &["My order number is 48231", "Got it. How can I help?", "When does my parcel from Hollins arrive?"],
    ),
    (
        &["My name is Anna", "Got it. How can I help?", "Write a birthday greeting for my mother Maria"],
        &["My name is Peter", "Got it. How can I help?", "Write a birthday greeting for my mother Maria"],
    ),
    (
        &["My budget is 500 euros", "Got it. How can I help?", "Which laptop from Dell is best for students?"],
        &["My budget is 1500 euros", "Got it. How can I help?", "Which laptop from Dell is best for students?"],
    ),
    (
        &["I live in Canada", "Got it. How can I help?", "How much does Netflix Premium cost?"],
        &["I live in India", "Got it. How can I help?", "How much does Netflix Premium cost?"],
    ),
    (
        &["I am a beginner", "Got it. How can I help?", "Give me a training plan for a marathon in October"],
        &["I am an experienced runner", "Got it. How can I help?", "Give me a training plan for a marathon in October"],
    ),
    (
        &["I'm vegetarian", "Got it. How can I help?", "What can I eat at a Brazilian steakhouse?"],
        &["I'm vegan", "Got it. How can I help?", "What can I eat at a Brazilian steakhouse?"],
    ),
    (
        &["I'm pregnant", "Got it. How can I help?", "How much coffee can an adult drink per day safely?"],
        &["Hello", "Got it. How can I help?", "How much coffee can an adult drink per day safely?"],
    ),
    (
        &["I have a Bosch dishwasher.", "Got it. How can I help?", "What does error E15 mean on the display?"],
        &["I have a Siemens washing machine.", "Got it. How can I help?", "What does error E15 mean on the display?"],
    ),
    (
        &["We are two adults and three kids", "Got it. How can I help?", "Find a hotel in Rome near the Colosseum"],
        &["We are two adults", "Got it. How can I help?", "Find a hotel in Rome near the Colosseum"],
    ),
    (
        &["Can you answer in Spanish from now on?", "Sí", "What is the capital of France?"],
        &["Hello", "Got it. How can I help?", "What is the capital of France?"],
    ),
    (
        &["Is the Galaxy S24 waterproof?", "Yes", "How do I take a screenshot on my phone quickly?"],
        &["Is the iPhone 15 waterproof?", "Yes", "How do I take a screenshot on my phone quickly?"],
    ),
    (
        &["I prefer window seats", "Got it. How can I help?", "Book a flight from Oslo to Bergen on Monday"],
        &["I prefer aisle seats", "Got it. How can I help?", "Book a flight from Oslo to Bergen on Monday"],
    ),
    (
        &["My son is 5 years old", "Got it. How can I help?", "Suggest a birthday present for my child under 30 euros"],
        &[
            "My son is 15 years old",
            "Got it. How can I help?",
            "Suggest a birthday present for my child under 30 euros",
        ],
    ),
    (
        &["I don't eat gluten", "Got it. How can I help?", "Give me a recipe for pancakes with blueberries"],
        &["Hi there", "Got it. How can I help?", "Give me a recipe for pancakes with blueberries"],
    ),
    (
        &["Ich habe eine Nussallergie", "Danke. Wie kann ich helfen?", "Schlage mir ein Rezept für Kuchen vor"],
        &["Hallo", "Hallo! Wie kann ich Ihnen helfen?", "Schlage mir ein Rezept für Kuchen vor"],
    ),
    (
        &["J'utilise Windows", "Merci.", "Comment installer une imprimante ?"],
        &["J'utilise un Mac", "Merci.", "Comment installer une imprimante ?"],
    ),
    (
        &[
            "Hi",
            "Hello! Which plan do you have, Basic or Pro?",
            "Pro",
            "Thanks. What is your question?",
            "How many users can I add to Taskwell?",
        ],
        &[
            "Hi",
            "Hello! Which plan do you have, Basic or Pro?",
            "Basic",
            "Thanks. What is your question?",
            "How many users can I add to Taskwell?",
        ],
    ),
    (
        &[
            "I'm diabetic.",
            "Got it. How can I help?",
            "Suggest a dessert for Christmas dinner with chocolate",
            "How about mousse?",
            "yes please",
        ],
        &[
            "Hi",
            "Got it. How can I help?",
            "Suggest a dessert for Christmas dinner with chocolate",
            "How about mousse?",
            "yes please",
        ],
    ),
    (
        &["My flight is BA117", "Got it. How can I help?", "How much does an extra bag cost on the way to New York?"],
        &["My flight is BA118", "Got it. How can I help?", "How much does an extra bag cost on the way to New York?"],
    ),
    (
        &["I have a nut allergy, what can I eat?", "Rice.", "Which desserts do you have at Ember?"],
        &["Hello", "Got it. How can I help?", "Which desserts do you have at Ember?"],
    ),
    (
        &["I am not vegetarian", "Got it. How can I help?", "What should I order at the Indian restaurant in Leeds?"],
        &["I am vegetarian", "Got it. How can I help?", "What should I order at the Indian restaurant in Leeds?"],
    ),
    (
        &["Are you married?", "I'm a bot", "What should I cook for dinner tonight with chicken?"],
        &["Can I eat chicken while on antibiotics?", "Yes", "What should I cook for dinner tonight with chicken?"],
    ),
    (
        &["Keep it short", "Got it. How can I help?", "Explain how photosynthesis works in green plants"],
        &["Hello", "Got it. How can I help?", "Explain how photosynthesis works in green plants"],
    ),
    (
        &["Keep it short", "Got it. How can I help?", "explain it"],
        &["Use tables", "Got it. How can I help?", "explain it"],
    ),
    (
        &["Write in capitals", "Got it. How can I help?", "What is the capital of France?"],
        &["Hi", "Got it. How can I help?", "What is the capital of France?"],
    ),
    (
        &["I want to lose weight", "Got it. How can I help?", "Give me a breakfast recipe with oats and fruit"],
        &["I want to gain weight", "Got it. How can I help?", "Give me a breakfast recipe with oats and fruit"],
    ),
    (
        &["I rent my flat", "Got it. How can I help?", "Who pays for repairs to the heating in England?"],
        &["I own my flat", "Got it. How can I help?", "Who pays for repairs to the heating in England?"],
    ),
    (
        &["I'm a student", "Got it. How can I help?", "How much does Taskwell cost per month?"],
        &["I'm a teacher", "Got it. How can I help?", "How much does Taskwell cost per month?"],
    ),
    (
        &["I'm a student", "Got it. How can I help?", "How much does Taskwell cost per month?"],
        &["Hi", "Got it. How can I help?", "How much does Taskwell cost per month?"],
    ),
    (
        &["I drive a diesel car", "Got it. How can I help?", "Can I drive into central Paris on weekdays?"],
        &["I drive an electric car", "Got it. How can I help?", "Can I drive into central Paris on weekdays?"],
    ),
    (
        &["My dog weighs 10 kg", "Got it. How can I help?", "What dose of Frontline should I use for fleas?"],
        &["My dog weighs 30 kg", "Got it. How can I help?", "What dose of Frontline should I use for fleas?"],
    ),
    (
        &["I have a dog", "Got it. How can I help?", "What dose of Frontline should I use for fleas?"],
        &["I have a cat", "Got it. How can I help?", "What dose of Frontline should I use for fleas?"],
    ),
    (
        &["I'm 16", "Got it. How can I help?", "Can I rent a car from Hertz in Spain?"],
        &["I'm 26", "Got it. How can I help?", "Can I rent a car from Hertz in Spain?"],
    ),
    (
        &["I bought it last week", "Got it. How can I help?", "Can I still return a laptop to Currys for a refund?"],
        &["I bought it last year", "Got it. How can I help?", "Can I still return a laptop to Currys for a refund?"],
    ),
    (
        &["Speak like a pirate", "Got it. How can I help?", "Tell me about the history of London bridges"],
        &["Hey", "Got it. How can I help?", "Tell me about the history of London bridges"],
    ),
    (
        &["I have an Android phone", "Got it. How can I help?", "how do I set it up?"],
        &["I have an iPhone", "Got it. How can I help?", "how do I set it up?"],
    ),
    (
        &["I need it by Friday", "Got it. How can I help?", "Can you deliver it?"],
        &["I need it by Monday", "Got it. How can I help?", "Can you deliver it?"],
    ),
    (
        &["I'm a member", "Got it. How can I help?", "can I come in for free?"],
        &["Hi", "Got it. How can I help?", "can I come in for free?"],
    ),
    (
        &["I'm allergic to latex", "Got it. How can I help?", "which gloves should I buy?"],
        &["Hi", "Got it. How can I help?", "which gloves should I buy?"],
    ),
    (
        &["I live in Berlin", "Nice! How can I help?", "What's the weather tomorrow?"],
        &["I live in Munich", "Nice! How can I help?", "What's the weather tomorrow?"],
    ),
    (
        &["Soy alérgico a las nueces", "Entendido.", "Dame una receta de pastel"],
        &["Hola", "¡Hola! ¿En qué puedo ayudarte?", "Dame una receta de pastel"],
    ),
    (
        &["Ich bin Vegetarier", "Alles klar.", "Was soll ich heute kochen?"],
        &["Ich bin Veganer", "Alles klar.", "Was soll ich heute kochen?"],
    ),
    (
        &["Uso Windows 11", "Ok.", "Come installo una stampante?"],
        &["Uso Windows 10", "Ok.", "Come installo una stampante?"],
    ),
    (
        &[
            "Hi",
            "Do you want the invoice or the receipt?",
            "invoice",
            "Sure. Anything else?",
            "Send a copy to anna@example.com please",
        ],
        &[
            "Hi",
            "Do you want the invoice or the receipt?",
            "receipt",
            "Sure. Anything else?",
            "Send a copy to anna@example.com please",
        ],
    ),
    (
        &[
            "Hi",
            "Are you a member?",
            "yes",
            "Great. What would you like to know?",
            "How much is a day ticket for the Leeds pool?",
        ],
        &[
            "Hi",
            "Are you a member?",
            "no",
            "Great. What would you like to know?",
            "How much is a day ticket for the Leeds pool?",
        ],
    ),
    (
        &[
            "I use a wheelchair",
            "Noted.",
            "Find a hotel in Rome near the Colosseum for two nights in May",
            "The Roma is near.",
            "book it",
        ],
        &[
            "Hello",
            "Hi!",
            "Find a hotel in Rome near the Colosseum for two nights in May",
            "The Roma is near.",
            "book it",
        ],
    ),
    (
        &["What can I eat here as a vegan?", "Salads.", "Which desserts do you have at Ember?"],
        &["Hello", "Hi! How can I help?", "Which desserts do you have at Ember?"],
    ),
    (
        &["¿Puedes responder en francés?", "Sí.", "What is the capital of France?"],
        &["Hello", "Hi! How can I help?", "What is the capital of France?"],
    ),
];

/// Conversations that say the same.
const SAME: &[(Contents<'_>, Contents<'_>)] = &[
    (
        &["I'm allergic to nuts.", "Got it. How can I help?", "Suggest a quick dinner recipe with rice and vegetables"],
        &[
            "Hi! I'm allergic to nuts",
            "Noted, no nuts. What would you like?",
            "Suggest a quick dinner recipe with rice and vegetables",
        ],
    ),
    (
        &["I'm allergic to nuts.", "Got it. How can I help?", "Suggest a quick dinner recipe with rice and vegetables"],
        &[
            "Hello",
            "Hello! How can I help you today?",
            "I'm allergic to nuts.",
            "Thank you for letting me know!",
            "Suggest a quick dinner recipe with rice and vegetables please",
        ],
    ),
    (
        &["I'm allergic to nuts.", "Got it. How can I help?", "Suggest a quick dinner recipe with rice and vegetables"],
        &[
            "I am allergic to nuts, thanks for asking.",
            "I will keep that in mind.",
            "Suggest a quick dinner recipe with rice and vegetables",
        ],
    ),
    (
        &["I have a Dyson V11", "Got it. How can I help?", "How do I clean the filter of my vacuum cleaner?"],
        &["Hi, I've got a Dyson V11.", "Nice! What is wrong?", "How do I clean the filter of my vacuum cleaner?"],
    ),
    (
        &["I use Windows", "Got it. How can I help?", "How do I install Python packages with pip?"],
        &["I'm using Windows", "Okay.", "How do I install Python packages with pip?"],
    ),
    (
        &["Please answer in German", "Got it. How can I help?", "What is the capital of France?"],
        &["Answer in German please", "Gerne!", "What is the capital of France?"],
    ),
    (
        &["order 48213", "Got it. How can I help?", "When will it arrive?"],
        &["My order number is 48213", "Thank you. What would you like to know?", "When will it arrive?"],
    ),
    (
        &["I live in Canada", "Got it. How can I help?", "How much does Netflix Premium cost?"],
        &["I'm living in Canada.", "Great.", "How much does Netflix Premium cost?"],
    ),
    (
        &["I'm on the free plan", "Got it. How can I help?", "How many projects can I create in Taskwell?"],
        &["I have the free plan", "Got it. How can I help?", "How many projects can I create in Taskwell?"],
    ),
    (
        &["My budget is 500 euros", "Got it. How can I help?", "Which laptop from Dell is best for students?"],
        &["I have a budget of 500 euros", "Got it. How can I help?", "Which laptop from Dell is best for students?"],
    ),
    (
        &[
            "I'm vegetarian. I live in Leeds.",
            "Got it. How can I help?",
            "What should I order at the Indian restaurant?",
        ],
        &[
            "I live in Leeds and I'm vegetarian",
            "Got it. How can I help?",
            "What should I order at the Indian restaurant?",
        ],
    ),
    (
        &["Hi", "Hello!", "How do I reset the password of my account?"],
        &["Good morning", "Good morning! What can I do for you?", "How do I reset the password of my account?"],
    ),
    (
        &["Do you rent kayaks?", "Yes, at 20 euros.", "how long is that for?"],
        &["Good morning! Do you rent kayaks?", "Yes, at 20 euros.", "how long is that for?"],
    ),
    (
        &["My kayak has a leak", "Shall I book a repair?", "yes please"],
        &["Hi, my kayak has a leak", "Shall I book a repair?", "Yes, please!"],
    ),
    (
        &["Where is my order 48213?", "It is on its way.", "cancel it"],
        &["Hello! Where's my order 48213?", "Your order is on its way.", "please cancel it"],
    ),
    (
        &["I'm a student", "Got it. How can I help?", "How much does Taskwell cost per month?"],
        &["Hello! I am a student.", "Welcome! How can I help you?", "How much does Taskwell cost per month?"],
    ),
    (
        &["I'm diabetic", "Thanks for telling me.", "Suggest a dessert for Christmas dinner"],
        &["Hi there, I'm diabetic", "Okay, I will keep sugar low.", "Suggest a dessert for Christmas dinner"],
    ),
    (
        &["I'm on Android", "Got it. How can I help?", "how do I set it up?"],
        &["Hi, I am on Android", "Great, what would you like to do?", "how do I set it up?"],
    ),
    (
        &["My car is a 2019 Golf", "Got it. How can I help?", "Which oil does it need?"],
        &["I have a 2019 Golf", "Okay, what about it?", "Which oil does it need?"],
    ),
    (
        &["I need a hotel in Rome for two nights", "Got it. How can I help?", "Is breakfast included?"],
        &["I'm looking for a hotel in Rome for two nights", "Okay, I found the Roma.", "Is breakfast included?"],
    ),
    (
        &["I want to return my shoes", "Sure, do you have the receipt?", "yes, I do"],
        &["Hi, I'd like to return my shoes", "Sure, do you have the receipt?", "yes I do"],
    ),
    (
        &["Answer in one sentence.", "Ok.", "What is photosynthesis in plants?"],
        &["Hello", "Hi!", "Please answer in one sentence", "Sure.", "What is photosynthesis in plants?"],
    ),
    (
        &["Ich habe einen Golf", "Okay.", "Welches Öl brauche ich?"],
        &["Hallo, ich habe einen Golf", "Alles klar.", "Welches Öl brauche ich?"],
    ),
    (
        &["What does the Pro plan cost?", "20 euros.", "And for two users?"],
        &["Hi, what does the Pro plan cost?", "It costs 20 euros.", "And for two users?"],
    ),
];

/// Small talk, and a question that anybody may ask without it.
const AFTER_SMALL_TALK: &[[&str; 3]] = &[
    ["Hello", "Hi! How can I help?", "How do I reset my password?"],
    ["Good morning!", "Good morning! How may I assist you today?", "How do I reset my password?"],
    ["hey there", "Hello! I'm Ava, your virtual assistant. What can I do for you?", "How do I reset my password?"],
    ["Hi, I have a question", "Sure, go ahead!", "How do I reset my password?"],
    ["Hi, how are you?", "I'm doing well, thank you! How can I help you today?", "How do I reset my password?"],
    ["Hello 👋", "Welcome to Acme Support! How can I help you today?", "How do I reset my password?"],
    ["Can you help me?", "Of course! What do you need help with?", "How do I reset my password?"],
    ["Hello", "Hi! How can I help?", "What are your opening hours?"],
    ["Good morning!", "Good morning! How may I assist you today?", "What are your opening hours?"],
    ["hey there", "Hello! I'm Ava, your virtual assistant. What can I do for you?", "What are your opening hours?"],
    ["Hi, I have a question", "Sure, go ahead!", "What are your opening hours?"],
    ["Hi, how are you?", "I'm doing well, thank you! How can I help you today?", "What are your opening hours?"],
    ["Hello 👋", "Welcome to Acme Support! How can I help you today?", "What are your opening hours?"],
    ["Can you help me?", "Of course! What do you need help with?", "What are your opening hours?"],
    ["hey there", "Hello! I'm Ava, your virtual assistant. What can I do for you?", "Do you ship to Canada?"],
    ["Hi, I have a question", "Sure, go ahead!", "How long does delivery take?"],
    ["Hi, how are you?", "I'm doing well, thank you! How can I help you today?", "Can I change my delivery address?"],
    ["Hello 👋", "Welcome to Acme Support! How can I help you today?", "Where can I find my invoice?"],
    ["Can you help me?", "Of course! What do you need help with?", "How do I cancel my subscription?"],
    ["Hello", "Hi! How can I help?", "What payment methods do you accept?"],
    ["Good morning!", "Good morning! How may I assist you today?", "Is it possible to get a refund?"],
    ["hey there", "Hello! I'm Ava, your virtual assistant. What can I do for you?", "I forgot my password"],
    ["Hi, I have a question", "Sure, go ahead!", "opening hours"],
    ["Hi, how are you?", "I'm doing well, thank you! How can I help you today?", "how do i close my account"],
    ["Hello 👋", "Welcome to Acme Support! How can I help you today?", "What is your return policy?"],
    ["Hello", "Hi! How can I help?", "How much does it cost?"],
    ["Good morning!", "Good morning! How may I assist you today?", "I want to cancel my subscription"],
    ["hey there", "Hello! I'm Ava, your virtual assistant. What can I do for you?", "cancel my account"],
    ["Hi, I have a question", "Sure, go ahead!", "Who do I contact about a damaged item?"],
    ["Hallo", "Hallo! Wie kann ich Ihnen helfen?", "Wie setze ich mein Passwort zurück?"],
    ["Guten Tag", "Guten Tag! Was kann ich für Sie tun?", "Was sind Ihre Öffnungszeiten?"],
    ["Hi", "Hi! Womit kann ich dir helfen?", "Kann ich das Abo kündigen?"],
    ["Bonjour", "Bonjour ! Comment puis-je vous aider ?", "Comment réinitialiser mon mot de passe ?"],
    ["Bonjour", "Bonjour ! En quoi puis-je vous aider aujourd'hui ?", "Quels sont vos horaires d'ouverture ?"],
    ["Salut", "Bonjour, comment puis-je vous aider ?", "Où est ma commande ?"],
    ["Hola", "¡Hola! ¿En qué puedo ayudarte?", "¿Cómo restablezco mi contraseña?"],
    ["Buenos días", "¡Buenos días! ¿En qué puedo ayudarle hoy?", "¿Hacen envíos a Canadá?"],
    ["Buenas tardes", "Hola, ¿cómo puedo ayudarte?", "quiero cancelar mi suscripción"],
    ["Olá", "Olá! Como posso ajudar?", "Como redefino minha senha?"],
    ["Bom dia", "Bom dia! Em que posso ajudá-lo?", "Qual é o horário de funcionamento?"],
    ["Oi, tudo bem?", "Tudo bem! Como posso te ajudar hoje?", "Vocês entregam em Portugal?"],
    ["Ciao", "Ciao! Come posso aiutarti?", "Come reimposto la password?"],
    ["Buongiorno", "Buongiorno! In cosa posso esserle utile?", "Quali sono i vostri orari di apertura?"],
    ["Salve", "Salve, come posso aiutarla oggi?", "Posso restituire un articolo?"],
    ["Hallo", "Hallo! Hoe kan ik je helpen?", "Hoe reset ik mijn wachtwoord?"],
    ["Goedemorgen", "Goedemorgen! Waarmee kan ik u van dienst zijn?", "Wat zijn jullie openingstijden?"],
    ["Hoi", "Hoi! Wat kan ik voor je doen?", "Kan ik mijn bestelling annuleren?"],
];

fn of(contents: Contents<'_>) -> Conversation {
    let roles = ["user", "assistant"].into_iter().cycle();
    let messages: Vec<(&str, &str)> = roles.zip(contents.iter().copied()).collect();
    Conversation::of(&messages, None).expect("a valid conversation")
}

/// True if one answer may be served for both, at any similarity.
fn meet(a: Contents<'_>, b: Contents<'_>) -> bool {
    let (a, b) = (of(a), of(b));
    let verdict = |similarity| compare_conversations(&a.signature, &b.signature, similarity);
    a.context_key == b.context_key && (a.exact_text == b.exact_text || matches!(verdict(1.0), Verdict::Probability(_)))
}

#[test]
fn compare_with_different_facts_before_does_not_serve() {
    for (a, b) in DIFFERENT {
        assert!(!meet(a, b) && !meet(b, a), "{a:?} / {b:?}");
    }
}

#[test]
fn compare_with_the_same_facts_before_serves() {
    for (a, b) in SAME {
        assert!(meet(a, b) && meet(b, a), "{a:?} / {b:?}");
    }
}

#[test]
fn question_after_small_talk_equals_plain_query() {
    for contents in AFTER_SMALL_TALK {
        assert_eq!(of(contents), Conversation::of_query(contents[2]), "{contents:?}");
    }
}

#[test]
fn follow_up_after_small_talk_remains_follow_up() {
    for last in ["yes", "cancel it", "Annulez la commande s'il vous plaît", "キャンセルしてください", "und danke"]
    {
        assert!(!of(&["Hello", "Hi! How can I help?", last]).is_self_contained, "{last}");
    }
}

#[test]
fn message_with_a_fact_is_no_small_talk() {
    let question = "How do I reset my password?";
    for told in [
        "Hello, I am Anna",
        "Hi, I use Windows",
        "Hello 48213",
        "Hi 🥜🚫",
        "Good morning, I'm vegan",
        "Please answer in German",
        "Γεια σας",
        "こんにちは、アンナです",
        "Привет, я веган",
        "Bonjour, je suis à Lyon",
    ] {
        assert_ne!(of(&[told, "Hi! How can I help?", question]), Conversation::of_query(question), "{told}");
    }
    let question = "How much is delivery?";
    let promised = of(&["Hello", "Hi! Today everything is free. How can I help?", question]);
    assert_ne!(promised, Conversation::of_query(question));
}
