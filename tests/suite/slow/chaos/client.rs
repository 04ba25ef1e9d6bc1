//! A client that writes its own and shared entries, with a model of the replies it received.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use mneme_tests::invariants::{Ledger, Snapshot};
use mneme_tests::{FunctionError, Stack, vector};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Progress;

const ROUNDS: u32 = 8;
/// The queries that a client writes repeatedly.
const QUERIES: [&str; SLOTS] =
    ["How do I reset my password", "Where is my invoice", "Can I cancel my order", "Do you ship to Norway"];
const SLOTS: usize = 4;

/// A possible state of one query.
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

/// A namespace that only one client writes, with the possible states of each query. After a write with an unknown
/// outcome the client stops writing to it and takes a new one.
#[derive(Debug)]
struct Own {
    namespace: String,
    queries: BTreeMap<String, Vec<Known>>,
}

impl Own {
    fn new(client: u64, generation: usize) -> Self {
        let absent = |query: &str| (query.to_owned(), vec![Known::Absent]);
        Self { namespace: format!("client {client} {generation}"), queries: QUERIES.into_iter().map(absent).collect() }
    }

    /// The state of a query; panics if there are several possible states.
    fn known(&self, query: &str) -> Known {
        let [known] = self.queries[query].as_slice() else { panic!("{query} is not known") };
        known.clone()
    }
}

/// An entry that expires.
#[derive(Debug)]
struct Expiring {
    query: String,
    response: String,
    /// The seconds when the put began and ended.
    put: (u64, u64),
    ttl: u64,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The vector of one slot, turned a little for each `turn`.
fn direction(slot: usize, turn: u32) -> Vec<f64> {
    let mut vector = vec![0.0; SLOTS + 1];
    vector[slot] = 1.0;
    vector[SLOTS] = 0.001 * f64::from(turn);
    vector
}

/// True if the mutation was certainly not executed.
fn certainly_failed(error: &FunctionError) -> bool {
    let unknown = ["did not answer TransactWriteItems", "within the function's time"];
    error.name == "StoreBackendError" && !unknown.iter().any(|text| error.message.contains(text))
}

/// True if the error can come from a killed instance or from faults until the function's timeout.
pub(super) fn is_expected(error: &FunctionError) -> bool {
    ["StoreBackendError", "Runtime.ExitError", "Sandbox.Timedout"].contains(&error.name.as_str())
}

/// One client and its model.
pub(super) struct Client<'a> {
    stack: &'a Stack,
    ledger: &'a Mutex<Ledger>,
    rng: Rng,
    number: u64,
    /// Only the last one is still written to.
    own: Vec<Own>,
    expiring: Vec<Expiring>,
    /// The possible values of this client's meta key.
    meta: Vec<Option<String>>,
    serial: u32,
    /// The progress of all clients together.
    progress: &'a watch::Sender<Progress>,
    /// The serial number of this client's last put of the shared query, and whether the outcomes of all its puts there
    /// are known.
    shared: (u32, bool),
}

impl<'a> Client<'a> {
    pub(super) fn new(
        stack: &'a Stack,
        ledger: &'a Mutex<Ledger>,
        progress: &'a watch::Sender<Progress>,
        seed: u64,
        number: u64,
    ) -> Self {
        Self {
            stack,
            ledger,
            progress,
            rng: Rng::with_seed(seed * 1000 + number),
            number,
            own: vec![Own::new(number, 0)],
            expiring: Vec::new(),
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

    /// A response that is stored in an item of its own every other time.
    fn answer(&mut self) -> String {
        self.serial += 1;
        match self.serial % 2 {
            0 => format!("{}/{:05000}", self.number, self.serial),
            _ => format!("{}/{}", self.number, self.serial),
        }
    }

    fn current(&mut self) -> &mut Own {
        self.own.last_mut().unwrap()
    }

    /// Adds `changes` to the possible states of the current namespace, and takes a new one.
    fn abandon(&mut self, changes: Vec<(String, Known)>) {
        for (query, then) in changes {
            self.current().queries.get_mut(&query).unwrap().push(then);
        }
        self.own.push(Own::new(self.number, self.own.len()));
    }

    /// The query of `slot`, a new entry for it with its old or a new vector, and the state after the put.
    fn entry(&mut self, slot: usize) -> (String, Value, Known) {
        let (query, response) = (QUERIES[slot].to_owned(), self.answer());
        let turn = match self.current().known(&query) {
            Known::Stored { turn, .. } if self.rng.bool() => turn,
            _ => self.serial,
        };
        let namespace = self.current().namespace.clone();
        let entry = json!({
            "query": format!("  {}", query.to_lowercase()), "namespace": namespace, "response": response,
            "embedding": direction(slot, turn),
        });
        (query, entry, Known::Stored { id: None, response, turn })
    }

    /// Checks an acknowledged put against the model, and records it.
    fn acknowledged(&mut self, query: &str, then: Known, reply: &Value) {
        let before = self.current().known(query);
        let context = format!("{} {query}: {before:?}, {then:?}: {reply}", self.number);
        let (id, created) = (reply["id"].as_u64().expect(&context), reply["created"].as_bool().expect(&context));
        assert_eq!(created, before == Known::Absent, "{context}");
        let Known::Stored { response, turn, .. } = then else { panic!("{context}") };
        if let Known::Stored { id: Some(old), turn: old_turn, .. } = before {
            assert!(if turn == old_turn { id == old } else { id > old }, "{context}");
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
            Err(error) if certainly_failed(&error) => {}
            Err(error) => {
                assert!(is_expected(&error), "{error:?}");
                self.ledger().unknown_puts(1);
                self.abandon(vec![(query, then)]);
            }
        }
    }

    /// Puts with an idempotency key, and repeats the request until it is answered.
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
                    unknown |= !certainly_failed(&error);
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
            Err(error) if certainly_failed(&error) => {}
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

    /// Touches or deletes the entry of a random slot.
    /// Touches, updates or deletes an entry of this client.
    async fn change(&mut self, function: &str) {
        let response = self.response();
        let query = QUERIES[self.rng.usize(..SLOTS)].to_owned();
        let namespace = self.current().namespace.clone();
        let before = self.current().known(&query);
        let request = match &before {
            Known::Stored { id: Some(id), .. } if function == "update" => json!({"id": id, "response": response}),
            Known::Stored { id: Some(id), .. } if function == "touch" || self.rng.bool() => json!({"id": id}),
            _ if ["touch", "update"].contains(&function) => return,
            _ => json!({"namespace": namespace, "query": query.to_uppercase()}),
        };
        let mut then = if function == "delete" { Known::Absent } else { before.clone() };
        if let (Known::Stored { response: own, .. }, "update") = (&mut then, function) {
            *own = response;
        }
        match self.stack.invoke(function, request).await {
            Ok(_) => {
                assert_ne!(before, Known::Absent, "{function} of nothing");
                if function != "delete" {
                    self.ledger().count();
                }
                self.current().queries.insert(query, vec![then]);
            }
            Err(error) if error.name == "NotFound" => assert_eq!(before, Known::Absent, "{query} of {namespace}"),
            Err(error) if certainly_failed(&error) => {}
            Err(error) => {
                assert!(is_expected(&error), "{error:?}");
                if function != "delete" {
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
            // The clear may have removed a part.
            Err(error) => {
                assert!(is_expected(&error), "{error:?}");
                self.abandon(absent);
            }
        }
    }

    /// Sets and deletes the quota of a namespace without entries.
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
                Err(error) if certainly_failed(&error) => return,
                Err(error) => {
                    assert!(is_expected(&error), "{error:?}");
                    return self.ledger().unknown();
                }
            }
        }
    }

    async fn set_meta(&mut self) {
        let value = if self.rng.bool() { "on" } else { "off" }.to_owned();
        let key = format!("guard:client {}", self.number);
        match self.stack.invoke("meta", json!({"action": "set", "key": key, "value": value})).await {
            Ok(_) => {
                self.ledger().count();
                self.meta = vec![Some(value)];
            }
            Err(error) if certainly_failed(&error) => {}
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

    async fn put_expiring(&mut self) {
        let response = self.answer();
        let (query, ttl) = (format!("expiring {response}"), self.rng.u64(1..4));
        let began = now();
        let entry = json!({"query": query, "namespace": "expiring", "response": response, "ttl_seconds": ttl});
        match self.stack.invoke("put", entry).await {
            Ok(reply) => {
                assert_eq!(reply["created"], true, "{query}");
                self.ledger().put(reply["id"].as_u64().unwrap(), true, "expiring", &query);
                self.expiring.push(Expiring { query, response, put: (began, now()), ttl });
            }
            Err(error) if certainly_failed(&error) => {}
            Err(_) => self.ledger().unknown_puts(1),
        }
    }

    /// Puts a unique query into the namespace `small`, which all clients fill, or the query that all clients share.
    async fn put_among_others(&mut self, namespace: &str) {
        let response = self.answer();
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
            Err(error) if certainly_failed(error) => return,
            Err(_) => self.ledger().unknown_puts(1),
        }
        if namespace == "shared" {
            self.shared = (self.serial, self.shared.1 && reply.is_ok());
        }
    }

    /// Looks known entries up, and compares the answers with the model.
    async fn look(&mut self) {
        let own = &self.own[self.rng.usize(..self.own.len())];
        let slot = self.rng.usize(..SLOTS);
        let (query, possible) = (QUERIES[slot], &own.queries[QUERIES[slot]]);
        let exact = json!({"query": query, "namespace": own.namespace});
        // No other entry of the namespace has a similar vector.
        let semantic =
            json!({"query": format!("{query}, please?"), "namespace": own.namespace, "embedding": direction(slot, 0)});
        for question in [exact, semantic] {
            if let Some(answer) = self.ask(question).await {
                let fits = possible.iter().any(|known| known.agrees(&answer));
                assert!(fits, "{query} of {}: {possible:?}, and {answer}", own.namespace);
            }
        }
        if let Some(expiring) = self.expiring.last() {
            let began = now();
            if let Some(answer) = self.ask(json!({"query": expiring.query, "namespace": "expiring"})).await {
                let context = format!("{expiring:?} from {began} to {}: {answer}", now());
                if now() < expiring.put.0 + expiring.ttl {
                    assert_eq!(answer["response"], expiring.response, "{context}");
                } else if began >= expiring.put.1 + expiring.ttl {
                    assert_eq!(answer["outcome"], "miss", "{context}");
                }
            }
        }
        if let Some(answer) = self.ask(json!({"query": "shared", "namespace": "shared"})).await
            && let (last, true) = self.shared
        {
            // The answer is another client's, or the last one of this client. It is absent only before the first put.
            let context = format!("{} after {last}: {answer}", self.number);
            assert!(last == 0 || answer["outcome"] == "hit", "{context}");
            if let Some((client, serial)) = answer["response"].as_str().and_then(|text| text.split_once('/'))
                && client.parse() == Ok(self.number)
            {
                assert_eq!(serial.parse(), Ok(last), "{context}");
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
                9 => self.change(if self.number.is_multiple_of(2) { "touch" } else { "update" }).await,
                10..12 => self.change("delete").await,
                12 => self.clear().await,
                13 => self.quota().await,
                14 => self.set_meta().await,
                15..17 => self.put_expiring().await,
                17..19 => self.put_among_others("small").await,
                _ => self.put_among_others("shared").await,
            }
            self.look().await;
            self.progress.send_modify(|progress| progress.rounds += 1);
        }
        self
    }

    /// Compares the model with the table. No request may be in progress.
    pub(super) fn check(&self, snapshot: &Snapshot) {
        for own in &self.own {
            for (query, possible) in &own.queries {
                let stored = match snapshot.rows_of(&own.namespace, query).pop() {
                    None => vec![Known::Absent],
                    Some((id, _)) => {
                        let response = snapshot.response(id);
                        let is_this = |known: &&Known| match known {
                            Known::Absent => false,
                            Known::Stored { id: known_id, response: text, .. } => {
                                text == response && known_id.is_none_or(|known_id| i128::from(known_id) == id)
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
