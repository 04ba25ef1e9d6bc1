//! How many tokens of a text a model reads (`max_tokens.tsv`).

const TABLE: &str = include_str!("max_tokens.tsv");

/// The number for a model that the table does not have. It is that of BERT, which most small embedding models share.
const OF_UNKNOWN_MODEL: usize = 512;

/// How many tokens `model` reads. The name may have a path before it (`BAAI/`) and a tag after it (`:v1.5`).
pub(super) fn max_tokens_of(model: &str) -> usize {
    let name = model.rsplit('/').next().unwrap_or_default().split(':').next().unwrap_or_default().to_lowercase();
    let is_it = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    };
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let mut columns = rows.map(|line| line.split('\t'));
    let found = columns.find_map(|mut row| row.next().is_some_and(is_it).then(|| row.next()?.parse().ok()).flatten());
    found.unwrap_or(OF_UNKNOWN_MODEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_tokens_of_known_and_unknown_models_are_those_of_the_table() {
        for (model, tokens) in [
            ("amazon.titan-embed-text-v2:0", 8192),
            ("cohere.embed-v4:0", 128_000),
            ("cohere.embed-multilingual-v3", 512),
            ("text-embedding-3-small", 8192),
            ("nomic-embed-text:v1.5", 2048),
            ("nomic-ai/nomic-embed-text-v1.5", 8192),
            ("@cf/baai/bge-m3", 8192),
            ("BAAI/bge-large-en-v1.5", 512),
            ("anything-else", OF_UNKNOWN_MODEL),
        ] {
            assert_eq!(max_tokens_of(model), tokens, "{model}");
        }
    }

    #[test]
    fn rows_of_the_table_have_a_number_and_a_source() {
        for row in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = row.split('\t').collect();
            assert!(columns.len() == 3 && columns[1].parse::<usize>().is_ok() && !columns[2].is_empty(), "{row}");
        }
    }
}
