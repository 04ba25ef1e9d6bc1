//! `mneme vacuum`: removes expired entries, enforces quotas, repairs derived items, and writes segments.

use std::collections::BTreeMap;
use std::error::Error;

use mneme_api::operations::VACUUM;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Done;
use super::progress::{bar, note, report_retry};
use crate::cache::{Cache, Fields};
use crate::exit::Outcome;
use crate::output::print;

/// Remove expired entries, enforce quotas, repair derived items and write segments, call by call until the end.
#[derive(Debug, clap::Args)]
pub(crate) struct Vacuum {
    /// Remove entries of this namespace only.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

/// A reply: counts by name, and where the next call continues.
#[derive(Debug, Deserialize)]
struct Pass {
    cursor: Option<String>,
    /// Numbers, and whether something was done.
    #[serde(flatten)]
    work: BTreeMap<String, Value>,
}

/// Vacuums and prints what was done, added up over the calls.
///
/// # Errors
/// See [`Cache::call`]. What was done so far is kept.
pub(crate) async fn vacuum(cache: &Cache, arguments: Vacuum, as_json: bool) -> Done {
    let work = until_the_end(cache, arguments.namespace).await?;
    match as_json {
        true => print(&json!(work))?,
        false => work.iter().try_for_each(|(name, amount)| print(&format!("{name:18} {amount}")))?,
    }
    Ok(Outcome::Done)
}

/// Vacuums until no work is left. Returns what was done by name, added up over the calls.
///
/// # Errors
/// See [`Cache::call`].
pub(super) async fn until_the_end(
    cache: &Cache,
    namespace: Option<String>,
) -> Result<BTreeMap<String, Value>, Box<dyn Error>> {
    let bar = bar("{spinner} vacuum {msg}");
    let mut total = BTreeMap::new();
    let mut cursor = None;
    for call in 1.. {
        let fields = Fields::new().with("namespace", namespace.clone()).with("cursor", cursor);
        let pass: Pass = cache.call_patiently(&VACUUM, fields, |error| report_retry(&bar, error)).await?;
        for (name, amount) in pass.work {
            add(total.entry(name).or_default(), amount);
        }
        cursor = pass.cursor;
        if cursor.is_none() {
            break;
        }
        note(&bar, format!("call {call} done"));
    }
    bar.finish_and_clear();
    Ok(total)
}

/// Adds a number to a number. Of two booleans either makes the total true.
fn add(total: &mut Value, amount: Value) {
    *total = match (total.as_u64(), amount.as_u64()) {
        (Some(total), Some(amount)) => (total + amount).into(),
        _ if *total == Value::Bool(true) => return,
        _ => amount,
    };
}
