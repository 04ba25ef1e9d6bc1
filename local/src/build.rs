//! The function binaries, built by cargo.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use mneme_api::routes::FUNCTIONS;
use serde::Deserialize;

/// Why the function binaries could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Cargo could not be run at all.
    #[error("cannot run `{}`: {source}; install Rust, or pass `--binaries` with a directory of built functions", program.display())]
    Run {
        /// What was to be run.
        program: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Cargo ran and failed; its own messages went to stderr.
    #[error("`cargo build --workspace --bins` failed ({0}); its messages are above")]
    Failed(std::process::ExitStatus),
    /// Cargo succeeded, but a function has no executable.
    #[error("the workspace at {} builds no `mneme-{function}`", workspace.display())]
    Missing {
        /// The function.
        function: &'static str,
        /// The workspace root.
        workspace: PathBuf,
    },
}

/// Builds every function binary with cargo and returns the directory they are in.
///
/// The profile is the one this crate was built with: `dev` with debug assertions, else `release`. Blocks until cargo is
/// done; cargo's own messages go to stderr. Runs `$CARGO`, or `cargo` when that is unset.
///
/// # Errors
/// When cargo cannot be run, when the build fails, or when the workspace has no binary for some function.
pub fn build_functions() -> Result<PathBuf, BuildError> {
    // local/ stands at the top of the workspace.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workspace = workspace.canonicalize().unwrap_or(workspace);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let run_error = |source| BuildError::Run { program: PathBuf::from(&cargo), source };

    let mut command = Command::new(&cargo);
    // The whole workspace, not the functions alone: the same features are then unified as in a build of everything, so
    // that neither build throws the other's dependencies away.
    command.args(["build", "--workspace", "--bins", "--message-format=json-render-diagnostics"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.current_dir(&workspace).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(run_error)?;
    let executables = child.stdout.take().map(executables).unwrap_or_default();
    let status = child.wait().map_err(run_error)?;
    if !status.success() {
        return Err(BuildError::Failed(status));
    }

    let mut directory = None;
    for &function in FUNCTIONS {
        let name = format!("mneme-{function}");
        let found = executables.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name.as_str()));
        directory = found.and_then(|path| path.parent()).map(Path::to_path_buf);
        if directory.is_none() {
            return Err(BuildError::Missing { function, workspace });
        }
    }
    directory.ok_or(BuildError::Missing { function: "lookup", workspace })
}

/// The one part of cargo's build messages that matters here.
/// Source: <https://doc.rust-lang.org/cargo/reference/external-tools.html#json-messages>
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    executable: Option<PathBuf>,
}

fn executables(messages: impl std::io::Read) -> Vec<PathBuf> {
    BufReader::new(messages)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str::<Message>(&line).ok()?.executable)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_read_from_cargos_messages() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"serde\"},\"executable\":null}\n",
            "not json\n",
            "{\"reason\":\"compiler-artifact\",\"executable\":\"/t/debug/mneme-get\"}\n",
            "{\"reason\":\"build-finished\",\"success\":true}\n",
        );
        assert_eq!(executables(messages.as_bytes()), [PathBuf::from("/t/debug/mneme-get")]);
    }
}
