//! Embedding models behind an OpenAI-compatible service: vectors that depend on nothing but the model and the words.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Model {
    /// Its name.
    pub name: &'static str,
    /// The length of its vectors.
    pub dim: usize,
}

/// One model, …
pub const ALPHA: Model = Model { name: "alpha", dim: 64 };
/// … one with longer vectors, …
pub const BETA: Model = Model { name: "beta", dim: 96 };
/// … and one whose vectors are as long as the first one's, and have nothing to do with them.
pub const GAMMA: Model = Model { name: "gamma", dim: 64 };

impl Model {
    /// What a cache is stamped with: see `mneme_embed::spec::Spec::fingerprint`.
    pub fn fingerprint(self) -> String {
        format!("openai:{}/1", self.name)
    }

    /// The vector of a text: the sum of its words' own, so that texts with common words are near each other.
    pub fn vector(self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0_f32; self.dim];
        for word in text.split_whitespace() {
            let mut hasher = DefaultHasher::new();
            (self.name, word.to_lowercase()).hash(&mut hasher);
            let mut rng = fastrand::Rng::with_seed(hasher.finish());
            vector.iter_mut().for_each(|value| *value += rng.f32() - 0.5);
        }
        vector
    }
}

#[derive(Default)]
struct Shared {
    /// Texts embedded, with their models.
    embedded: Vec<(String, String)>,
    /// Of a model, or of each.
    refused: HashSet<(Option<Model>, String)>,
    failures: VecDeque<u16>,
    longer: bool,
}

/// A service that has all of them; it ends with the test's runtime.
pub struct Models {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Models {
    /// Starts on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let app = Router::new().route("/embeddings", post(embeddings)).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, shared }
    }

    /// A value for `MNEME_EMBEDDER`.
    pub fn spec(&self, model: Model) -> String {
        format!("openai:{}@{}", model.name, self.url)
    }

    /// Refuses calls with this text from now on.
    pub fn refuse(&self, text: &str) {
        lock(&self.shared).refused.insert((None, text.to_owned()));
    }

    /// Refuses calls to this model with this text from now on.
    pub fn refuse_of(&self, model: Model, text: &str) {
        lock(&self.shared).refused.insert((Some(model), text.to_owned()));
    }

    /// Answers the next calls with these statuses.
    pub fn fail(&self, statuses: impl IntoIterator<Item = u16>) {
        lock(&self.shared).failures.extend(statuses);
    }

    /// Answers well again.
    pub fn fail_no_more(&self) {
        lock(&self.shared).failures.clear();
    }

    /// Makes vectors one number too long from now on, or no more.
    pub fn lengthen(&self, longer: bool) {
        lock(&self.shared).longer = longer;
    }

    /// The texts embedded since this was last asked, with their models' names.
    pub fn take_embedded(&self) -> Vec<(String, String)> {
        std::mem::take(&mut lock(&self.shared).embedded)
    }
}

async fn embeddings(State(shared): State<Arc<Mutex<Shared>>>, Json(request): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut shared = lock(&shared);
    let refusal = |status| {
        let status = StatusCode::from_u16(status).expect("a status");
        (status, Json(json!({"error": {"message": "spoilt by the test", "type": "spoilt"}})))
    };
    if let Some(status) = shared.failures.pop_front() {
        return refusal(status);
    }
    let name = request["model"].as_str().unwrap_or_default();
    let Some(model) = [ALPHA, BETA, GAMMA].into_iter().find(|model| model.name == name) else { return refusal(404) };
    let texts: Vec<&str> = request["input"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let is_refused =
        |text: &&str| [None, Some(model)].iter().any(|of| shared.refused.contains(&(*of, (*text).to_owned())));
    if texts.iter().any(is_refused) {
        return refusal(400);
    }
    let longer = shared.longer;
    shared.embedded.extend(texts.iter().map(|text| (model.name.to_owned(), (*text).to_owned())));
    let item = |(index, text): (usize, &&str)| {
        let mut vector = model.vector(text);
        vector.extend(longer.then_some(1.0));
        json!({"index": index, "embedding": vector})
    };
    (StatusCode::OK, Json(json!({"data": texts.iter().enumerate().map(item).collect::<Value>()})))
}
