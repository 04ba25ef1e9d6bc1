//! Faults while an instance writes its pending counts of lookups at shutdown.

use mneme_tests::invariants::Snapshot;
use mneme_tests::{Fault, Stack};
use serde_json::json;

use super::entry;

#[tokio::test]
async fn shutdown_with_any_fault_loses_no_counts() {
    let stack = Stack::start().await;
    stack.put(entry("first", 0.0)).await;
    for fault in Fault::all().into_iter().filter(|fault| fault.applies_to("UpdateItem")) {
        let before = Snapshot::read(&stack).await;
        assert_eq!(stack.lookup(json!({"query": "first"})).await["outcome"], "hit");
        stack.proxy.inject_fault("UpdateItem", fault.clone());
        stack.server.recycle("lookup").await;
        stack.proxy.idle().await;
        assert_eq!(stack.proxy.pending_faults(), 0);
        let after = Snapshot::read(&stack).await;
        after.check();
        let counted = after.sum_of("hits_exact") - before.sum_of("hits_exact");
        // A count whose reply was lost may be written twice, but no count may be lost.
        let max = if [Fault::ReplyLost, Fault::ResetAfter].contains(&fault) { 2 } else { 1 };
        assert!((1..=max).contains(&counted), "{counted} after {fault:?}");
        assert_eq!((after.version, &after.entries), (before.version, &before.entries));
    }
}
