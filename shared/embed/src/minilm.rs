//! all-MiniLM-L6-v2 inside the process: no service, no network, no charge.

use std::env;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use mneme_minilm::encoder::DIM;
use mneme_minilm::error::LoadError;
use mneme_minilm::model::Model;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use crate::error::{EmbedError, EmbedErrorKind};
use crate::provider::{Limits, Provider};
use crate::spec::Spec;

/// Where the model's files are, and nowhere else.
const PATH_VARIABLE: &str = "MNEME_MINILM_PATH";

/// Where a layer of Lambda puts them.
const LAYER: &str = "/opt/minilm";

/// The directory of a Lambda function's own files, and where in it they are.
const TASK_ROOT_VARIABLE: &str = "LAMBDA_TASK_ROOT";
const IN_TASK_ROOT: &str = "minilm";

/// A call computes on one processor; the next may see the deadline first.
const LIMITS: Limits = Limits {
    texts_per_call: NonZeroUsize::new(8).expect("not zero"),
    calls_at_once: NonZeroUsize::new(1).expect("not zero"),
};

/// The model, read from its directory when it is first needed.
pub struct MiniLm {
    fingerprint: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// Where the model may be; the first that exists is it.
    places: Vec<PathBuf>,
    /// Once it is loaded. A failure is not kept: the files may come.
    model: Mutex<Option<Arc<Model>>>,
}

impl MiniLm {
    /// The model in the directory of `MNEME_MINILM_PATH`, if that is set; or else in `/opt/minilm`, where a layer puts it, or
    /// in the directory `minilm` beside the function's binary. Reads the environment, and nothing yet from any of them.
    pub fn from_env() -> Self {
        Self::in_places(places(|name| env::var_os(name)))
    }

    /// The model in the first of these directories that exists.
    pub fn in_places(places: Vec<PathBuf>) -> Self {
        let fingerprint = Spec::MiniLm.fingerprint().unwrap_or_default();
        Self { fingerprint, shared: Arc::new(Shared { places, model: Mutex::default() }) }
    }
}

/// Where the environment says that the model may be.
fn places(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match set(PATH_VARIABLE) {
        Some(only) => vec![only],
        None => {
            let own = set(TASK_ROOT_VARIABLE).map(|root| root.join(IN_TASK_ROOT));
            [Some(PathBuf::from(LAYER)), own].into_iter().flatten().collect()
        }
    }
}

impl Shared {
    /// The model, loaded now if it is not yet.
    ///
    /// Errors: `UnknownModel` where it is not or is another, `Unavailable` where it cannot be read.
    fn model(&self) -> Result<Arc<Model>, EmbedError> {
        // Whoever comes while it is loaded waits for it.
        let mut held = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = &*held {
            return Ok(model.clone());
        }
        let Some(directory) = self.places.iter().find(|place| place.is_dir()) else {
            return Err(nowhere(&self.places));
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

    /// Takes every text: one without words has the vector that sentence-transformers gives it, and of a long one the
    /// beginning counts.
    fn check(&self, _text: &str) -> Result<(), EmbedError> {
        Ok(())
    }

    /// Computes on a thread for blocking work. What has begun when the deadline passes is completed in vain; what has not
    /// begun does not begin.
    async fn call(&self, texts: &[&str], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let shared = self.shared.clone();
        let computed = spawn_blocking(move || {
            let in_time = || if Instant::now() < deadline { Ok(()) } else { Err(timed_out()) };
            in_time()?;
            let model = shared.model()?;
            in_time()?;
            Ok(model.embed(&texts.iter().map(String::as_str).collect::<Vec<_>>()))
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

/// `TimedOut`, with what helps here.
fn timed_out() -> EmbedError {
    EmbedError::new(
        EmbedErrorKind::TimedOut,
        "the embedder minilm did not end in time",
        "try again; if it persists, raise the function's memory, which its processor's share goes with, or its timeout",
    )
}

/// None of the places exists.
fn nowhere(places: &[PathBuf]) -> EmbedError {
    let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    EmbedError::new(
        EmbedErrorKind::UnknownModel,
        "the model of the embedder minilm is not there",
        "run shared/minilm/fetch, and put the directory that it writes into the function's layer or zip as `minilm`, or \
         name it in MNEME_MINILM_PATH",
    )
    .caused_by(format!("no such directory: {}", places.join(", ")))
}

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

    fn ample() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    async fn error(places: Vec<PathBuf>, deadline: Instant) -> EmbedError {
        Embedder::new(MiniLm::in_places(places)).embed(&["text"], deadline).await.unwrap_err()
    }

    #[test]
    fn the_environment_names_the_only_place_or_there_are_two() {
        let of = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            places(value).iter().map(|place| place.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(&[]), ["/opt/minilm"]);
        assert_eq!(of(&[(TASK_ROOT_VARIABLE, "/var/task")]), ["/opt/minilm", "/var/task/minilm"]);
        assert_eq!(of(&[(PATH_VARIABLE, "/data/m"), (TASK_ROOT_VARIABLE, "/var/task")]), ["/data/m"]);
        assert_eq!(of(&[(PATH_VARIABLE, "")]), ["/opt/minilm"]);
    }

    #[test]
    fn what_it_makes_is_known_before_it_is_loaded() {
        let embedder = MiniLm::in_places(Vec::new());
        assert_eq!(embedder.fingerprint(), "minilm:all-MiniLM-L6-v2/1");
        assert_eq!((embedder.dim(), Spec::MiniLm.dim()), (Some(384), Some(384)));
        assert_eq!(Spec::MiniLm.fingerprint().as_deref(), Some(embedder.fingerprint()));
        for text in ["", " \n", "text"] {
            assert!(embedder.check(text).is_ok());
        }
    }

    #[tokio::test]
    async fn a_model_that_is_not_there_is_told_with_the_remedy() {
        let empty = tempfile::tempdir().unwrap();
        let error = error(vec![empty.path().join("none"), empty.path().join("nor this")], ample()).await;
        assert_eq!((error.kind, error.text), (EmbedErrorKind::UnknownModel, None));
        assert!(error.remediation.contains("shared/minilm/fetch") && error.remediation.contains(PATH_VARIABLE));
        assert!(!error.to_string().contains("nor this"), "paths are for the log");
        assert!(error.causes().contains("/none, ") && error.causes().ends_with("/nor this"), "{}", error.causes());
    }

    #[tokio::test]
    async fn a_directory_without_the_model_is_not_passed_over() {
        let (empty, full) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(full.path().join("vocab.txt"), "of another model\n").unwrap();
        let missing = error(vec![empty.path().to_owned(), full.path().to_owned()], ample()).await;
        assert_eq!(missing.kind, EmbedErrorKind::UnknownModel);
        assert!(missing.causes().starts_with("there is no ") && missing.causes().ends_with("/vocab.txt"));
        let other = error(vec![full.path().to_owned()], ample()).await;
        assert_eq!(other.kind, EmbedErrorKind::UnknownModel);
        assert!(other.causes().contains("not the file that this release was made for"), "{}", other.causes());
        assert!(other.remediation.contains("shared/minilm/fetch"));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_may_be_later() {
        let directory = tempfile::tempdir().unwrap();
        // A directory opens and does not read, for every user.
        std::fs::create_dir(directory.path().join("vocab.txt")).unwrap();
        let error = error(vec![directory.path().to_owned()], ample()).await;
        assert_eq!(error.kind, EmbedErrorKind::Unavailable);
        assert!(error.causes().contains("could not be read: "), "{}", error.causes());
    }

    #[tokio::test]
    async fn nothing_begins_after_the_deadline() {
        // There is no model: that this is not the error shows that none was looked for.
        let error = error(Vec::new(), Instant::now() - Duration::from_millis(1)).await;
        assert_eq!(error.kind, EmbedErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn the_wait_for_another_s_load_ends_with_the_deadline() {
        let embedder = MiniLm::in_places(Vec::new());
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
