//! Single flight: of several requests for one new answer, one calls the upstream.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use mneme_tests::Stack;
use mneme_tests::embedder::{self, EmbeddingService};
use mneme_tests::invariants::Snapshot;
use mneme_tests::upstream::{Behavior, Canned, completion};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{Reply, World, ask, concerns_lease, stream};
use crate::questions::{QUESTION, REWORDED};

/// Requests wait for as long as the test runs.
const PATIENT: (&str, &str) = ("MNEME_CHAT_WAIT_MS", "900000");

/// The reply of an upstream that is overloaded.
fn overloaded() -> Behavior {
    Behavior::Reply(Canned::json(503, &json!({"error": {"message": "overloaded"}})))
}

/// The reply with an answer that is not stored.
fn cut_short() -> Behavior {
    Behavior::Reply(Canned::json(200, &completion("Hel", "length")))
}

/// Waits until `is_so`.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl World {
    /// Sends `first`, whose call of the upstream ends as `ending` says, and `others` while it is under way. The upstream
    /// says `Hello.` to those who do not wait. Returns the replies in this order.
    async fn meet(&self, ending: Behavior, first: &Value, others: &[Value]) -> Vec<Reply> {
        let gate = Arc::new(Semaphore::new(0));
        self.upstream.set(Behavior::After(Arc::clone(&gate), Box::new(ending)));
        self.stack.proxy.take_calls();
        let open = async {
            until(|| self.upstream.received() == 1).await;
            self.upstream.set(Behavior::Say("Hello.".to_owned()));
            let replies = join_all(others.iter().map(|request| self.chat(request)));
            let release = async {
                // Each of the others has met the lease.
                let mut met = 0;
                while met <= others.len() {
                    met += self.stack.proxy.take_calls().iter().filter(|call| concerns_lease(call)).count();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                gate.add_permits(1);
            };
            futures::join!(replies, release).0
        };
        let (first, others) = futures::join!(self.chat(first), open);
        [first].into_iter().chain(others).collect()
    }

    async fn leases(&self) -> usize {
        Snapshot::read(&self.stack).await.leases()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_askers_of_one_new_question_on_sixteen_instances_make_one_call() {
    let world = World::on(Stack::builder().max_instances(16).exclusive(), &[PATIENT]).await;
    for question in ["Why is the sky blue?", "Why is the sea blue?"] {
        let said = format!("{question} Because of the light.");
        let gate = Arc::new(Semaphore::new(0));
        world.upstream.set(Behavior::After(Arc::clone(&gate), Box::new(Behavior::Say(said.clone()))));
        let requests: Vec<Value> =
            (0..50).map(|at| if at % 2 == 0 { ask(question) } else { stream(question) }).collect();
        let open = async {
            until(|| world.upstream.received() > 0).await;
            gate.add_permits(50);
        };
        let (replies, ()) = futures::join!(join_all(requests.iter().map(|request| world.chat(request))), open);
        for reply in &replies {
            assert_eq!((reply.status, reply.text()), (200, said.clone()), "{reply:?}");
        }
        assert_eq!(world.calls(), 1);
    }
    assert_eq!((world.entries().await, world.leases().await), (2, 0));
}

#[tokio::test]
async fn asker_of_a_question_under_way_gets_its_answer_in_either_form() {
    let world = World::with(&[PATIENT]).await;
    for (at, first, second) in [(1, ask("a"), stream("a")), (2, stream("b"), ask("b")), (3, stream("c"), stream("c"))] {
        let text = format!("Answer {at}.");
        let replies = world.meet(Behavior::Say(text.clone()), &first, &[second]).await;
        assert!(replies.iter().all(|reply| reply.text() == text), "{replies:?}");
        let waited = &replies[1];
        assert_eq!(waited.header("cache-status"), "mneme; fwd=miss; collapsed");
        assert_eq!(waited.header("x-mneme-entry-id"), at.to_string());
        assert_eq!(world.calls(), 1);
    }
    assert_eq!(world.leases().await, 0);
}

#[tokio::test]
async fn asker_in_other_words_waits_for_the_answer() {
    let service = EmbeddingService::start().await;
    service.set(embedder::Behavior::Embed(8));
    let embedder = service.embedder();
    let world = World::with(&[PATIENT, ("MNEME_EMBEDDER", embedder.as_str()), ("MNEME_GUARD", "off")]).await;
    let gate = Arc::new(Semaphore::new(0));
    world.upstream.set(Behavior::After(Arc::clone(&gate), Box::new(Behavior::Say("Hello.".to_owned()))));
    let (asked, reworded) = (ask(&format!("{QUESTION}.")), ask(&format!("{REWORDED}..")));
    let second = async {
        until(|| world.upstream.received() == 1).await;
        world.stack.proxy.take_operations();
        let (reply, ()) = futures::join!(world.chat(&reworded), async {
            // The second one has asked for the lease, and looks up again.
            let mut reads = 0;
            while reads < 10 {
                reads += world.stack.proxy.take_operations().iter().filter(|name| *name == "BatchGetItem").count();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            gate.add_permits(2);
        });
        reply
    };
    let (_, reply) = futures::join!(world.chat(&asked), second);
    assert_eq!((reply.text().as_str(), reply.header("x-mneme-layer")), ("Hello.", "semantic"));
    assert_eq!(reply.header("cache-status"), "mneme; fwd=miss; collapsed");
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn asker_calls_the_upstream_if_the_awaited_call_fails() {
    let world = World::with(&[PATIENT]).await;
    for (question, form) in [("a", ask as fn(&str) -> Value), ("b", stream)] {
        let replies = world.meet(overloaded(), &form(question), &[form(question)]).await;
        assert_eq!((replies[0].status, replies[1].status), (503, 200));
        assert_eq!((replies[1].text().as_str(), world.calls()), ("Hello.", 2));
        let status = replies[1].header("cache-status");
        assert!(status.starts_with("mneme; fwd=miss;") && status.contains("; collapsed=?0"), "{status}");
    }
    assert_eq!((world.entries().await, world.leases().await), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn askers_of_a_question_whose_answers_are_not_stored_all_get_one() {
    let world = World::with(&[PATIENT]).await;
    world.upstream.set(cut_short());
    let request = ask("a");
    let replies = join_all((0..6).map(|_| world.chat(&request))).await;
    assert!(replies.iter().all(|reply| reply.text() == "Hel"), "{replies:?}");
    assert_eq!((world.calls(), world.entries().await, world.leases().await), (6, 0, 0));
}

/// The lease is held for 15 minutes by somebody who never stores an answer.
#[tokio::test]
async fn askers_whose_winner_was_killed_wait_no_longer_than_the_limit() {
    let world = World::with(&[("MNEME_CHAT_WAIT_MS", "200")]).await;
    let killed = json!({"messages": ask("a")["messages"], "context": {"model": "model"}, "lease": {"seconds": 900}});
    assert_eq!(world.stack.lookup(killed).await["lease"]["state"], "granted");
    let request = stream("a");
    let replies = join_all((0..5).map(|_| world.chat(&request))).await;
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.text() == "Hello."), "{replies:?}");
    assert!(replies.iter().any(|reply| reply.header("cache-status").contains("collapsed=?0")), "{replies:?}");
    assert!((1..=5).contains(&world.calls()));
    assert_eq!((world.entries().await, world.leases().await), (1, 1));
}

#[tokio::test]
async fn lease_that_cannot_be_taken_leaves_the_call_to_the_upstream() {
    let world = World::with(&[PATIENT]).await;
    world.chat(&ask("first")).await;
    let lease = mneme_tests::fault::Fault::Refused("AccessDeniedException");
    for _ in 0..20 {
        world.stack.proxy.inject_fault("UpdateItem", lease.clone());
    }
    let reply = world.chat(&ask("a")).await;
    world.stack.proxy.clear_faults();
    assert_eq!(reply.header("cache-status"), "mneme; fwd=miss; stored; detail=no_embedding");
}

#[tokio::test]
async fn switched_off_or_without_a_miss_to_fill_there_is_no_lease() {
    for variable in [("MNEME_CHAT_WAIT_MS", "0"), ("MNEME_LEASES", "off")] {
        let world = World::with(&[variable]).await;
        let replies = world.meet_without_lease(&ask("a")).await;
        assert!(replies.iter().all(|reply| reply.text() == "Hello."), "{variable:?}");
        assert_eq!(world.calls(), 2);
    }
    let world = World::start().await;
    world.stack.proxy.take_calls();
    for control in ["no-store", "no-cache", "only-if-cached, max-age=5"] {
        world.chat_with(&[("cache-control", control)], &ask(control)).await;
    }
    assert!(!world.stack.proxy.take_calls().iter().any(concerns_lease));
}

impl World {
    /// Sends `request` twice at once. Neither call of the upstream ends before both have begun.
    async fn meet_without_lease(&self, request: &Value) -> Vec<Reply> {
        let gate = Arc::new(Semaphore::new(0));
        self.upstream.set(Behavior::After(Arc::clone(&gate), Box::new(Behavior::Say("Hello.".to_owned()))));
        let open = async {
            until(|| self.upstream.received() == 2).await;
            gate.add_permits(2);
        };
        futures::join!(join_all([self.chat(request), self.chat(request)]), open).0
    }
}
