//! `mneme completions`: prints a script that completes the program's arguments in a shell.

use std::io::stdout;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::Done;
use crate::arguments::Arguments;
use crate::exit::Outcome;

/// Print a script that completes the arguments of `mneme` in a shell.
///
/// For bash: `source <(mneme completions bash)`.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub(crate) fn completions(arguments: Completions) -> Done {
    generate(arguments.shell, &mut Arguments::command(), "mneme", &mut stdout());
    Ok(Outcome::Done)
}
