//! Texts that the embedder reads in part or not at all: they have no semantic hit that the text does not justify.

use mneme_tests::embedder::{Behavior, EmbeddingService, at};
use mneme_tests::{Stack, vector};
use serde_json::{Value, json};

/// A stack whose embedder reads `max_tokens` tokens.
async fn started(max_tokens: &str, more: &[(&str, &str)]) -> (EmbeddingService, Stack) {
    let service = EmbeddingService::start().await;
    let embedder = service.embedder();
    let own = [("MNEME_EMBEDDER", embedder.as_str()), ("MNEME_EMBEDDER_MAX_TOKENS", max_tokens)];
    let stack = Stack::builder().variables(&own).variables(more).start().await;
    (service, stack)
}

fn document(year: u32) -> String {
    format!("The mill at the river was built in {year} and ground corn for four villages. ").repeat(12)
}

/// The layer that answers, or the veto or reason of the miss.
async fn ask(stack: &Stack, query: &str) -> Value {
    let reply = stack.lookup(json!({ "query": query })).await;
    let of = |name: &str| Some(reply[name].clone()).filter(|value| !value.is_null());
    of("layer").or(of("veto")).unwrap_or_else(|| reply["reason"].clone())
}

/// The fake embedder reads the dots at the end of a text alone, so all of these texts have one vector.
fn with_question(document: &str, question: &str) -> String {
    at(&format!("{document}\n\n{question}"), 0.1)
}

#[tokio::test]
async fn text_longer_than_the_window_is_served_only_with_the_same_document() {
    for guard in ["on", "off"] {
        let (service, stack) = started("128", &[("MNEME_GUARD", guard)]).await;
        let stored = with_question(&document(1790), "Which year was the old mill at the river built in?");
        let id = stack.put(json!({"query": stored, "response": "In 1790."})).await;
        let sent = service.take_texts().concat();
        assert!(sent[1].starts_with("Which year was the old mill"), "the instruction is read: {sent:?}");
        assert!(stack.rows().await[&i128::from(id)].contains_key("unread"));
        let reworded = with_question(&document(1790), "In which year was the old mill at the river built?");
        assert_eq!(ask(&stack, &reworded).await, "semantic", "guard {guard}");
        let other = with_question(&document(1791), "In which year was the old mill at the river built?");
        assert_eq!(ask(&stack, &other).await, "material", "guard {guard}");
        let reply = stack.invoke("lookup", json!({"queries": [{"query": reworded}, {"query": other}]})).await.unwrap();
        assert_eq!((&reply["results"][0]["id"], &reply["results"][1]["reason"]), (&json!(id), &json!("vetoed")));
        // An entry of an earlier release does not say what was not read.
        let mut row = stack.rows().await[&i128::from(id)].clone();
        row.remove("unread");
        stack.put_item(row).await;
        assert_eq!(ask(&stack, &reworded).await, "material", "guard {guard}");
    }
}

#[tokio::test]
async fn text_without_an_instruction_that_is_cut_is_served_only_exactly() {
    let (_service, stack) = started("64", &[("MNEME_GUARD", "off")]).await;
    let text = |last: &str| at(&format!("{}{last}", document(1790)), 0.1);
    stack.put(json!({"query": text("The end"), "response": "A"})).await;
    assert_eq!(ask(&stack, &text("The end")).await, "exact");
    assert_eq!(ask(&stack, &text("The beginning")).await, "material");
}

#[tokio::test]
async fn vector_of_a_caller_for_a_long_text_is_judged_by_the_same_window() {
    let stack = Stack::builder().variables(&[("MNEME_EMBEDDER_MAX_TOKENS", "64")]).start().await;
    let entry = |year, question: &str| json!({"query": format!("{}\n\n{question}", document(year)), "embedding": vector(8, 0.0)});
    let mut stored = entry(1790, "Which year was the old mill at the river built in?");
    stored["response"] = json!("In 1790.");
    let id = stack.put(stored).await;
    let reworded = "In which year was the old mill at the river built?";
    assert_eq!(stack.lookup(entry(1790, reworded)).await["id"], id);
    assert_eq!(stack.lookup(entry(1791, reworded)).await["veto"], "material");
}

#[tokio::test]
async fn equal_vectors_of_texts_without_a_common_word_are_no_hit() {
    for guard in ["on", "off"] {
        let (_service, stack) = started("512", &[("MNEME_GUARD", guard)]).await;
        stack.put(json!({"query": at("Hello world", 0.1), "response": "Hi."})).await;
        assert_eq!(ask(&stack, &at("How's the weather today?", 0.1)).await, "embedding", "guard {guard}");
        stack.put(json!({"query": at("Where do I sign in?", 1.0), "response": "At the top."})).await;
        let hit = stack.lookup(json!({"query": at("Which page has the login form?", 1.05)})).await;
        assert!(hit["veto"] != "embedding", "another similarity is no evidence: {hit}");
    }
}

#[tokio::test]
#[ignore = "needs the model in MNEME_MINILM_PATH"]
async fn minilm_does_not_serve_what_it_cannot_read() {
    let weights = std::env::var("MNEME_MINILM_PATH").unwrap();
    let variables = [("MNEME_EMBEDDER", "minilm"), ("MNEME_MINILM_PATH", weights.as_str()), ("MNEME_GUARD", "off")];
    let stack = Stack::builder().variables(&variables).start().await;
    for (number, (stored, asked)) in
        [("如何重置密码？", "怎样取消订单？"), ("🙂🙂🙂", "💣"), ("パスワードを忘れました", "注文をキャンセルしたい")]
            .into_iter()
            .enumerate()
    {
        let entry = json!({"query": stored, "response": "A"});
        let (status, reply) = stack.post("/v1/entries", entry.clone()).await;
        let expected = json!({"id": number + 1, "created": true, "semantic": false});
        assert_eq!((status, &reply), (201, &expected), "{stored}");
        let batch = stack.invoke("put", json!({"entries": [entry]})).await.unwrap();
        assert_eq!(batch["results"][0]["semantic"], false, "{batch}");
        assert_eq!(ask(&stack, stored).await, "exact");
        let miss = stack.lookup(json!({ "query": asked })).await;
        assert_eq!((&miss["outcome"], &miss["reason"]), (&json!("miss"), &json!("not_embeddable")), "{asked}");
    }
    stack.put(json!({"query": "Wie setze ich mein Passwort zurück?", "response": "A"})).await;
    let hit = stack.lookup(json!({"query": "Wie kann ich mein Passwort zurücksetzen?"})).await;
    assert_eq!(hit["layer"], "semantic", "Latin script is read: {hit}");
    let long = |year, question: &str| json!({"query": format!("{}\n\n{question}", document(year).repeat(3))});
    let mut entry = long(1790, "Which year was the old mill at the river built in?");
    entry["response"] = json!("In 1790.");
    let id = stack.put(entry).await;
    assert_eq!(stack.lookup(long(1790, "In which year was the old mill at the river built?")).await["id"], id);
    assert_eq!(
        stack.lookup(long(1791, "In which year was the old mill at the river built?")).await["reason"],
        "vetoed"
    );
}

#[tokio::test]
async fn vector_of_a_caller_that_is_not_the_texts_is_refused_where_an_embedder_is_configured() {
    let (service, stack) = started("512", &[]).await;
    let entry = |angle| json!({"query": at("How can I pay?", 0.1), "response": "A", "embedding": vector(8, angle)});
    let error = stack.invoke("put", entry(1.0)).await.unwrap_err();
    assert!(error.name == "InvalidRequest" && error.message.contains("their cosine is 0.62"), "{error:?}");
    let reply = stack.invoke("put", json!({"entries": [entry(1.0), entry(0.15)]})).await.unwrap();
    assert_eq!(reply["results"][0]["error"]["type"], "urn:mneme:error:InvalidRequest");
    assert_eq!(reply["results"][1]["created"], true);
    let hit = stack.lookup(json!({"query": at("How could I pay?", 0.1)})).await;
    assert!((hit["similarity"].as_f64().unwrap() - 1.0).abs() < 1e-6, "the embedder's own vector is stored: {hit}");
    service.take_texts();
    // A lookup's own vector decides only what its own caller gets.
    let own = stack.lookup(json!({"query": "Is it raining?", "embedding": vector(8, 3.0)})).await;
    assert_eq!((&own["outcome"], service.take_texts().len()), (&json!("miss"), 0));
    let (_service, stack) = started("512", &[("MNEME_CALLER_VECTORS", "refuse")]).await;
    let error = stack.invoke("put", entry(0.1)).await.unwrap_err();
    assert!(error.name == "InvalidRequest" && error.message.contains("callers send no vectors"), "{error:?}");
    let (service, stack) = started("512", &[("MNEME_CALLER_VECTORS", "trust")]).await;
    stack.put(json!({"query": at("How can I pay?", 0.1), "response": "A"})).await;
    service.take_texts();
    stack.put(entry(1.0)).await;
    assert_eq!(service.take_texts().len(), 0);
}

#[tokio::test]
async fn health_reports_an_embedder_that_does_not_tell_texts_apart() {
    let (service, stack) = started("512", &[]).await;
    let one = json!({"data": [{"index": 0, "embedding": vector(8, 0.0)}, {"index": 1, "embedding": vector(8, 0.0)}]});
    service.set(Behavior::Reply(200, one.to_string()));
    let (status, health) = stack.get("/v1/health").await;
    assert_eq!((status, &health["embedder_works"]), (503, &json!(false)), "{health}");
    assert!(health["problems"][0].as_str().unwrap().contains("equal vectors"), "{health}");
}
