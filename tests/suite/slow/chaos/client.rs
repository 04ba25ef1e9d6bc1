//! A client that writes entries of its own and shared ones, and a model of what it was told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use mneme_tests::invariants::{Ledger, Snapshot};
use mneme_tests::{FunctionError, Stack, vector};
use serde_json::{Value, json};

const ROUNDS: u32 = 8;
/// How many queries a client writes over and over.
const SLOTS: usize = 4;

/// What may be under one query.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    Absent,
    Stored { id: Option<u64>, response: String, turn: u32 },
}

impl Known {
    fn agrees(&self, answer: &Value) -> bool {
        match self {
            Self::Absent => answer["outcome"] == "miss",
            Self::Stored { id, response, .. } => {
                answer["response"] == *response && id.is_none_or(|id| answer["id"] == id)
            }
        }
    }
}

/// A namespace of one client's own, and what may be under each of its queries. Once an outcome in it is not known,
/// nothing more is written to it.
#[derive(Debug)]
struct Own {
    namespace: String,
    queries: BTreeMap<String, Vec<Known>>,
}

impl Own {
    fn new(client: u64, generation: usize) -> Self {
        let absent = |slot| (format!("slot {slot}"), vec![Known::Absent]);
        Self { namespace: format!("client {client} {generation}"), queries: (0..SLOTS).map(absent).collect() }
    }

    /// What is under a query, while it is known.
    fn known(&self, query: &str) -> Known {
        let [known] = self.queries[query].as_slice() else { panic!("{query} is not known") };
        known.clone()
    }
}

/// An entry with an end.
#[derive(Debug)]
struct Mortal {
    query: String,
    response: String,
    /// The seconds between which it was put.
    put: (u64, u64),
    ttl: u64,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// One slot's direction, a little turned each time.
fn direction(slot: usize, turn: u32) -> Vec<f64> {
    let mut vector = vec![0.0; SLOTS + 1];
    vector[slot] = 1.0;
    vector[SLOTS] = 0.001 * f64::from(turn);
    vector
}

/// Whether a mutation that ended so was surely not carried out.
fn failed_for_sure(error: &FunctionError) -> bool {
    let unknown = ["did not answer TransactWriteItems", "within the function's time"];
    error.name == "StoreBackendError" && !unknown.iter().any(|text| error.message.contains(text))
}

/// Whether an instance was killed at work, or had no answer from DynamoDB until the end of its time.
pub(super) fn is_expected(error: &FunctionError) -> bool {
    ["StoreBackendError", "Runtime.ExitError", "Sandbox.Timedout"].contains(&error.name.as_str())
}

/// One client, and all that it knows.
pub(super) struct Client<'a> {
    stack: &'a Stack,
    ledger: &'a Mutex<Ledger>,
    rng: Rng,
    number: u64,
    /// The last one is written to.
    own: Vec<Own>,
    mortals: Vec<Mortal>,
    /// What may be under this client's meta key.
    meta: Vec<Option<String>>,
    serial: u32,
    /// How many rounds all clients have done.
    rounds: &'a AtomicU32,
    /// The serial number of this client's last put of the query that all share, and whether all were acknowledged or
    /// failed for sure.
    shared: (u32, bool),
}

impl<'a> Client<'a> {
    pub(super) fn new(
        stack: &'a Stack,
        ledger: &'a Mutex<Ledger>,
        rounds: &'a AtomicU32,
        seed: u64,
        number: u64,
    ) -> Self {
        Self {
            stack,
            ledger,
            rounds,
            rng: Rng::with_seed(seed * 1000 + number),
            number,
            own: vec![Own::new(number, 0)],
            mortals: Vec::new(),
            meta: vec![None],
            serial: 0,
            shared: (0, true),
        }
    }

    fn ledger(&self) -> std::sync::MutexGuard<'a, Ledger> {
        self.ledger.lock().unwrap()
    }

    fn response(&mut self) -> String {
        self.serial += 1;
        format!("{}/{}", self.number, self.serial)
    }

    fn current(&mut self) -> &mut Own {
        self.own.last_mut().unwrap()
    }

    /// Leaves the namespace as it may be now: for each of `changes`, as before or so.
    fn abandon(&mut self, changes: Vec<(String, Known)>) {
        for (query, then) in changes {
            self.current().queries.get_mut(&query).unwrap().push(then);
        }
        self.own.push(Own::new(self.number, self.own.len()));
    }

    /// A slot, and an entry for it: with the vector it has, or with another.
    fn entry(&mut self, slot: usize) -> (String, Value, Known) {
        let (query, response) = (format!("slot {slot}"), self.response());
        let turn = match self.current().known(&query) {
            Known::Stored { turn, .. } if self.rng.bool() => turn,
            _ => self.serial,
        };
        let namespace = self.current().namespace.clone();
        let entry = json!({
            "query": format!(" SLOT {slot}"), "namespace": namespace, "response": response,
            "embedding": direction(slot, turn),
        });
        (query, entry, Known::Stored { id: None, response, turn })
    }

    /// Takes note of an acknowledged put, which must fit what was known.
    fn acknowledged(&mut self, query: &str, then: Known, reply: &Value) {
        let before = self.current().known(query);
        let told = format!("{} {query}: {before:?}, {then:?}: {reply}", self.number);
        let (id, created) = (reply["id"].as_u64().expect(&told), reply["created"].as_bool().expect(&told));
        assert_eq!(created, before == Known::Absent, "{told}");
        let Known::Stored { response, turn, .. } = then else { panic!("{told}") };
        if let Known::Stored { id: Some(old), turn: old_turn, .. } = before {
            assert!(if turn == old_turn { id == old } else { id > old }, "{told}");
        }
        let namespace = self.current().namespace.clone();
        self.ledger().put(id, created, &namespace, query);
        self.current().queries.insert(query.to_owned(), vec![Known::Stored { id: Some(id), response, turn }]);
    }

    async fn put(&mut self) {
        let slot = self.rng.usize(..SLOTS);
        let (query, entry, then) = self.entry(slot);
        match self.stack.invoke("put", entry).await {
            Ok(reply) => self.acknowledged(&query, then, &reply),
            Err(error) if failed_for_sure(&error) => {}
            Err(error) => {
                assert!(is_expected(&error), "{error:?}");
                self.ledger().unknown_puts(1);
                self.abandon(vec![(query, then)]);
            }
        }
    }

    /// Puts with a key, again and again until there is an answer.
    async fn put_with_key(&mut self) {
        let slot = self.rng.usize(..SLOTS);
        let (query, mut entry, then) = self.entry(slot);
        entry["idempotency_key"] = json!(format!("{}/{}", self.number, self.serial));
        let mut unknown = false;
        for _ in 0..20 {
            match self.stack.invoke("put", entry.clone()).await {
                Ok(reply) => return self.acknowledged(&query, then, &reply),
                Err(error) => {
                    assert!(is_expected(&error), "{error:?}");
                    unknown |= !failed_for_sure(&error);
                }
            }
        }
        if unknown {
            self.ledger().unknown_puts(1);
            self.abandon(vec![(query, then)]);
        }
    }

    async fn put_batch(&mut self) {
        let entries: Vec<_> = (0..SLOTS - 1).map(|slot| self.entry(slot)).collect();
        let request: Vec<&Value> = entries.iter().map(|(_, entry, _)| entry).collect();
        let reply = self.stack.invoke("put", json!({"entries": request})).await;
        let mut unknown = Vec::new();
        match reply {
            Ok(reply) => {
                for ((query, _, then), result) in entries.into_iter().zip(reply["results"].as_array().unwrap()) {
                    if let Some(detail) = result["error"]["detail"].as_str() {
                        if detail.contains("did not answer TransactWriteItems") {
                            unknown.push((query, then));
                        }
                    } else {
                        self.acknowledged(&query, then, result);
                    }
                }
            }
            Err(error) if failed_for_sure(&error) => {}
            Err(error) => {
                assert!(is_expected(&error), "{error:?}");
                unknown = entries.into_iter().map(|(query, _, then)| (query, then)).collect();
            }
        }
        if !unknown.is_empty() {
            self.ledger().unknown_puts(unknown.len());
            self.abandon(unknown);
        }
    }

    /// Touches or deletes a slot's entry.
    async fn touch_or_delete(&mut self, function: &str) {
        let query = format!("slot {}", self.rng.usize(..SLOTS));
        let namespace = self.current().namespace.clone();
        let before = self.current().known(&query);
        let request = match &before {
            Known::Stored { id: Some(id), .. } if function == "touch" || self.rng.bool() => json!({"id": id}),
            _ if function == "touch" => return,
            _ => json!({"namespace": namespace, "query": query.to_uppercase()}),
        };
        let then = if function == "touch" { before.clone() } else { Known::Absent };
        match self.stack.invoke(function, request).await {
            Ok(_) => {
                assert_ne!(before, Known::Absent, "{function} of nothing");
                if function == "touch" {
                    self.ledger().count();
                }
                self.current().queries.insert(query, vec![then]);
            }
            Err(error) if error.name == "NotFound" => assert_eq!(before, Known::Absent, "{query} of {namespace}"),
            Err(error) if failed_for_sure(&error) => {}
            Err(error) => {
                assert!(is_expected(&error), "{error:?}");
                if function == "touch" {
                    self.ledger().unknown();
                }
                self.abandon(vec![(query, then)]);
            }
        }
    }

    async fn clear(&mut self) {
        let namespace = self.current().namespace.clone();
        let live = self.current().queries.values().filter(|known| **known != [Known::Absent]).count();
        let absent = self.current().queries.keys().map(|query| (query.clone(), Known::Absent)).collect();
        match self.stack.invoke("clear", json!({"namespace": namespace})).await {
            Ok(reply) => {
                assert_eq!(reply["deleted"], live, "{namespace}");
                self.current().queries.values_mut().for_each(|known| *known = vec![Known::Absent]);
            }
            // A part may have been done.
            Err(error) => {
                assert!(is_expected(&error), "{error:?}");
                self.abandon(absent);
            }
        }
    }

    /// Sets a quota and removes it again, on a namespace without entries.
    async fn quota(&mut self) {
        let namespace = format!("quota {}", self.response());
        for (action, max_entries) in [("set", json!(7)), ("delete", json!(null))] {
            let mut request = json!({"action": action, "namespace": namespace, "max_entries": max_entries});
            if max_entries.is_null() {
                request.as_object_mut().unwrap().remove("max_entries");
            }
            match self.stack.invoke("quota", request).await {
                Ok(reply) => {
                    assert_eq!(reply["max_entries"], max_entries);
                    self.ledger().count();
                }
                Err(error) if failed_for_sure(&error) => return,
                Err(error) => {
                    assert!(is_expected(&error), "{error:?}");
                    return self.ledger().unknown();
                }
            }
        }
    }

    async fn set_meta(&mut self) {
        let (key, value) = (format!("client {}", self.number), self.response());
        match self.stack.invoke("meta", json!({"action": "set", "key": key, "value": value})).await {
            Ok(_) => {
                self.ledger().count();
                self.meta = vec![Some(value)];
            }
            Err(error) if failed_for_sure(&error) => {}
            Err(error) => {
                assert!(is_expected(&error), "{error:?}");
                self.ledger().unknown();
                self.meta.push(Some(value));
            }
        }
        match self.stack.invoke("meta", json!({"action": "get", "key": key})).await {
            Ok(reply) => {
                let value = reply["value"].as_str().map(str::to_owned);
                assert!(self.meta.contains(&value), "{value:?} of {:?}", self.meta);
            }
            Err(error) if error.name == "NotFound" => assert!(self.meta.contains(&None), "{:?}", self.meta),
            Err(error) => assert!(is_expected(&error), "{error:?}"),
        }
    }

    async fn put_mortal(&mut self) {
        let response = self.response();
        let (query, ttl) = (format!("mortal {response}"), self.rng.u64(1..4));
        let began = now();
        let entry = json!({"query": query, "namespace": "mortals", "response": response, "ttl_seconds": ttl});
        match self.stack.invoke("put", entry).await {
            Ok(reply) => {
                assert_eq!(reply["created"], true, "{query}");
                self.ledger().put(reply["id"].as_u64().unwrap(), true, "mortals", &query);
                self.mortals.push(Mortal { query, response, put: (began, now()), ttl });
            }
            Err(error) if failed_for_sure(&error) => {}
            Err(_) => self.ledger().unknown_puts(1),
        }
    }

    /// Puts a query that no one else puts into the namespace that all fill, or the query that all put.
    async fn put_among_others(&mut self, namespace: &str) {
        let response = self.response();
        let query = if namespace == "small" { format!("q {response}") } else { "shared".to_owned() };
        let entry = json!({
            "query": query, "namespace": namespace, "response": response, "embedding": vector(SLOTS + 1, self.rng.f64()),
        });
        let reply = self.stack.invoke("put", entry).await;
        match &reply {
            Ok(reply) => {
                let created = reply["created"].as_bool().unwrap();
                assert!(created || namespace != "small", "{query} was never put before");
                self.ledger().put(reply["id"].as_u64().unwrap(), created, namespace, &query);
            }
            Err(error) if failed_for_sure(error) => return,
            Err(_) => self.ledger().unknown_puts(1),
        }
        if namespace == "shared" {
            self.shared = (self.serial, self.shared.1 && reply.is_ok());
        }
    }

    /// Asks for what is known, and compares.
    async fn look(&mut self) {
        let own = &self.own[self.rng.usize(..self.own.len())];
        let slot = self.rng.usize(..SLOTS);
        let (query, possible) = own.queries.iter().nth(slot).unwrap();
        let exact = json!({"query": query, "namespace": own.namespace});
        // No other entry of the namespace is near this direction.
        let semantic = json!({"query": "other", "namespace": own.namespace, "embedding": direction(slot, 0)});
        for question in [exact, semantic] {
            if let Some(answer) = self.ask(question).await {
                let fits = possible.iter().any(|known| known.agrees(&answer));
                assert!(fits, "{query} of {}: {possible:?}, and {answer}", own.namespace);
            }
        }
        if let Some(mortal) = self.mortals.last() {
            let began = now();
            if let Some(answer) = self.ask(json!({"query": mortal.query, "namespace": "mortals"})).await {
                let told = format!("{mortal:?} from {began} to {}: {answer}", now());
                if now() < mortal.put.0 + mortal.ttl {
                    assert_eq!(answer["response"], mortal.response, "{told}");
                } else if began >= mortal.put.1 + mortal.ttl {
                    assert_eq!(answer["outcome"], "miss", "{told}");
                }
            }
        }
        if let Some(answer) = self.ask(json!({"query": "shared", "namespace": "shared"})).await
            && let (last, true) = self.shared
        {
            // Another client's, or this one's last; absent only before the first.
            let told = format!("{} after {last}: {answer}", self.number);
            assert!(last == 0 || answer["outcome"] == "hit", "{told}");
            if let Some((client, serial)) = answer["response"].as_str().and_then(|text| text.split_once('/'))
                && client.parse() == Ok(self.number)
            {
                assert_eq!(serial.parse(), Ok(last), "{told}");
            }
        }
    }

    async fn ask(&self, question: Value) -> Option<Value> {
        let answer = self.stack.invoke("lookup", question).await;
        answer.inspect_err(|error| assert!(is_expected(error), "{error:?}")).ok()
    }

    pub(super) async fn run(mut self) -> Self {
        for _ in 0..ROUNDS {
            match self.rng.u32(..20) {
                0..4 => self.put().await,
                4..7 => self.put_batch().await,
                7..9 => self.put_with_key().await,
                9 => self.touch_or_delete("touch").await,
                10..12 => self.touch_or_delete("delete").await,
                12 => self.clear().await,
                13 => self.quota().await,
                14 => self.set_meta().await,
                15..17 => self.put_mortal().await,
                17..19 => self.put_among_others("small").await,
                _ => self.put_among_others("shared").await,
            }
            self.look().await;
            self.rounds.fetch_add(1, Ordering::Relaxed);
        }
        self
    }

    /// Compares everything with what is stored, when all is quiet.
    pub(super) fn check(&self, snapshot: &Snapshot) {
        for own in &self.own {
            for (query, possible) in &own.queries {
                let stored = match snapshot.rows_of(&own.namespace, query).pop() {
                    None => vec![Known::Absent],
                    Some((id, row)) => {
                        let response = row["response"].as_s().unwrap();
                        let is_this = |known: &&Known| match known {
                            Known::Absent => false,
                            Known::Stored { id: told, response: text, .. } => {
                                text == response && told.is_none_or(|told| i128::from(told) == id)
                            }
                        };
                        possible.iter().filter(is_this).cloned().collect()
                    }
                };
                assert!(
                    stored.iter().any(|known| possible.contains(known)),
                    "{query} of {}: {possible:?}",
                    own.namespace
                );
            }
        }
    }
}
