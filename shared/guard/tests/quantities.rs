//! The table of pairs with quantities, dates, bounds and turning words.

use mneme_guard::{Signature, Verdict, compare};

const PAIRS: &str = include_str!("pairs/quantities.tsv");

#[test]
fn each_pair_of_the_table_is_vetoed_if_and_only_if_it_is_different() {
    let mut failures = Vec::new();
    let mut pairs = 0;
    for line in PAIRS.lines().filter(|line| !line.starts_with('#')) {
        let [expected, _, a, b] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        let (x, y) = (Signature::of(a), Signature::of(b));
        for (x, y) in [(&x, &y), (&y, &x)] {
            let verdict = compare(x, y, 0.97);
            if matches!(verdict, Verdict::Vetoed(_)) != (expected == "different") {
                failures.push(format!("{line}: {verdict:?}"));
            }
        }
        pairs += 1;
    }
    assert!(pairs >= 150, "{pairs} pairs");
    assert!(failures.is_empty(), "{} of {pairs} pairs fail: {failures:#?}", failures.len() / 2);
}
