//! The capacity of the table and the state of item 0, as the proxy enforces them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A token bucket of capacity units, as DynamoDB meters a table.
///
/// A call is admitted if a unit is left, and its real cost is subtracted after it was executed. So the bucket may owe
/// units, which the following seconds pay.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    units_per_second: f64,
    /// The most units that are saved up.
    burst: f64,
    level: f64,
    filled_at: Instant,
}

impl TokenBucket {
    pub(crate) fn new(units_per_second: f64, burst: f64) -> Self {
        Self { units_per_second, burst, level: burst, filled_at: Instant::now() }
    }

    /// The units that are left; at most 0 if a call has to be refused.
    pub(crate) fn level(&mut self) -> f64 {
        let now = Instant::now();
        self.level += self.units_per_second * now.duration_since(self.filled_at).as_secs_f64();
        self.level = self.level.min(self.burst);
        self.filled_at = now;
        self.level
    }

    pub(crate) fn spend(&mut self, units: f64) {
        self.level -= units;
    }
}

/// What happens to calls that concern item 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterState {
    /// They are refused for a lack of capacity. A batch with other keys leaves the key of item 0 unprocessed.
    Throttled,
    /// They are never answered.
    Hung,
    /// They are answered after this time.
    Slow(Duration),
}

/// The operations that read.
const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "Scan"];

/// Whether `operation` consumes read units.
pub(crate) fn is_read(operation: &str) -> bool {
    READS.contains(&operation)
}

/// Whether `request` names item 0: as its key, among its keys, or in one of its actions.
pub(crate) fn concerns_counter(request: &Value) -> bool {
    let counter = json!({"id": {"N": "0"}});
    let batches = request["RequestItems"].as_object().into_iter().flatten();
    let mut keys = batches.flat_map(|(_, ask)| ask["Keys"].as_array().into_iter().flatten());
    let actions = request["TransactItems"].as_array().into_iter().flatten();
    let mut actions = actions.flat_map(|action| action.as_object().into_iter().flatten());
    request["Key"] == counter
        || request["Item"]["id"]["N"] == "0"
        || keys.any(|key| *key == counter)
        || actions.any(|(_, action)| action["Key"] == counter || action["Item"]["id"]["N"] == "0")
}

/// Removes the keys of a batch that `stays` refuses. Returns the removed part of the request, in the form of
/// `UnprocessedKeys`.
pub(crate) fn leave_keys(request: &mut Value, mut stays: impl FnMut(usize, &Value) -> bool) -> Value {
    let mut left = json!({});
    for (table, ask) in request["RequestItems"].as_object_mut().into_iter().flatten() {
        let keys = ask["Keys"].as_array().cloned().unwrap_or_default();
        let (stay, go): (Vec<_>, Vec<_>) = keys.into_iter().enumerate().partition(|(at, key)| stays(*at, key));
        if go.is_empty() {
            continue;
        }
        let only = |keys: Vec<(usize, Value)>| keys.into_iter().map(|(_, key)| key).collect::<Value>();
        left[table] = ask.clone();
        left[table]["Keys"] = only(go);
        ask["Keys"] = only(stay);
    }
    left
}

/// The number of keys in a batch.
pub(crate) fn batch_keys(request: &Value) -> usize {
    let batches = request["RequestItems"].as_object().into_iter().flatten();
    batches.map(|(_, ask)| ask["Keys"].as_array().map_or(0, Vec::len)).sum()
}

/// The sum of the units in a reply's `ConsumedCapacity`.
pub(crate) fn consumed_units(capacity: &Value) -> f64 {
    let units = |one: &Value| one["CapacityUnits"].as_f64().unwrap_or(0.0);
    capacity.as_array().map_or_else(|| units(capacity), |all| all.iter().map(units).sum())
}
