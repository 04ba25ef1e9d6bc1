//! Spelling: a sketch of a word's letters, by which a misspelling of the word is recognised.

/// A sketch of a word in 24 bits. Bits 0 to 15: which of sixteen sets of letters occur. Bits 16 to 19: the set of the
/// first letter. Bits 20 to 23: the length, at most 15.
pub(crate) fn sketch(word: &str) -> u32 {
    let set = |c: char| match c {
        'e' => 0,
        't' => 1,
        'a' => 2,
        'o' => 3,
        'i' => 4,
        'n' => 5,
        's' => 6,
        'r' => 7,
        'h' => 8,
        'l' => 9,
        'd' => 10,
        'c' => 11,
        'u' => 12,
        'm' => 13,
        'p' | 'b' | 'f' | 'v' => 14,
        'a'..='z' => 15,
        other => other as u32 % 16,
    };
    let letters = word.chars().fold(0, |bits, c| bits | 1 << set(c));
    let first = word.chars().next().map_or(0, set);
    letters | first << 16 | (word.chars().take(15).count() as u32) << 20
}

/// True if the words of two sketches have the same sets of letters.
pub(crate) fn have_same_letters(x: u32, y: u32) -> bool {
    x & 0xffff == y & 0xffff
}

/// True if one of two sketches may be of a misspelling of the other's word. A misspelling keeps the first letter,
/// changes the length by at most one, and adds, drops or replaces a letter.
pub(crate) fn may_be_misspelling(x: u32, y: u32) -> bool {
    let (length_x, length_y) = (x >> 20, y >> 20);
    let differing = ((x ^ y) & 0xffff).count_ones();
    length_x.min(length_y) >= 4
        && length_x.abs_diff(length_y) <= 1
        && (x ^ y) >> 16 & 0xf == 0
        && differing <= if length_x >= 6 { 2 } else { 1 }
}
