//! Simulates the replication lag of global secondary indexes. A lagging index shows each entry as it was before the
//! changes that have not reached the index: inserts, updates or deletions.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How far the indexes lag behind the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// A change reaches the indexes after this time.
    Time(Duration),
    /// A change reaches the indexes after this many further writing calls.
    Writes(u64),
}

/// A change of one entry's row that has not reached the indexes.
#[derive(Debug)]
struct Change {
    id: String,
    /// The row before the change; `None` for an insert.
    before: Option<Value>,
    made_at: Instant,
    /// The number of writing calls before this one.
    writes: u64,
    call: u64,
}

/// The lag, and the changes that the indexes do not show yet.
#[derive(Debug, Default)]
pub(crate) struct Lagging {
    lag: Option<Lag>,
    changes: VecDeque<Change>,
    writes: u64,
    calls: u64,
}

/// The table and the entry ids that a call writes; `None` if it writes no entry.
pub(crate) fn entries_written(operation: &str, request: &Value) -> Option<(String, Vec<String>)> {
    let actions: Vec<&Value> = match operation {
        "TransactWriteItems" => request["TransactItems"]
            .as_array()?
            .iter()
            .filter_map(|action| action.as_object()?.values().next())
            .collect(),
        "PutItem" | "UpdateItem" | "DeleteItem" => vec![request],
        _ => return None,
    };
    let id = |action: &&Value| {
        let id = action["Key"]["id"]["N"].as_str().or(action["Item"]["id"]["N"].as_str())?;
        id.parse::<i128>().is_ok_and(|id| id > 0).then(|| id.to_owned())
    };
    let table = actions.first()?["TableName"].as_str()?.to_owned();
    let ids: Vec<String> = actions.iter().filter_map(id).collect();
    (!ids.is_empty()).then_some((table, ids))
}

impl Lagging {
    pub(crate) fn set(&mut self, lag: Lag) {
        self.lag = Some(lag);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.lag.is_some()
    }

    /// Records the rows that a call is about to change. Returns a number for [`Lagging::undo`].
    pub(crate) fn begin(&mut self, before: Vec<(String, Option<Value>)>) -> u64 {
        self.calls += 1;
        let (made_at, writes, call) = (Instant::now(), self.writes, self.calls);
        let change = |(id, before)| Change { id, before, made_at, writes, call };
        self.changes.extend(before.into_iter().map(change));
        self.calls
    }

    /// Forgets the call with this number, which changed nothing.
    pub(crate) fn undo(&mut self, call: u64) {
        self.changes.retain(|change| change.call != call);
    }

    /// Counts a writing call that was executed.
    pub(crate) fn count_write(&mut self) {
        self.writes += 1;
    }

    /// Replaces rows in an index's `answer` to `request` by what the lagging index would return.
    pub(crate) fn apply(&mut self, request: &Value, answer: &mut Value) {
        let Some(lag) = self.lag else { return };
        let writes = self.writes;
        self.changes.retain(|change| match lag {
            Lag::Time(time) => change.made_at.elapsed() < time,
            // The changing call itself counts as one of the writes.
            Lag::Writes(behind) => writes - change.writes <= behind,
        });
        if self.changes.is_empty() || !answer["Items"].is_array() {
            return;
        }
        // Each entry is shown as it was before its first change that has not reached the index.
        let mut shown: HashMap<&str, Option<&Value>> = HashMap::new();
        for change in &self.changes {
            shown.entry(&change.id).or_insert(change.before.as_ref());
        }
        let changed: HashSet<&str> = shown.keys().copied().collect();
        let mut items: Vec<Value> = answer["Items"].as_array().cloned().unwrap_or_default();
        items.retain(|item| !item["id"]["N"].as_str().is_some_and(|id| changed.contains(id)));
        let older =
            shown.into_values().flatten().filter(|row| matches(request, row) && is_on_page(request, answer, row));
        items.extend(older.map(|row| projected(request, row)));
        if let Some(name) = sort_key(request).filter(|name| *name == "last_accessed_at") {
            items.sort_by_key(|item| number(&item[name]));
        }
        answer["Count"] = json!(items.len());
        answer["Items"] = json!(items);
    }
}

fn sort_key(request: &Value) -> Option<&'static str> {
    match request["IndexName"].as_str()? {
        "gsi_hash" => Some("query_hash"),
        "gsi_lru" => Some("last_accessed_at"),
        other => panic!("unknown index: {other}"),
    }
}

fn number(value: &Value) -> i128 {
    value["N"].as_str().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// The attribute name that a placeholder stands for.
fn name<'a>(request: &'a Value, placeholder: &'a str) -> &'a str {
    request["ExpressionAttributeNames"][placeholder].as_str().unwrap_or(placeholder)
}

/// True if `row` meets the key condition. Supports equalities and lower bounds.
fn matches(request: &Value, row: &Value) -> bool {
    let condition = request["KeyConditionExpression"].as_str().expect("a key condition");
    condition.split(" AND ").all(|part| {
        let words: Vec<&str> = part.split(' ').collect();
        let [left, operator, right] = words[..] else { panic!("unsupported condition: {part}") };
        let (held, wanted) = (&row[name(request, left)], &request["ExpressionAttributeValues"][right]);
        match operator {
            "=" => held == wanted,
            ">=" => number(held) >= number(wanted),
            other => panic!("unsupported operator: {other}"),
        }
    })
}

/// True if `row` lies between the start and the end of the page.
fn is_on_page(request: &Value, answer: &Value, row: &Value) -> bool {
    let (from, to) = (&request["ExclusiveStartKey"], &answer["LastEvaluatedKey"]);
    if sort_key(request) == Some("last_accessed_at") {
        let at = number(&row["last_accessed_at"]);
        return (from.is_null() || number(&from["last_accessed_at"]) < at)
            && (to.is_null() || at <= number(&to["last_accessed_at"]));
    }
    to.is_null()
}

/// The attributes of `row` that the request projects.
fn projected(request: &Value, row: &Value) -> Value {
    let Some(expression) = request["ProjectionExpression"].as_str() else { return row.clone() };
    expression
        .split(',')
        .map(|placeholder| name(request, placeholder.trim()))
        .map(|name| (name.to_owned(), row[name].clone()))
        .collect::<serde_json::Map<String, Value>>()
        .into()
}
