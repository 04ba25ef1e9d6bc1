//! Builds the function binaries with cargo.

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
    /// Cargo could not be run.
    #[error("cannot run `{}`: {source}; install Rust, or pass `--binaries` with a directory of built functions", program.display())]
    Run {
        /// The program that was to be run.
        program: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Cargo ran and failed; its own messages went to stderr.
    #[error("`cargo build` of the functions failed ({0}); its messages are above")]
    Failed(std::process::ExitStatus),
    /// Cargo succeeded, but a function has no executable.
    #[error("the workspace at {} builds no `mneme-{function}`", workspace.display())]
    Missing {
        /// The function.
        function: String,
        /// The workspace root.
        workspace: PathBuf,
    },
}

/// Builds the binary of every function, `mneme-local` itself and the command line `mneme` with cargo. Returns the
/// directory that holds them.
///
/// # Errors
/// As [`build_some_functions`].
pub fn build_functions() -> Result<PathBuf, BuildError> {
    build(FUNCTIONS, &["mneme-local", "mneme"])
}

/// Builds the binaries of `functions`, and `mneme-local` itself, with cargo. Returns the directory that holds them.
///
/// The profile is the one that this crate was built with: `dev` with debug assertions, else `release`. Blocks until
/// cargo has finished; cargo's own messages go to stderr. Runs `$CARGO`, or `cargo` when that is unset.
///
/// # Errors
/// When cargo cannot be run, when the build fails, or when the workspace has no binary for some function.
pub fn build_some_functions(functions: &[&str]) -> Result<PathBuf, BuildError> {
    build(functions, &["mneme-local"])
}

fn build(functions: &[&str], programs: &[&str]) -> Result<PathBuf, BuildError> {
    // This crate's directory is local/ in the workspace's root.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workspace = workspace.canonicalize().unwrap_or(workspace);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let run_error = |source| BuildError::Run { program: PathBuf::from(&cargo), source };

    let mut command = Command::new(&cargo);
    // `--workspace` selects the features of a build of the whole workspace, whichever binaries are built. With other
    // features, cargo would build the dependencies a second time.
    command.args(["build", "--workspace", "--message-format=json-render-diagnostics"]);
    command.args(programs.iter().map(|program| format!("--bin={program}")));
    command.args(functions.iter().map(|function| format!("--bin=mneme-{function}")));
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

    let directory = |name: &str| {
        let executable = executables.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name));
        executable.and_then(|path| path.parent()).map(Path::to_path_buf)
    };
    let missing = |function: &str| BuildError::Missing { function: function.to_owned(), workspace: workspace.clone() };
    for function in functions {
        directory(&format!("mneme-{function}")).ok_or_else(|| missing(function))?;
    }
    directory("mneme-local").ok_or_else(|| missing("local"))
}

/// The one field of cargo's build messages that is used here.
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
    fn executables_of_cargos_messages_are_their_paths() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"serde\"},\"executable\":null}\n",
            "not json\n",
            "{\"reason\":\"compiler-artifact\",\"executable\":\"/t/debug/mneme-get\"}\n",
            "{\"reason\":\"build-finished\",\"success\":true}\n",
        );
        assert_eq!(executables(messages.as_bytes()), [PathBuf::from("/t/debug/mneme-get")]);
    }
}
