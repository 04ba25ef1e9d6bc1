//! Progress of commands that make many calls. It goes to stderr.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cache::error::CallError;

/// A bar in the form of `template`. It is drawn only if stderr is a terminal.
pub(super) fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::no_length().with_style(style)
}

/// Shows `message` beside the bar, or as a line of its own where no bar is drawn.
pub(super) fn note(bar: &ProgressBar, message: impl Into<Cow<'static, str>>) {
    let message = message.into();
    if bar.is_hidden() {
        eprintln!("{message}");
    }
    bar.set_message(message);
    bar.tick();
}

/// Reports a failure after which the call is sent again.
pub(super) fn report_retry(bar: &ProgressBar, error: &CallError) {
    bar.suspend(|| eprintln!("{error}; trying again"));
}
