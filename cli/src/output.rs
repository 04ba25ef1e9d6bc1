//! What the user reads.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Prints a line to stdout. Errors: stdout is closed.
pub(crate) fn print(text: &dyn Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Prints the reply as it came if `as_json`, and else as the text form of `T`.
///
/// # Errors
/// The reply is no `T`, or stdout is closed.
pub(crate) fn show<T: DeserializeOwned + Display>(reply: &RawValue, as_json: bool) -> Result<(), Box<dyn Error>> {
    match as_json {
        true => print(&reply)?,
        false => print(&serde_json::from_str::<T>(reply.get())?)?,
    }
    Ok(())
}

/// An empty table.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    table
}

/// Returns a time in UTC, such as `2026-12-01T04:05:06Z`. `secs`: epoch seconds.
pub(crate) fn time(secs: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(secs).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| secs.to_string())
}

/// Returns a text that a terminal shows and does not obey: control characters and marks of writing direction are
/// escaped. Line breaks and tabs stay.
pub(crate) fn printable(text: &str) -> String {
    let is_direction =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_control() || is_direction(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Returns the text in one line of at most `limit` characters, printable.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    // A text may have 400 KB, of which only the start is shown.
    let start: String = text.chars().take(limit + 1).collect();
    let line = printable(&start.split_whitespace().collect::<Vec<_>>().join(" "));
    match line.chars().count() > limit {
        true => line.chars().take(limit - 1).chain(['…']).collect(),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_escapes_what_a_terminal_would_obey() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{202e}c\n\td"), "a\\u{1b}[2Jb\\u{d}\\u{202e}c\n\td");
        assert_eq!(printable("日本語 ß عربى"), "日本語 ß عربى");
    }

    #[test]
    fn shortened_is_one_line_within_the_limit() {
        assert_eq!(shortened("one\n two", 10), "one two");
        assert_eq!(shortened(&"x".repeat(400_000), 10), format!("{}…", "x".repeat(9)));
        assert!(shortened(&"\u{1b}".repeat(50), 20).chars().count() <= 20);
    }
}
