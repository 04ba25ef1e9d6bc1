//! A cache that is moved, and one unmoved cache per embedder to compare its answers with.

use std::collections::{BTreeMap, HashMap};

use mneme_model::embedding::Embedding;
use mneme_tests::invariants::Snapshot;
use mneme_tests::models::{ALPHA, BETA, Model};
use mneme_tests::stack::Item;
use mneme_tests::{Models, Stack};
use serde_json::{Value, json};
use tokio::sync::Mutex;

const SUBJECTS: [&str; 8] = ["password", "invoice", "order", "parcel", "refund", "account", "address", "voucher"];
const QUESTIONS: [&str; 3] = ["How do I change the", "Where do I find my last", "Who can delete an old"];

/// Below the similarity of texts that share most words, for either model.
const THRESHOLD: (&str, &str) = ("MNEME_SIMILARITY_THRESHOLD", "0.7");

/// The way a move ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Aborted,
}

pub(crate) struct World {
    pub(crate) models: Models,
    pub(crate) moving: Stack,
    still: [(Model, Stack); 2],
    /// The number of texts that are asked for.
    asked: usize,
    /// The answers of the unmoved caches, by model; emptied when an entry is stored or removed.
    expected: Mutex<HashMap<&'static str, Vec<(Value, Value)>>>,
}

fn texts() -> Vec<String> {
    let all = SUBJECTS.iter().flat_map(|subject| QUESTIONS.iter().map(move |question| format!("{question} {subject}")));
    all.collect()
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Adds `variables` to the environment of the moving cache's functions.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        let models = Models::start().await;
        let own = variables_of(&models);
        let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let moving = Stack::builder().variables(&[&own[..], &[THRESHOLD], variables].concat()).start().await;
        let still = [
            (ALPHA, Stack::builder().variables(&[THRESHOLD]).start().await),
            (BETA, Stack::builder().variables(&[THRESHOLD]).start().await),
        ];
        Self { models, moving, still, asked: usize::MAX, expected: Mutex::default() }
    }

    /// A world with few entries and few questions.
    pub(crate) async fn small() -> Self {
        let world = Self { asked: 4, ..Self::start().await };
        for (at, text) in texts().into_iter().take(4).enumerate() {
            let namespace = if at == 0 { "other" } else { "default" };
            world.put(ALPHA, json!({"query": text, "response": answer(at), "namespace": namespace})).await;
        }
        world
    }

    /// Further instances over the table of the moving cache, with only these variables.
    pub(crate) async fn instances(&self, variables: &[(&str, &str)]) -> Stack {
        Stack::builder().over_table_of(&self.moving).variables(&[&[THRESHOLD], variables].concat()).start().await
    }

    /// Further instances over the table of the moving cache, with both embedders.
    pub(crate) async fn moving_instances(&self, more: &[(&str, &str)]) -> Stack {
        let own = variables_of(&self.models);
        let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.instances(&[&own[..], more].concat()).await
    }

    /// Stores entries in all caches, in two namespaces, some with a context.
    pub(crate) async fn fill(&self) {
        for (at, text) in texts().into_iter().enumerate() {
            let mut entry = json!({"query": text, "response": answer(at)});
            if at % 5 == 4 {
                entry["namespace"] = json!("other");
            }
            if at % 7 == 6 {
                entry["context"] = json!({"model": "m"});
            }
            self.put(ALPHA, entry).await;
        }
    }

    /// Stores an entry in all caches, in the moving one with a vector of `model`.
    pub(crate) async fn put(&self, model: Model, entry: Value) -> u64 {
        self.put_still(entry.clone()).await;
        self.moving.put(with_vector(model, &entry)).await
    }

    /// Stores an entry in all caches, in the moving one without a vector.
    pub(crate) async fn put_text(&self, entry: Value) -> u64 {
        self.put_still(entry.clone()).await;
        self.moving.put(entry).await
    }

    /// Stores an entry in the unmoved caches.
    pub(crate) async fn put_still(&self, entry: Value) {
        self.expected.lock().await.clear();
        for (own, stack) in &self.still {
            stack.put(with_vector(*own, &entry)).await;
        }
    }

    /// Invokes a function of all caches.
    pub(crate) async fn invoke(&self, function: &str, request: Value) {
        self.expected.lock().await.clear();
        for stack in self.still.iter().map(|(_, stack)| stack).chain([&self.moving]) {
            stack.invoke(function, request.clone()).await.unwrap();
        }
    }

    /// Invokes `reembed` with `action` until the action is complete.
    pub(crate) async fn act(&self, action: &str) -> Value {
        act(&self.moving, action).await
    }

    /// Checks that the moving cache answers every question like the unmoved cache of `model`.
    pub(crate) async fn check(&self, model: Model) {
        self.check_of(&self.moving, model).await;
    }

    /// The same check for other instances over the table of the moving cache.
    pub(crate) async fn check_of(&self, instances: &Stack, model: Model) {
        let found = self.answers(instances, Some(model)).await;
        self.compare(model, &found).await;
    }

    /// The same check for questions without vectors, which the functions embed.
    pub(crate) async fn check_texts(&self, model: Model) {
        let found = self.answers(&self.moving, None).await;
        self.compare(model, &found).await;
    }

    async fn compare(&self, model: Model, found: &[(Value, Value)]) {
        let expected = self.expected(model).await;
        for ((question, expected), (_, found)) in expected.iter().zip(found) {
            assert_eq!(found, expected, "{question}");
        }
        let hits = expected.iter().filter(|(_, answer)| answer["layer"] == "semantic").count();
        let entries = self.entries().await.len();
        assert!(hits >= 5 || entries < 20, "{hits} semantic hits are too few for a comparison");
    }

    async fn expected(&self, model: Model) -> Vec<(Value, Value)> {
        let mut expected = self.expected.lock().await;
        if let Some(known) = expected.get(model.name) {
            return known.clone();
        }
        let answers = self.answers(&self.still.iter().find(|(own, _)| *own == model).unwrap().1, Some(model)).await;
        expected.insert(model.name, answers.clone());
        answers
    }

    /// The questions with their answers. The questions have vectors of `model`, or none for `None`.
    async fn answers(&self, stack: &Stack, model: Option<Model>) -> Vec<(Value, Value)> {
        let mut questions = Vec::new();
        for (at, text) in texts().into_iter().take(self.asked).enumerate() {
            // Every fourth question is as stored, the others are rewordings; namespaces alternate.
            let query = if at % 4 == 0 { text } else { format!("please {text} now") };
            let namespace = if at % 3 == 0 { "other" } else { "default" };
            let context = if at % 7 == 6 { json!({"model": "m"}) } else { json!({}) };
            questions.push(json!({"query": query, "namespace": namespace, "context": context}));
            questions.push(json!({"query": format!("quickly {}", query), "threshold": 0.5}));
        }
        questions.push(json!({"query": "What is late please", "threshold": 0.2}));
        let with_model =
            |question: &Value| model.map_or_else(|| question.clone(), |model| with_vector(model, question));
        let queries: Vec<Value> = questions.iter().map(with_model).collect();
        let mut reply = stack.lookup(json!({ "queries": queries })).await;
        let answers = reply["results"].take();
        let answers = answers.as_array().unwrap().iter().map(|answer| {
            let mut answer = answer.as_object().unwrap().clone();
            // Ids differ if a move had to rewrite an entry. A miss's similarity may come from a deleted entry that one
            // instance knows and another does not.
            answer.retain(|name, _| !["id", "age_seconds", "best_similarity"].contains(&name.as_str()));
            Value::Object(answer)
        });
        questions.into_iter().zip(answers.collect::<Vec<_>>()).collect()
    }

    /// The entries of the moving cache.
    pub(crate) async fn entries(&self) -> BTreeMap<i128, Item> {
        Snapshot::read(&self.moving).await.entries
    }

    /// The rows of the moving cache without the counts of hits and misses. An instance writes these some time after the
    /// lookups that it counted.
    pub(crate) async fn rows_without_counts(&self) -> BTreeMap<i128, Item> {
        let mut rows = self.moving.rows().await;
        for row in rows.values_mut() {
            row.retain(|name, _| !["hits_exact", "hits_semantic", "misses"].contains(&name.as_str()));
        }
        rows
    }

    /// Checks that nothing of the move is left, that the table is consistent, and that all vectors are of one embedder.
    pub(crate) async fn assert_ended(&self, end: End) {
        let snapshot = Snapshot::read(&self.moving).await;
        snapshot.check();
        let counter = snapshot.counter();
        assert!(!counter.keys().any(|name| name.starts_with("reembed")), "{counter:?}");
        let model = if end == End::Finished { BETA } else { ALPHA };
        assert_eq!(counter["embedder_fingerprint"].as_s().unwrap(), &model.fingerprint());
        assert_eq!(counter["embedder_dim"].as_n().unwrap(), &model.dim.to_string());
        for (id, row) in &snapshot.entries {
            assert!(!row.contains_key("embedding_next") && !row.contains_key("next_era"), "{id}: {row:?}");
            let Some(query) = row.get("query") else { continue };
            let expected = Embedding::normalized(model.vector(query.as_s().unwrap())).unwrap().to_bytes();
            assert_eq!(row["embedding"].as_b().unwrap().as_ref(), expected, "{id}");
            let era = |row: &Item, name: &str| row.get(name).map(|value| value.as_n().unwrap().clone());
            if let Some(own) = era(row, "embedder_era") {
                assert_eq!(Some(own), era(counter, "base_era"), "{id}");
            }
        }
    }
}

/// The variables of functions that move a cache from [`ALPHA`] to [`BETA`].
pub(crate) fn variables_of(models: &Models) -> Vec<(&'static str, String)> {
    vec![
        ("MNEME_EMBEDDER_FINGERPRINT", ALPHA.fingerprint()),
        ("MNEME_EMBEDDER_DIM", ALPHA.dim.to_string()),
        ("MNEME_EMBEDDER_NEXT_FINGERPRINT", BETA.fingerprint()),
        ("MNEME_EMBEDDER_NEXT_DIM", BETA.dim.to_string()),
        ("MNEME_EMBEDDER", models.spec(ALPHA)),
        ("MNEME_EMBEDDER_NEXT", models.spec(BETA)),
        // The entries come with the vector of one of the models, whichever is active.
        ("MNEME_CALLER_VECTORS", "trust".to_owned()),
    ]
}

/// The answer to the text number `at`. Every third one is stored in an item of its own.
fn answer(at: usize) -> String {
    format!("{:>1$}", format!("Answer {at}."), if at % 3 == 1 { 5000 } else { 0 })
}

/// Invokes `reembed` with `action` until the action is complete.
pub(crate) async fn act(stack: &Stack, action: &str) -> Value {
    loop {
        let reply = stack.invoke("reembed", json!({ "action": action })).await.unwrap();
        if !is_repeated(action) || reply["complete"] == true {
            return reply;
        }
    }
}

/// True if the action may need several invocations.
pub(crate) fn is_repeated(action: &str) -> bool {
    ["step", "finish", "abort"].contains(&action)
}

/// `of` with the vector of its query.
pub(crate) fn with_vector(model: Model, of: &Value) -> Value {
    let mut with = of.clone();
    with["embedding"] = json!(model.vector(of["query"].as_str().unwrap()));
    with
}
