//! A fake OpenAI-compatible service with several embedding models. A vector depends on the model and the words alone.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::embedder::is_of_sample;

/// An embedding model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Model {
    /// The name in requests.
    pub name: &'static str,
    /// The number of components of its vectors.
    pub dim: usize,
}

/// The model that caches use before a move.
pub const ALPHA: Model = Model { name: "alpha", dim: 64 };
/// A model with longer vectors.
pub const BETA: Model = Model { name: "beta", dim: 96 };
/// A model whose vectors are as long as those of [`ALPHA`] but unrelated to them.
pub const GAMMA: Model = Model { name: "gamma", dim: 64 };

/// The words that rewordings add.
const FILLERS: [&str; 5] = ["now", "oh", "please", "quickly", "so"];

impl Model {
    /// The fingerprint in the table: see `mneme_embed::spec::Spec::fingerprint`.
    pub fn fingerprint(self) -> String {
        format!("openai:{}/1", self.name)
    }

    /// The vector of a text: the sum of its words' vectors, so that texts with common words are near each other. Words that
    /// say little weigh little, as in real models: with rewordings as similar as theirs the guard is as confident.
    pub fn vector(self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0_f32; self.dim];
        for word in text.split_whitespace() {
            let mut hasher = DefaultHasher::new();
            (self.name, word.to_lowercase()).hash(&mut hasher);
            let mut rng = fastrand::Rng::with_seed(hasher.finish());
            let weight = if FILLERS.contains(&word.to_lowercase().as_str()) { 0.2 } else { 1.0 };
            vector.iter_mut().for_each(|value| *value += weight * (rng.f32() - 0.5));
        }
        vector
    }
}

#[derive(Default)]
struct Shared {
    /// Pairs of model name and text.
    embedded: Vec<(String, String)>,
    /// Pairs of model and text; `None` means every model.
    refused: HashSet<(Option<Model>, String)>,
    failures: VecDeque<u16>,
    longer: bool,
}

/// A service with all models. It ends with the test's runtime.
pub struct Models {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Models {
    /// Starts the service on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let app = Router::new().route("/embeddings", post(embeddings)).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, shared }
    }

    /// The value of `MNEME_EMBEDDER` for `model`.
    pub fn spec(&self, model: Model) -> String {
        format!("openai:{}@{}", model.name, self.url)
    }

    /// Refuses requests with this text for any model from now on.
    pub fn refuse(&self, text: &str) {
        lock(&self.shared).refused.insert((None, text.to_owned()));
    }

    /// Refuses requests to `model` with this text from now on.
    pub fn refuse_by(&self, model: Model, text: &str) {
        lock(&self.shared).refused.insert((Some(model), text.to_owned()));
    }

    /// Answers the next requests with these error statuses, one each.
    pub fn fail(&self, statuses: impl IntoIterator<Item = u16>) {
        lock(&self.shared).failures.extend(statuses);
    }

    /// Discards the error statuses that are left.
    pub fn clear_failures(&self) {
        lock(&self.shared).failures.clear();
    }

    /// Adds a component to each vector from now on, or stops doing so.
    pub fn set_longer_vectors(&self, longer: bool) {
        lock(&self.shared).longer = longer;
    }

    /// The texts embedded since the last call, as pairs of model name and text.
    pub fn take_embedded(&self) -> Vec<(String, String)> {
        std::mem::take(&mut lock(&self.shared).embedded)
    }
}

async fn embeddings(State(shared): State<Arc<Mutex<Shared>>>, Json(request): Json<Value>) -> (StatusCode, Json<Value>) {
    let name = request["model"].as_str().unwrap_or_default();
    let known = [ALPHA, BETA, GAMMA].into_iter().find(|model| model.name == name);
    let texts: Vec<&str> = request["input"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(model) = known.filter(|_| texts.iter().all(|text| is_of_sample(text))) {
        return of_sample(model, &texts);
    }
    let mut shared = lock(&shared);
    let refusal = |status| {
        let status = StatusCode::from_u16(status).expect("a status");
        (status, Json(json!({"error": {"message": "injected by the test", "type": "injected"}})))
    };
    if let Some(status) = shared.failures.pop_front() {
        return refusal(status);
    }
    let Some(model) = known else { return refusal(404) };
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

/// The reply to the questions from which a scale is learned. The models tell no topics apart in them, so their scale changes
/// nothing: callers send the vectors of the caches that a moved one is compared with, and for these no scale is learned.
fn of_sample(model: Model, texts: &[&str]) -> (StatusCode, Json<Value>) {
    let whole = |text: &&str| model.vector(&text.replace(char::is_whitespace, ""));
    let item = |(index, text)| json!({"index": index, "embedding": whole(text)});
    (StatusCode::OK, Json(json!({"data": texts.iter().enumerate().map(item).collect::<Value>()})))
}
