//! The model all-MiniLM-L6-v2 inside the process. It needs no service and no network.

use std::env;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use mneme_minilm::encoder::DIM;
use mneme_minilm::error::LoadError;
use mneme_minilm::model::{self, Model};
use mneme_minilm::tokenizer::MAX_PIECES;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use crate::error::{EmbedError, EmbedErrorKind};
use crate::provider::{Limits, Provider, TextVector};
use crate::spec::{MINILM_DIM, MINILM_MAX_TOKENS, Spec};

// `spec` is built without the model's crate, so it has its own copy of these numbers.
const _: () = assert!(DIM == MINILM_DIM && MAX_PIECES == MINILM_MAX_TOKENS);

/// Names the only directory where the model is looked for.
const PATH_VARIABLE: &str = "MNEME_MINILM_PATH";

/// The directory where a Lambda layer puts the model.
const LAYER_DIRECTORY: &str = "/opt/minilm";

/// Names the directory of a Lambda function's own files, set by Lambda.
const TASK_ROOT_VARIABLE: &str = "LAMBDA_TASK_ROOT";
/// The model's directory within it.
const TASK_DIRECTORY: &str = "minilm";

/// A call computes on one processor. Short calls let the deadline be checked between them.
const LIMITS: Limits = Limits {
    texts_per_call: NonZeroUsize::new(8).expect("not zero"),
    concurrent_calls: NonZeroUsize::new(1).expect("not zero"),
};

/// The model. It is loaded when it is first needed.
pub struct MiniLm {
    fingerprint: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// The directories where the model may be. The first one that exists is used.
    directories: Vec<PathBuf>,
    /// `None` until it is loaded. A failure is not kept, since the files may appear later.
    model: Mutex<Option<Arc<Model>>>,
}

impl MiniLm {
    /// The model in the directory `MNEME_MINILM_PATH`, if that is set. Otherwise the model in `/opt/minilm`, where a
    /// layer puts it, or in the directory `minilm` of the function's own files. Reads the environment, but no file
    /// yet.
    pub fn from_env() -> Self {
        Self::in_directories(directories(|name| env::var_os(name)))
    }

    /// The model in the first of `directories` that exists. Reads no file yet.
    pub fn in_directories(directories: Vec<PathBuf>) -> Self {
        let fingerprint = Spec::MiniLm.fingerprint().unwrap_or_default();
        Self { fingerprint, shared: Arc::new(Shared { directories, model: Mutex::default() }) }
    }
}

/// The directories where the model may be, by the environment, which `variable` reads.
fn directories(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match set(PATH_VARIABLE) {
        Some(only) => vec![only],
        None => {
            let own = set(TASK_ROOT_VARIABLE).map(|root| root.join(TASK_DIRECTORY));
            [Some(PathBuf::from(LAYER_DIRECTORY)), own].into_iter().flatten().collect()
        }
    }
}

impl Shared {
    /// The model. The first call loads it. Blocks.
    ///
    /// Errors: `UnknownModel` if there is no model or another one; `Unavailable` if its files cannot be read.
    fn model(&self) -> Result<Arc<Model>, EmbedError> {
        // A concurrent caller waits here until the model is loaded.
        let mut held = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = &*held {
            return Ok(model.clone());
        }
        let Some(directory) = self.directories.iter().find(|directory| directory.is_dir()) else {
            return Err(no_directory(&self.directories));
        };
        let begun = Instant::now();
        let model = Arc::new(Model::load(directory).map_err(not_loaded)?);
        let load_ms = begun.elapsed().as_millis() as u64;
        tracing::info!(load_ms, directory = %directory.display(), "the embedder's model is loaded");
        *held = Some(model.clone());
        Ok(model)
    }
}

impl Provider for MiniLm {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn dim(&self) -> Option<usize> {
        Some(DIM)
    }

    fn limits(&self) -> Limits {
        LIMITS
    }

    /// Accepts every text. A text without words has the vector that sentence-transformers gives it. Of a long text only
    /// the beginning counts.
    fn check(&self, _text: &str) -> Result<(), EmbedError> {
        Ok(())
    }

    /// Computes on a thread for blocking work. A computation that runs at the deadline is completed, but its result is
    /// discarded. None is started after the deadline.
    async fn call(&self, texts: &[&str], deadline: Instant) -> Result<Vec<TextVector>, EmbedError> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let shared = self.shared.clone();
        let computed = spawn_blocking(move || {
            let in_time = || if Instant::now() < deadline { Ok(()) } else { Err(timed_out()) };
            in_time()?;
            let model = shared.model()?;
            in_time()?;
            let vectors = model.embed(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            Ok(vectors.into_iter().map(TextVector::from).collect())
        });
        match timeout_at(deadline, computed).await {
            Ok(Ok(vectors)) => vectors,
            Ok(Err(error)) => Err(EmbedError::new(
                EmbedErrorKind::Unavailable,
                "the embedder minilm failed",
                "try again; if it persists, report it with the log's text",
            )
            .caused_by(error)),
            Err(_) => Err(timed_out()),
        }
    }
}

impl From<model::TextVector> for TextVector {
    fn from(model::TextVector { values, is_cut, unknown_share }: model::TextVector) -> Self {
        Self { values, is_cut, unknown_share }
    }
}

/// `TimedOut`, with the remedy for a computation in this process.
fn timed_out() -> EmbedError {
    EmbedError::new(
        EmbedErrorKind::TimedOut,
        "the embedder minilm did not end in time",
        "try again; if it persists, raise the function's memory, which its processor's share goes with, or its timeout",
    )
}

/// `UnknownModel`: none of `directories` exists.
fn no_directory(directories: &[PathBuf]) -> EmbedError {
    let directories: Vec<_> = directories.iter().map(|directory| directory.display().to_string()).collect();
    EmbedError::new(
        EmbedErrorKind::UnknownModel,
        "the model of the embedder minilm is not there",
        "run shared/minilm/fetch, and put the directory that it writes into the function's layer or zip as `minilm`, or \
         name it in MNEME_MINILM_PATH",
    )
    .caused_by(format!("no such directory: {}", directories.join(", ")))
}

/// `UnknownModel` or `Unavailable`, for a model that could not be loaded.
fn not_loaded(error: LoadError) -> EmbedError {
    let kind = match &error {
        LoadError::Missing(_) | LoadError::WrongChecksum { .. } | LoadError::Malformed { .. } => {
            EmbedErrorKind::UnknownModel
        }
        LoadError::Unreadable { .. } => EmbedErrorKind::Unavailable,
    };
    EmbedError::new(kind, "the model of the embedder minilm could not be loaded", error.remediation()).caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::embedder::Embedder;

    fn far_deadline() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    async fn error(directories: Vec<PathBuf>, deadline: Instant) -> EmbedError {
        Embedder::new(MiniLm::in_directories(directories)).embed(&["text"], deadline).await.unwrap_err()
    }

    #[test]
    fn directories_with_path_variable_are_that_one_only() {
        let of = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            directories(value).iter().map(|directory| directory.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), ["/opt/minilm"]);
        assert_eq!(of(&[(TASK_ROOT_VARIABLE, "/var/task")]), ["/opt/minilm", "/var/task/minilm"]);
        assert_eq!(of(&[(PATH_VARIABLE, "/data/m"), (TASK_ROOT_VARIABLE, "/var/task")]), ["/data/m"]);
        assert_eq!(of(&[(PATH_VARIABLE, "")]), ["/opt/minilm"]);
    }

    #[test]
    fn fingerprint_and_dim_before_loading_are_known() {
        let embedder = MiniLm::in_directories(Vec::new());
        assert_eq!(embedder.fingerprint(), "minilm:all-MiniLM-L6-v2/1");
        assert_eq!((embedder.dim(), Spec::MiniLm.dim()), (Some(384), Some(384)));
        assert_eq!(Spec::MiniLm.fingerprint().as_deref(), Some(embedder.fingerprint()));
        for text in ["", " \n", "text"] {
            assert!(embedder.check(text).is_ok());
        }
    }

    #[tokio::test]
    async fn embed_without_model_returns_the_remedy() {
        let empty = tempfile::tempdir().unwrap();
        let error = error(vec![empty.path().join("none"), empty.path().join("nor this")], far_deadline()).await;
        assert_eq!((error.kind, error.text), (EmbedErrorKind::UnknownModel, None));
        assert!(error.remediation.contains("shared/minilm/fetch") && error.remediation.contains(PATH_VARIABLE));
        assert!(!error.to_string().contains("nor this"), "only the log has paths");
        assert!(error.causes().contains("/none, ") && error.causes().ends_with("/nor this"), "{}", error.causes());
    }

    #[tokio::test]
    async fn embed_with_first_directory_lacking_the_model_does_not_use_the_second() {
        let (empty, full) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(full.path().join("vocab.txt"), "of another model\n").unwrap();
        let missing = error(vec![empty.path().to_owned(), full.path().to_owned()], far_deadline()).await;
        assert_eq!(missing.kind, EmbedErrorKind::UnknownModel);
        assert!(missing.causes().starts_with("there is no ") && missing.causes().ends_with("/vocab.txt"));
        let other = error(vec![full.path().to_owned()], far_deadline()).await;
        assert_eq!(other.kind, EmbedErrorKind::UnknownModel);
        assert!(other.causes().contains("not the file that this release was made for"), "{}", other.causes());
        assert!(other.remediation.contains("shared/minilm/fetch"));
    }

    #[tokio::test]
    async fn embed_with_unreadable_file_is_unavailable() {
        let directory = tempfile::tempdir().unwrap();
        // Every user, root too, can open a directory but not read it.
        std::fs::create_dir(directory.path().join("vocab.txt")).unwrap();
        let error = error(vec![directory.path().to_owned()], far_deadline()).await;
        assert_eq!(error.kind, EmbedErrorKind::Unavailable);
        assert!(error.causes().contains("could not be read: "), "{}", error.causes());
    }

    #[tokio::test]
    async fn embed_after_the_deadline_does_not_load_the_model() {
        // There is no model. `UnknownModel` would show that the model was looked for.
        let error = error(Vec::new(), Instant::now() - Duration::from_millis(1)).await;
        assert_eq!(error.kind, EmbedErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn embed_while_another_call_loads_times_out_at_the_deadline() {
        let embedder = MiniLm::in_directories(Vec::new());
        let shared = embedder.shared.clone();
        let ((begun, begins), (end, ends)) = (mpsc::channel(), mpsc::channel::<()>());
        let other = thread::spawn(move || {
            let _loading = shared.model.lock();
            begun.send(()).unwrap();
            ends.recv().unwrap_err();
        });
        begins.recv().unwrap();
        let deadline = Instant::now() + Duration::from_millis(20);
        let error = Embedder::new(embedder).embed(&["text"], deadline).await.unwrap_err();
        drop(end);
        other.join().unwrap();
        assert_eq!(error.kind, EmbedErrorKind::TimedOut);
    }
}
