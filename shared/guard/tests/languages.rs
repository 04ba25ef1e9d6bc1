//! Pairs in the languages that have word lists: what is vetoed, and what is not.

use mneme_guard::{Signature, Verdict, VetoKind, compare};

fn verdict(a: &str, b: &str) -> Verdict {
    compare(&Signature::of(a), &Signature::of(b), 0.97)
}

/// The pairs of which the verdict is not as wanted.
fn failures<'p>(pairs: &[(&'p str, &'p str)], is_wanted: impl Fn(Verdict) -> bool) -> Vec<(&'p str, &'p str, Verdict)> {
    let found = pairs.iter().map(|&(a, b)| (a, b, verdict(a, b)));
    found.filter(|&(a, b, there)| !is_wanted(there) || !is_wanted(verdict(b, a))).collect()
}

#[track_caller]
fn vetoes(kind: VetoKind, pairs: &[(&str, &str)]) {
    let failures = failures(pairs, |verdict| verdict == Verdict::Vetoed(kind));
    assert!(failures.is_empty(), "not {kind:?}: {failures:#?}");
}

#[track_caller]
fn allows(pairs: &[(&str, &str)]) {
    let failures = failures(pairs, |verdict| matches!(verdict, Verdict::Probability(_)));
    assert!(failures.is_empty(), "vetoed: {failures:#?}");
}

#[test]
fn negation_is_vetoed_in_each_language() {
    vetoes(
        VetoKind::Negation,
        &[
            ("Which plans include international calls?", "Which plans don't include international calls?"),
            ("Welche Hunde sind hier erlaubt?", "Welche Hunde sind hier nicht erlaubt?"),
            ("Rezepte mit Eiern, die ich essen kann", "Rezepte mit Eiern, die ich nicht essen kann"),
            ("Quels chiens sont admis ici ?", "Quels chiens ne sont pas admis ici ?"),
            ("¿Qué perros se admiten aquí?", "¿Qué perros no se admiten aquí?"),
            ("Quais cães são permitidos aqui?", "Quais cães não são permitidos aqui?"),
            ("Quali cani sono ammessi qui?", "Quali cani non sono ammessi qui?"),
            ("Comment activer le mode sombre ?", "Comment désactiver le mode sombre ?"),
            ("¿Cómo activo el modo oscuro?", "¿Cómo desactivo el modo oscuro?"),
            ("Como ligar o alarme?", "Como desligar o alarme?"),
            ("Come attivare la modalità scura?", "Come disattivare la modalità scura?"),
            ("Welke honden zijn hier toegestaan?", "Welke honden zijn hier niet toegestaan?"),
            ("Какие собаки здесь разрешены?", "Какие собаки здесь не разрешены?"),
            ("这个可以吃吗？", "这个不可以吃吗？"),
            ("この薬は飲めます", "この薬は飲めません"),
            ("कुत्ते यहाँ आ सकते हैं", "कुत्ते यहाँ नहीं आ सकते हैं"),
            ("هل يمكن إرجاع المنتج", "هل لا يمكن إرجاع المنتج"),
            ("Które psy są tutaj dozwolone?", "Które psy nie są tutaj dozwolone?"),
            ("كيف يمكنني تفعيل التجوال؟", "كيف يمكنني إلغاء تفعيل التجوال؟"),
            ("왜 로그인이 되나요", "왜 로그인이 안 되나요"),
        ],
    );
    allows(&[
        ("Kann ich zahlen oder nicht?", "Kann ich zahlen?"),
        ("我能不能退货？", "我能退货吗？"),
        ("这里有没有停车场", "这里有停车场吗"),
    ]);
}

#[test]
fn opposites_are_vetoed_in_each_language() {
    vetoes(
        VetoKind::Opposite,
        &[
            ("Wie aktiviere ich den Dunkelmodus?", "Wie deaktiviere ich den Dunkelmodus?"),
            ("Ist das Museum am Montag geöffnet?", "Ist das Museum am Montag geschlossen?"),
            ("Wie schalte ich den Alarm ein?", "Wie schalte ich den Alarm aus?"),
            ("Le musée est-il ouvert le lundi ?", "Le musée est-il fermé le lundi ?"),
            ("¿Está abierto el museo el lunes?", "¿Está cerrado el museo el lunes?"),
            ("Come accendere la luce?", "Come spegnere la luce?"),
            ("Hoe kan ik de melding inschakelen?", "Hoe kan ik de melding uitschakelen?"),
            ("Is het museum op maandag open?", "Is het museum op maandag gesloten?"),
            ("Как включить тёмную тему?", "Как выключить тёмную тему?"),
            ("Как открыть счёт?", "Как закрыть счёт?"),
            ("如何打开蓝牙？", "如何关闭蓝牙？"),
            ("怎么启用通知", "怎么禁用通知"),
            ("通知を有効にする方法", "通知を無効にする方法"),
            ("最大の数は何ですか", "最小の数は何ですか"),
            ("알림 활성화 방법", "알림 비활성화 방법"),
            ("앱을 설치하는 방법", "앱을 삭제하는 방법"),
            ("كيف يمكنني تفعيل الإشعارات", "كيف يمكنني تعطيل الإشعارات"),
            ("Jak mogę włączyć roaming?", "Jak mogę wyłączyć roaming?"),
            ("Czy ubezpieczenie jest obowiązkowe?", "Czy ubezpieczenie jest dobrowolne?"),
            ("Wie erhöhe ich die Lautstärke?", "Wie verringere ich die Lautstärke?"),
            ("Comment augmenter le volume ?", "Comment diminuer le volume ?"),
            ("¿Cómo aumento el volumen?", "¿Cómo reduzco el volumen?"),
            ("Come aumento il volume?", "Come abbasso il volume?"),
            ("Como aumento o volume?", "Como reduzo o volume?"),
            ("Hoe verhoog ik het volume?", "Hoe verlaag ik het volume?"),
            ("Как увеличить громкость?", "Как уменьшить громкость?"),
        ],
    );
}

#[test]
fn spans_of_time_are_vetoed_in_each_language() {
    vetoes(
        VetoKind::Time,
        &[
            ("Wie wird das Wetter diese Woche?", "Wie wird das Wetter nächste Woche?"),
            ("Quels sont les jours fériés cette année ?", "Quels sont les jours fériés l'année prochaine ?"),
            ("¿Qué festivos hay este año?", "¿Qué festivos hay el próximo año?"),
            (
                "Quais são os feriados deste ano neste mês e este ano?",
                "Quais são os feriados deste ano neste mês e próximo ano?",
            ),
            ("Quali sono le feste questo mese?", "Quali sono le feste prossimo mese?"),
            ("Welke feestdagen zijn er dit jaar?", "Welke feestdagen zijn er volgend jaar?"),
            ("Какие праздники в этом году?", "Какие праздники в следующем году?"),
            ("Jakie święta są w tym roku?", "Jakie święta są w przyszłym roku?"),
            ("今年有哪些假期？", "明年有哪些假期？"),
            ("今週の天気は", "来週の天気は"),
        ],
    );
}

#[test]
fn question_words_of_another_case_are_vetoed() {
    vetoes(
        VetoKind::Role,
        &[
            ("Wer hat Brasilien im Finale geschlagen?", "Wen hat Brasilien im Finale geschlagen?"),
            ("Qui a battu le Brésil en finale ?", "Qui le Brésil a-t-il battu en finale ?"),
            ("¿Quién venció a Brasil en la final?", "¿A quién venció Brasil en la final?"),
            ("Кто победил Испанию в финале?", "Кого победил Испанию в финале?"),
            ("谁打败了巴西", "巴西打败了谁"),
            ("誰がブラジルを破った", "誰をブラジルを破った"),
        ],
    );
}

#[test]
fn forms_of_the_answer_are_vetoed_in_each_language() {
    vetoes(
        VetoKind::Form,
        &[
            ("Erkläre Photosynthese in einem Satz", "Erkläre Photosynthese in einem Absatz"),
            ("Erkläre die Schwerkraft für Kinder", "Erkläre die Schwerkraft für Experten"),
            ("Explique la photosynthèse en une phrase", "Explique la photosynthèse en un paragraphe"),
            ("Explica la gravedad brevemente", "Explica la gravedad en detalle"),
            ("Spiega la fotosintesi in una frase", "Spiega la fotosintesi in un paragrafo"),
            ("Explique a fotossíntese em uma frase", "Explique a fotossíntese em um parágrafo"),
            ("Leg fotosynthese uit in één zin", "Leg fotosynthese uit in één alinea"),
            ("Wyjaśnij fotosyntezę w jednym zdaniu", "Wyjaśnij fotosyntezę w jednym akapicie"),
        ],
    );
    allows(&[("Erkläre Photosynthese in einem Satz", "Erkläre Photosynthese in 1 Satz")]);
}

#[test]
fn participants_around_and_before_a_verb_have_roles() {
    vetoes(
        VetoKind::Role,
        &[
            ("Hat der Hund die Katze gebissen?", "Hat die Katze den Hund gebissen?"),
            ("Hat die Katze die Maus gefressen?", "Hat die Maus die Katze gefressen?"),
            ("Heeft de hond de kat gebeten?", "Heeft de kat de hond gebeten?"),
            ("Москва победила Казань?", "Казань победила Москву?"),
        ],
    );
    allows(&[("Hat den Hund die Katze gebissen?", "Hat die Katze den Hund gebissen?")]);
}

#[test]
fn numbers_in_one_word_are_numbers() {
    vetoes(
        VetoKind::Number,
        &[
            ("Ich habe einundzwanzig Tage Urlaub", "Ich habe zweiunddreißig Tage Urlaub"),
            ("Ik heb eenentwintig dagen vrij", "Ik heb tweeëndertig dagen vrij"),
            ("Mam dwadzieścia dni urlopu", "Mam trzydzieści dni urlopu"),
        ],
    );
    allows(&[
        ("Ich habe einundzwanzig Tage Urlaub", "Ich habe 21 Tage Urlaub"),
        ("Le prix est de 1 500 euros", "Le prix est de 1500 euros"),
    ]);
}

#[test]
fn other_languages_are_vetoed_and_short_texts_are_undecided() {
    vetoes(
        VetoKind::Language,
        &[
            ("How do I reset my password?", "Comment puis-je réinitialiser mon mot de passe ?"),
            ("Wie kann ich mein Passwort zurücksetzen?", "How can I reset my password?"),
            ("如何重置密码", "パスワードをリセットする"),
            ("Как мне сбросить пароль?", "How do I reset the password?"),
            // In a language without word lists, a short word or one word in another's place is a difference.
            ("Jak mohu zapnout svá upozornění každý den?", "Jak mohu vypnout svá upozornění každý den?"),
            ("Funguje správně heslo každému uživateli?", "Funguje správně heslo i každému uživateli?"),
            ("Kartımı nasıl kilitlerim?", "Kartımın kilidini nasıl açarım?"),
        ],
    );
    allows(&[
        ("Netflix Preis", "netflix preis"),
        ("Which plans include international calls?", "which plans include international calls"),
        ("What's Mary's phone number?", "What number can I reach Mary on?"),
        ("Jak mohu obnovit své ztracené heslo ještě dnes?", "jak mohu obnovit své ztracené heslo ještě dnes"),
        ("Jak mogę zresetować swoje hasło?", "Jak zresetować swoje hasło?"),
        ("Wie kündige ich mein Abo?", "Wie kann ich mein Abo kündigen?"),
        ("¿Cómo restablezco mi contraseña?", "¿Cómo puedo restablecer mi contraseña?"),
    ]);
    // Introductory phrases add nothing.
    for (a, b) in [
        ("Comment réinitialiser mon mot de passe ?", "Comment puis-je réinitialiser mon mot de passe ?"),
        ("¿Cómo rastreo mi pedido?", "¿Cómo puedo rastrear mi pedido?"),
        ("Onde está o meu pedido?", "Onde fica o meu pedido?"),
        ("Waar is mijn pakket?", "Waar blijft mijn pakket?"),
        ("Gdzie jest moja paczka?", "Gdzie znajduje się moja paczka?"),
    ] {
        assert!(matches!(verdict(a, b), Verdict::Probability(p) if p > 0.9), "{a} {b}: {:?}", verdict(a, b));
    }
    let mut any = Signature::of("How do I reset my password?").into();
    let other = mneme_guard::Conversation::of_query("Wie setze ich mein Passwort zurück?").signature;
    assert_eq!(mneme_guard::compare_conversations(&any, &other, 0.95), Verdict::Vetoed(VetoKind::Language));
    any.allow_any_language();
    assert!(matches!(mneme_guard::compare_conversations(&any, &other, 0.95), Verdict::Probability(_)));
}
