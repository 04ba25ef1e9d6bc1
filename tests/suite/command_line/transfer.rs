//! `mneme export` and `mneme import`.

use std::collections::BTreeMap;
use std::path::Path;

use mneme_model::embedding::{Embedding, encode_base64};
use mneme_model::normalize::QueryHash;
use mneme_tests::Stack;
use serde_json::{Value, json};

use super::mneme;

/// The entries of a stack by their question, without what an import makes anew.
async fn entries(stack: &Stack) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for id in stack.entry_ids().await {
        let mut entry = stack.invoke("get", json!({"id": id})).await.unwrap();
        for field in ["id", "created_at", "last_accessed_at", "access_count"] {
            entry.as_object_mut().unwrap().remove(field);
        }
        found.insert(format!("{} {}", entry["namespace"], entry["query"]), entry);
    }
    found
}

fn path(folder: &Path) -> String {
    folder.join("entries.jsonl").to_str().unwrap().to_owned()
}

#[tokio::test]
async fn export_then_import_gives_the_same_entries() {
    let (source, target, folder) = (Stack::start().await, Stack::start().await, tempfile::tempdir().unwrap());
    let file = path(folder.path());
    for number in 0..120_u32 {
        // These vectors have the length 1 exactly, so normalising them again changes no bit.
        let embedding: Vec<f64> = (0..4).map(|bit| if (number >> bit) & 1 == 0 { 0.5 } else { -0.5 }).collect();
        source
            .put(json!({
                "query": format!("Question {number}\u{1f642}"), "response": "A\n\"B\"", "embedding": embedding,
                "namespace": if number % 3 == 0 { "a/b" } else { "default" },
                "metadata": {"n": number}, "confidence_score": 0.75,
            }))
            .await;
    }
    let exported = mneme(&source, &["export", &file]).await.succeeded();
    assert!(exported.starts_with("exported  120 entries to "), "{exported}");
    let imported = mneme(&target, &["import", &file, "--json"]).await.json();
    assert_eq!((&imported["stored"], &imported["refused"]), (&json!(120), &json!(0)));
    assert_eq!(entries(&source).await, entries(&target).await);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the position is gone");
    let one = mneme(&target, &["export", "-", "--namespace", "a/b"]).await.succeeded();
    assert_eq!(one.lines().count(), 40);
}

#[tokio::test]
async fn export_that_continues_writes_only_what_is_missing() {
    let (stack, folder) = (Stack::start().await, tempfile::tempdir().unwrap());
    let file = path(folder.path());
    let whole = folder.path().join("whole.jsonl");
    for number in 0..20 {
        stack.put(json!({"query": number.to_string(), "response": "A"})).await;
    }
    mneme(&stack, &["export", whole.to_str().unwrap()]).await.succeeded();
    let whole = std::fs::read_to_string(whole).unwrap();
    for cut in [0, 1, whole.len() / 2, whole.len() - 1, whole.len()] {
        std::fs::write(&file, &whole[..cut]).unwrap();
        mneme(&stack, &["export", &file, "--continue"]).await.succeeded();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), whole, "cut at {cut}");
    }
    mneme(&stack, &["export", &file]).await.failed(1, &["exists; continue with --continue"]);
}

#[tokio::test]
async fn import_that_was_interrupted_continues_behind_the_acknowledged_lines() {
    let (source, target, folder) = (Stack::start().await, Stack::start().await, tempfile::tempdir().unwrap());
    let file = path(folder.path());
    let entries: Vec<Value> = (0..1100).map(|n: u32| json!({"query": n.to_string(), "response": "A"})).collect();
    for batch in entries.chunks(1000) {
        source.invoke("put", json!({"entries": batch})).await.unwrap();
    }
    mneme(&source, &["export", &file]).await.succeeded();
    let whole = std::fs::read_to_string(&file).unwrap();
    // The second batch has a line that is no entry, so the import ends there.
    std::fs::write(&file, whole.replacen("\"id\":1050,", "\"id\":1050;", 1)).unwrap();
    mneme(&target, &["import", &file]).await.failed(1, &["line 1050: "]);
    assert_eq!(target.counter().await, (1001, 1000));
    std::fs::write(&file, &whole).unwrap();
    let imported = mneme(&target, &["import", &file, "--json"]).await.json();
    assert_eq!((&imported["continued_after"], &imported["stored"]), (&json!(1000), &json!(100)));
    assert_eq!(target.counter().await, (1101, 1100));
    // A finished import starts again at the first line, and replaces each entry in place.
    let kept = mneme(&target, &["import", &file, "--if-absent", "--json"]).await.json();
    assert_eq!((&kept["kept"], &kept["stored"]), (&json!(1100), &json!(0)));
}

#[tokio::test]
async fn import_leaves_out_what_would_answer_wrongly() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path());
    let (source, target) = (Stack::start().await, Stack::start().await);
    source.put(json!({"query": "plain", "response": "A"})).await;
    source.put(json!({"query": "with a context", "response": "A", "context": {"model": "m"}})).await;
    let messages =
        json!([{"role": "system", "content": "Be short."}, {"role": "user", "content": "in a conversation"}]);
    source.put(json!({"messages": messages, "response": "A"})).await;
    source.put(json!({"query": "expired", "response": "A", "ttl_seconds": 60})).await;
    mneme(&source, &["export", &file]).await.succeeded();
    let mut lines = std::fs::read_to_string(&file).unwrap();
    lines = lines
        .lines()
        .map(|line| {
            let mut entry: Value = serde_json::from_str(line).unwrap();
            if entry["query"] == "expired" {
                entry["expires_at"] = json!(1);
            }
            format!("{entry}\n\n")
        })
        .collect();
    let mut nameless: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    nameless["query"] = Value::Null;
    let mut refused: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    refused["confidence_score"] = json!(7);
    std::fs::write(&file, format!("{lines}{nameless}\n{refused}\n")).unwrap();
    let run = mneme(&target, &["import", &file]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    for part in [
        "        1 imported",
        "        1 expired",
        "        2 not imported: the file does not have the context",
        "        1 not imported: only the hash",
        "        1 refused",
    ] {
        assert!(run.stdout.contains(part), "{part}\n{}", run.stdout);
    }
    assert!(run.stderr.contains("line 10: confidence_score: 7 is not between 0 and 1; send"), "{}", run.stderr);
    assert_eq!(entries(&target).await.len(), 1);
}

#[tokio::test]
async fn import_of_many_entries_ends_with_segments() {
    let (stack, folder) = (Stack::start().await, tempfile::tempdir().unwrap());
    let file = path(folder.path());
    let line = |number: u32| {
        let query = format!("q{number}");
        let hash = QueryHash::of(&query, true);
        let vector: Vec<f32> = (0..64).map(|at: u32| ((number * 31 + at * 17) % 97) as f32 - 48.0).collect();
        let embedding = encode_base64(&Embedding::normalized(vector).unwrap().to_bytes());
        format!(
            "{}\n",
            json!({"id": number + 1, "namespace": "n", "query_hash": hash, "query": query, "response": "A",
            "embedding": embedding, "expires_at": null})
        )
    };
    std::fs::write(&file, (0..3000).map(line).collect::<String>()).unwrap();
    mneme(&stack, &["import", &file]).await.succeeded();
    let again = mneme(&stack, &["vacuum", "--json"]).await.json();
    assert_eq!(
        (&again["ranges_packed"], &again["basis_learned"]),
        (&json!(0), &json!(false)),
        "nothing was left to do"
    );
}
