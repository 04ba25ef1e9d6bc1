//! Code among prose: what shows that a chunk or a line is code, a flag or an identifier.

/// Marks at the ends of a chunk that belong to the sentence.
pub(super) fn is_sentence_mark(c: char) -> bool {
    matches!(
        c,
        '.' | ',' | ';' | ':' | '?' | '!' | '"' | '\'' | '`' | '“' | '”' | '„' | '«' | '»' | '‘' | '’' | '¿' | '¡'
    ) || matches!(c, '？' | '！' | '。' | '、' | '，' | '…' | '*')
}

/// True for an option of a command: `-v`, `--no-color`, `+x`.
pub(super) fn is_flag(chunk: &str) -> bool {
    let option = chunk.trim_start_matches(['`', '"', '\'', '(', '“']);
    let name = option.strip_prefix(['-', '+']).map(|rest| rest.strip_prefix('-').unwrap_or(rest));
    name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// True for a chunk of code, a path or an address, whose case matters.
pub(super) fn is_code_like(chunk: &str) -> bool {
    let letter_after = |mark: &str| {
        chunk.match_indices(mark).any(|(at, _)| {
            chunk[at + mark.len()..].starts_with(|c: char| c.is_alphanumeric())
                && (mark != "_" || chunk[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    };
    let is_call = || {
        chunk.find('(').is_some_and(|at| {
            chunk[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
                && !matches!(chunk[at..].to_lowercase().as_str(), "(s)" | "(es)" | "(n)" | "(en)" | "(r)" | "(e)")
        })
    };
    let has_mark = chunk.contains(['_', '(', '$', '\\', '{', '}', '=', '[', '/', ':', '>', '<']);
    has_mark
        && (letter_after("_")
            || letter_after("$")
            || letter_after("\\")
            || letter_after("::")
            || letter_after("->")
            || chunk.contains("://")
            || chunk.contains(['{', '}', '='])
            || chunk.contains("</")
            || chunk.starts_with('<') && chunk.contains('>')
            || chunk.contains('[') && !chunk.starts_with('[')
            || chunk.starts_with("~/")
            || chunk.starts_with("./")
            || chunk.starts_with('/') && letter_after("/")
            || is_call())
}

/// An address without its scheme and host, whose case does not matter. Any other text as it is.
pub(super) fn without_host(chunk: &str) -> &str {
    let Some((_, rest)) = chunk.split_once("://") else { return chunk };
    rest.find('/').map_or("", |at| &rest[at..])
}

/// True if a capital follows a small letter: `myVar`, `iPhone`, `dQw4w9WgXcQ`.
pub(super) fn has_inner_capital(word: &str) -> bool {
    let mut follows_small = false;
    word.chars().filter(|c| c.is_alphabetic()).any(|c| {
        let is_inner = follows_small && c.is_uppercase();
        follows_small = c.is_lowercase();
        is_inner
    })
}

/// The indentation of the code in `text`: the rank of each line's indentation, from the line before the first indented
/// line to the line after the last. `None` if no line of code is indented.
pub(super) fn indentation(text: &str) -> Option<String> {
    if !text.contains('\n') {
        return None;
    }
    let lines: Vec<(usize, &str)> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| (line.chars().take_while(|c| c.is_whitespace()).count(), line.trim()))
        .collect();
    let is_indented = |(width, _): &(usize, &str)| *width > 0;
    let first = lines.iter().skip(1).position(is_indented)?;
    let last = lines.iter().rposition(is_indented)?;
    let block = &lines[first..lines.len().min(last + 2)];
    let is_code =
        |line: &str| line.ends_with(['{', '}', ';', ')', ']', ':']) || line.contains([';', '=', '(', '{', '<']);
    if !block.iter().any(|(_, line)| is_code(line)) {
        return None;
    }
    let mut widths: Vec<usize> = block.iter().map(|(width, _)| *width).collect();
    widths.sort_unstable();
    widths.dedup();
    let rank = |width: usize| widths.binary_search(&width).unwrap_or_default().to_string();
    Some(block.iter().map(|(width, _)| rank(*width)).collect::<Vec<_>>().join(" "))
}
