//! Packs the word tables. Reads lines from standard input and writes the table to standard output.
//!
//! `pack rarity [MAX]`: the lines are `word<TAB>frequency`. The MAX most frequent words are kept, by default 20,000.
//! `pack pairs`: the lines are `word<TAB>word`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use mneme_guard::{rarity_key, relation_key};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let rows = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'));
    let mut out = std::io::stdout().lock();
    match arguments.first().map(String::as_str) {
        Some("rarity") => {
            let max: usize = arguments.get(1).map_or(Ok(20_000), |max| max.parse())?;
            let mut frequency: BTreeMap<u32, f64> = BTreeMap::new();
            for (word, share) in rows {
                *frequency.entry(rarity_key(word)).or_default() += share.parse::<f64>()?;
            }
            let mut commonest: Vec<(u32, f64)> = frequency.into_iter().collect();
            commonest.sort_by(|x, y| y.1.total_cmp(&x.1));
            commonest.truncate(max);
            let packed: BTreeMap<u32, u8> = commonest
                .into_iter()
                .map(|(key, share)| (key, (-4.0 * (share.log10() + 2.0)).round().clamp(0.0, 31.0) as u8))
                .collect();
            for (key, rarity) in packed {
                out.write_all(&key.to_le_bytes()[..3])?;
                out.write_all(&[rarity])?;
            }
        }
        Some("pairs") => {
            let packed: BTreeSet<u32> = rows.filter_map(|(a, b)| relation_key(a, b)).collect();
            for key in packed {
                out.write_all(&key.to_le_bytes()[..3])?;
            }
        }
        _ => return Err("usage: pack rarity [MAX] | pack pairs".into()),
    }
    Ok(())
}
