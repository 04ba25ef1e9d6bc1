//! `list`: pages by id, after an id, and by last access.

use mneme_tests::Stack;
use serde_json::{Value, json};

async fn filled(count: usize) -> Stack {
    let stack = Stack::start().await;
    let entries: Vec<Value> = (1..=count)
        .map(|n| json!({"query": format!("q{n}"), "response": "r", "namespace": if n % 3 == 0 { "b" } else { "a" }}))
        .collect();
    stack.invoke("put", json!({"entries": entries})).await.unwrap();
    stack
}

/// The ids of all pages, and the number of pages.
async fn all_pages(stack: &Stack, request: Value) -> (Vec<u64>, usize) {
    let (mut ids, mut pages, mut request) = (Vec::new(), 0, request);
    loop {
        let page = stack.invoke("list", request.clone()).await.unwrap();
        pages += 1;
        ids.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()));
        if page["cursor"].is_null() {
            return (ids, pages);
        }
        request["cursor"] = page["cursor"].clone();
        request.as_object_mut().unwrap().remove("after_id");
    }
}

#[tokio::test]
async fn list_pages_return_each_entry_once_in_id_order() {
    let stack = filled(25).await;
    stack.invoke("delete", json!({"id": 4})).await.unwrap();
    let (ids, pages) = all_pages(&stack, json!({"limit": 10})).await;
    let expected: Vec<u64> = (1..=25).filter(|id| *id != 4).collect();
    assert_eq!((ids, pages), (expected.clone(), 3));
    let (ids, _) = all_pages(&stack, json!({"after_id": 20})).await;
    assert_eq!(ids, [21, 22, 23, 24, 25]);
    let (ids, _) = all_pages(&stack, json!({"namespace": "b", "limit": 3})).await;
    assert_eq!(ids, [3, 6, 9, 12, 15, 18, 21, 24]);

    let (status, page) = stack.get("/v1/entries?namespace=b&after_id=3&limit=2&order=id").await;
    assert_eq!(status, 200);
    assert_eq!((&page["entries"][0]["id"], &page["entries"][1]["id"]), (&json!(6), &json!(9)));
    let cursor = page["cursor"].as_str().unwrap();
    let (_, page) = stack.get(&format!("/v1/entries?namespace=b&limit=2&cursor={cursor}")).await;
    assert_eq!(page["entries"][0]["id"], 12);
}

#[tokio::test]
async fn list_by_lru_returns_least_recently_used_first() {
    let stack = filled(9).await;
    stack.backdate(1..=9, 10).await;
    for id in [1, 3] {
        stack.invoke("touch", json!({"id": id})).await.unwrap();
    }
    for limit in [2, 4, 100] {
        let (ids, _) = all_pages(&stack, json!({"order": "lru", "limit": limit})).await;
        assert_eq!(ids, [2, 4, 5, 6, 7, 8, 9, 1, 3], "limit {limit}");
        let (ids, _) = all_pages(&stack, json!({"order": "lru", "namespace": "a", "limit": limit})).await;
        assert_eq!(ids, [2, 4, 5, 7, 8, 1], "limit {limit}");
    }
    let (_, page) = stack.get("/v1/entries?order=lru&namespace=b&limit=1").await;
    assert_eq!(page["entries"][0]["id"], 6);
}

#[tokio::test]
async fn list_page_stays_below_the_response_limit() {
    let stack = Stack::start().await;
    // Each entry takes more than 1 MB of the reply: its quotes and line breaks are escaped twice.
    for number in 0..7 {
        let entry = json!({"query": format!("{number}"), "response": "\"\n".repeat(150_000)});
        stack.put(entry).await;
    }
    let mut path = "/v1/entries".to_owned();
    let (mut ids, mut pages) = (Vec::new(), 0);
    loop {
        let (status, page) = stack.get(&path).await;
        assert_eq!(status, 200);
        pages += 1;
        ids.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()));
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/v1/entries?cursor={cursor}");
    }
    assert_eq!((ids, pages > 1), ((1..=7).collect::<Vec<u64>>(), true), "{pages} pages");
}

#[tokio::test]
async fn invalid_list_parameters_are_refused() {
    let stack = Stack::start().await;
    for bad in
        ["limit=0", "limit=1001", "limit=x", "order=new", "cursor=7", "order=lru&after_id=3", "page=2", "after_id=-1"]
    {
        assert_eq!(stack.get(&format!("/v1/entries?{bad}")).await.0, 400, "{bad}");
    }
}

/// The ids of the page at `path`.
async fn ids_at(stack: &Stack, path: &str) -> Vec<u64> {
    let (status, page) = stack.get(path).await;
    assert_eq!(status, 200, "{path}: {page}");
    page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn list_with_filters_returns_the_entries_that_meet_all_of_them() {
    let stack = Stack::start().await;
    for (query, source) in
        [("Where is my INVOICE?", json!("faq")), ("Pay an invoice", json!(7)), ("Reset", json!("faq"))]
    {
        stack.put(json!({"query": query, "response": "r", "metadata": {"source": source}})).await;
    }
    stack.put(json!({"query": "invoices elsewhere", "response": "r", "namespace": "b"})).await;
    stack.backdate([2], 1000).await;
    let now = stack.get("/v1/entries/1").await.1["created_at"].as_i64().unwrap();
    for (filter, expected) in [
        ("text=Invoice", &[1, 2, 4][..]),
        ("text=%20my%20%20invoice", &[1]),
        ("text=invoice&namespace=default", &[1, 2]),
        ("metadata.source=faq", &[1, 3]),
        ("metadata.source=7", &[2]),
        ("metadata.source=faq&text=invoice", &[1]),
        ("metadata.other=faq", &[]),
        (&format!("created_since={}", now - 500), &[1, 3, 4]),
        (&format!("created_before={}", now - 500), &[2]),
        (&format!("used_since={}", now - 500), &[1, 3, 4]),
        (&format!("used_before={}", now - 500), &[2]),
        ("text=invoice&namespace=default&order=lru", &[2, 1]),
    ] {
        assert_eq!(ids_at(&stack, &format!("/v1/entries?{filter}")).await, expected, "{filter}");
    }
    let directly = json!({"metadata.source": 7, "created_since": null});
    assert_eq!(stack.invoke("list", directly).await.unwrap()["entries"].as_array().unwrap().len(), 1);
    for bad in [json!({"metadata.source": ["faq"]}), json!({"text": 7}), json!({"created_since": "today"})] {
        assert_eq!(stack.invoke("list", bad.clone()).await.unwrap_err().name, "InvalidRequest", "{bad}");
    }
}

#[tokio::test]
async fn list_with_a_filter_reads_a_bounded_number_of_rows_and_its_cursor_continues() {
    let stack = Stack::start().await;
    for hundred in 0..25 {
        let entries: Vec<Value> =
            (0..100).map(|n| json!({"query": format!("q {hundred} {n}"), "response": "r"})).collect();
        stack.invoke("put", json!({"entries": entries})).await.unwrap();
    }
    stack.put(json!({"query": "the needle", "response": "r"})).await;
    let page = stack.invoke("list", json!({"text": "needle"})).await.unwrap();
    assert_eq!(page["entries"], json!([]));
    assert!(page["cursor"].is_string(), "{page}");
    let (ids, pages) = all_pages(&stack, json!({"text": "needle"})).await;
    assert_eq!((ids, pages), (vec![2501], 2));
}

#[tokio::test]
async fn list_returns_the_fields_that_were_asked_for_and_no_embedding_without_asking() {
    let stack = Stack::start().await;
    stack.put(json!({"query": "q", "response": "r", "embedding": [1.0, 0.0]})).await;
    let entry = async |path: &str| stack.get(path).await.1["entries"][0].clone();
    let all = entry("/v1/entries").await;
    assert!(all.get("embedding").is_none() && all["response"] == "r", "{all}");
    assert_eq!(entry("/v1/entries?fields=query").await, json!({"id": 1, "query": "q"}));
    let vector = entry("/v1/entries?fields=embedding,id").await;
    assert_eq!(vector.as_object().unwrap().len(), 2);
    assert_eq!(vector["embedding"], stack.get("/v1/entries/1").await.1["embedding"]);
    let (status, problem) = stack.get("/v1/entries?fields=vector").await;
    assert!(status == 400 && problem["detail"].as_str().unwrap().contains("vector"), "{problem}");
}
