//! A cache that is moved, and two that are not: one for each embedder, to hold its answers against.

use std::collections::{BTreeMap, HashMap};

use mneme_core::embedding::Embedding;
use mneme_tests::invariants::Snapshot;
use mneme_tests::models::{ALPHA, BETA, Model};
use mneme_tests::stack::Item;
use mneme_tests::{Models, Stack};
use serde_json::{Value, json};
use tokio::sync::Mutex;

const SUBJECTS: [&str; 8] = ["password", "invoice", "order", "parcel", "refund", "account", "address", "voucher"];
const QUESTIONS: [&str; 3] = ["How do I change the", "Where do I find my last", "Who can delete an old"];

/// Below what texts with most words in common come to, by either model.
const THRESHOLD: (&str, &str) = ("MNEME_SIMILARITY_THRESHOLD", "0.7");

/// How a move ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Aborted,
}

pub(crate) struct World {
    pub(crate) models: Models,
    pub(crate) moving: Stack,
    still: [(Model, Stack); 2],
    /// How many of the texts are asked for.
    asked: usize,
    /// The answers of those, until something is stored or removed.
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

    /// With `variables` in the environment of the functions of the cache that is moved.
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

    /// With few entries and few questions.
    pub(crate) async fn small() -> Self {
        let world = Self { asked: 4, ..Self::start().await };
        for (at, text) in texts().into_iter().take(4).enumerate() {
            let namespace = if at == 0 { "other" } else { "default" };
            world.put(ALPHA, json!({"query": text, "response": format!("Answer {at}."), "namespace": namespace})).await;
        }
        world
    }

    /// Another set of instances over the cache that is moved, with these variables alone.
    pub(crate) async fn beside(&self, variables: &[(&str, &str)]) -> Stack {
        Stack::builder().over_table_of(&self.moving).variables(&[&[THRESHOLD], variables].concat()).start().await
    }

    /// The same with both embedders, as those that it has.
    pub(crate) async fn both_beside(&self, more: &[(&str, &str)]) -> Stack {
        let own = variables_of(&self.models);
        let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.beside(&[&own[..], more].concat()).await
    }

    /// Stores entries everywhere, in two namespaces, some of them with a context.
    pub(crate) async fn fill(&self) {
        for (at, text) in texts().into_iter().enumerate() {
            let mut entry = json!({"query": text, "response": format!("Answer {at}.")});
            if at % 5 == 4 {
                entry["namespace"] = json!("other");
            }
            if at % 7 == 6 {
                entry["context"] = json!({"model": "m"});
            }
            self.put(ALPHA, entry).await;
        }
    }

    /// Stores an entry everywhere; into the cache that is moved with a vector of `model`.
    pub(crate) async fn put(&self, model: Model, entry: Value) -> u64 {
        self.put_still(entry.clone()).await;
        self.moving.put(with_vector(model, &entry)).await
    }

    /// Stores an entry everywhere; into the cache that is moved without a vector.
    pub(crate) async fn put_text(&self, entry: Value) -> u64 {
        self.put_still(entry.clone()).await;
        self.moving.put(entry).await
    }

    /// Stores an entry in the caches that are not moved.
    pub(crate) async fn put_still(&self, entry: Value) {
        self.expected.lock().await.clear();
        for (own, stack) in &self.still {
            stack.put(with_vector(*own, &entry)).await;
        }
    }

    /// Invokes a function everywhere.
    pub(crate) async fn invoke(&self, function: &str, request: Value) {
        self.expected.lock().await.clear();
        for stack in self.still.iter().map(|(_, stack)| stack).chain([&self.moving]) {
            stack.invoke(function, request.clone()).await.unwrap();
        }
    }

    /// Has `reembed` do it, until it is complete.
    pub(crate) async fn act(&self, action: &str) -> Value {
        act(&self.moving, action).await
    }

    /// Every question is answered by the cache that is moved as by the one with the vectors of `model` that is not.
    pub(crate) async fn check(&self, model: Model) {
        self.check_of(&self.moving, model).await;
    }

    /// The same for other instances over the cache that is moved.
    pub(crate) async fn check_of(&self, instances: &Stack, model: Model) {
        let found = self.answers(instances, Some(model)).await;
        self.compare(model, &found).await;
    }

    /// The same of questions without vectors, which the functions are to embed.
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
        assert!(hits >= 5 || entries < 20, "{hits} semantic hits are too few to tell anything");
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

    /// `model`: whose vectors the questions bring; `None`: none.
    async fn answers(&self, stack: &Stack, model: Option<Model>) -> Vec<(Value, Value)> {
        let mut questions = Vec::new();
        for (at, text) in texts().into_iter().take(self.asked).enumerate() {
            // Some as stored, most in other words, each asked in both namespaces in turn.
            let query = if at % 4 == 0 { text } else { format!("please {text} now") };
            let namespace = if at % 3 == 0 { "other" } else { "default" };
            let context = if at % 7 == 6 { json!({"model": "m"}) } else { json!({}) };
            questions.push(json!({"query": query, "namespace": namespace, "context": context}));
            questions.push(json!({"query": format!("quickly {}", query), "threshold": 0.5}));
        }
        questions.push(json!({"query": "What is late please", "threshold": 0.2}));
        let brought = |question: &Value| model.map_or_else(|| question.clone(), |model| with_vector(model, question));
        let queries: Vec<Value> = questions.iter().map(brought).collect();
        let mut reply = stack.lookup(json!({ "queries": queries })).await;
        let answers = reply["results"].take();
        let answers = answers.as_array().unwrap().iter().map(|answer| {
            let mut answer = answer.as_object().unwrap().clone();
            // Ids differ where an entry had to be written anew. How near a miss was, an instance may tell by an entry that was
            // deleted, if it knew it.
            answer.retain(|name, _| !["id", "age_seconds", "best_similarity"].contains(&name.as_str()));
            Value::Object(answer)
        });
        questions.into_iter().zip(answers.collect::<Vec<_>>()).collect()
    }

    /// The entries of the cache that is moved.
    pub(crate) async fn entries(&self) -> BTreeMap<i128, Item> {
        Snapshot::read(&self.moving).await.entries
    }

    /// Nothing of the move is left, the table is in order, and every vector is of the embedder that stayed.
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

/// What the functions of a cache that is moved from one model to the other are configured with.
pub(crate) fn variables_of(models: &Models) -> Vec<(&'static str, String)> {
    vec![
        ("MNEME_EMBEDDER_FINGERPRINT", ALPHA.fingerprint()),
        ("MNEME_EMBEDDER_DIM", ALPHA.dim.to_string()),
        ("MNEME_EMBEDDER_NEXT_FINGERPRINT", BETA.fingerprint()),
        ("MNEME_EMBEDDER_NEXT_DIM", BETA.dim.to_string()),
        ("MNEME_EMBEDDER", models.spec(ALPHA)),
        ("MNEME_EMBEDDER_NEXT", models.spec(BETA)),
    ]
}

/// Has `reembed` do it, until it is complete.
pub(crate) async fn act(stack: &Stack, action: &str) -> Value {
    loop {
        let reply = stack.invoke("reembed", json!({ "action": action })).await.unwrap();
        if !goes_on(action) || reply["complete"] == true {
            return reply;
        }
    }
}

/// Whether the action may take more than one call.
pub(crate) fn goes_on(action: &str) -> bool {
    ["step", "finish", "abort"].contains(&action)
}

/// With the vector of its query.
pub(crate) fn with_vector(model: Model, of: &Value) -> Value {
    let mut with = of.clone();
    with["embedding"] = json!(model.vector(of["query"].as_str().unwrap()));
    with
}
