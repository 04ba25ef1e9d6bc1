//! `mneme calibrate`: the real function on a file of pairs.

use std::path::Path;

use mneme_tests::Stack;
use serde_json::{Value, json};

use super::example;
use crate::command_line::{Run, mneme};

/// Runs `mneme calibrate` on a file with these lines.
async fn shell(stack: &Stack, folder: &Path, lines: &str, arguments: &[&str]) -> Run {
    let file = folder.join("pairs.jsonl");
    std::fs::write(&file, lines).unwrap();
    mneme(stack, &[&["calibrate", file.to_str().unwrap()][..], arguments].concat()).await
}

fn as_lines(pairs: &[Value]) -> String {
    pairs.iter().map(|pair| format!("{pair}\n")).collect()
}

#[tokio::test]
async fn calibrate_command_prints_the_reply_of_the_function() {
    let (stack, folder) = (Stack::start().await, tempfile::tempdir().unwrap());
    let pairs = example();
    let lines = as_lines(&pairs);
    let request = json!({"pairs": pairs, "target": {"max_wrong": 0.1}, "guard": "off", "cutoff": 0.5});
    let expected = stack.invoke("calibrate", request).await.unwrap();
    let chosen = ["--target", "max-wrong=0.1", "--guard", "off", "--cutoff", "0.5"];
    let run = shell(&stack, folder.path(), &lines, &[&chosen[..], &["--json"]].concat()).await;
    assert_eq!(run.json(), expected);

    let curve = folder.path().join("curve.csv");
    let arguments = [&chosen[..], &["--curve", curve.to_str().unwrap()]].concat();
    let stdout = shell(&stack, folder.path(), &lines, &arguments).await.succeeded();
    let percent = |share: &Value| format!("{:.1} %", share.as_f64().unwrap() * 100.0);
    let held_back = &expected["held_back"];
    for part in [
        format!("threshold  {},", expected["threshold"]),
        "60: 30 same, 30 different".to_owned(),
        "(context 1, partition 1)".to_owned(),
        percent(&held_back["precision"]),
        percent(&held_back["recall"]),
        percent(&held_back["wrong"]),
    ] {
        assert!(stdout.contains(&part), "{part}\n{stdout}");
    }
    let curve = std::fs::read_to_string(curve).unwrap();
    assert!(curve.starts_with("threshold,precision,recall,wrong,f1\n"), "{curve}");
    assert_eq!(curve.lines().count(), 1 + expected["curve"].as_array().unwrap().len());
}

#[tokio::test]
async fn calibrate_command_with_invalid_lines_names_them() {
    let (stack, folder) = (Stack::start().await, tempfile::tempdir().unwrap());
    let mut pairs = example();
    pairs[2]["similarity"] = json!(7);
    let refused = async |lines: &str, arguments: &[&str], says: &str| {
        shell(&stack, folder.path(), lines, arguments).await.failed(1, &[says]);
    };
    // The third pair is on the fourth line.
    let lines = as_lines(&pairs).replacen('\n', "\n\n", 1);
    let says = "pairs.jsonl, line 4: similarity: 7 is not a cosine similarity; send a number from -1 to 1";
    refused(&lines, &[], says).await;
    refused("{\"a\": }\n", &[], "pairs.jsonl, line 1: expected value").await;
    refused("", &[], "pairs.jsonl: pairs: 0 pairs are too few; send at least 20").await;
    refused(&as_lines(&example()), &["--cutoff", "7"], "cutoff: 7 is not a confidence").await;
    let nowhere = ["--curve", "/no/such/folder/curve.csv"];
    refused(&as_lines(&example()), &nowhere, "cannot write /no/such/folder/curve.csv").await;
    let embedding: Vec<f32> = (0..24_000u16).map(f32::from).collect();
    let side = json!({"query": "What?", "embedding": embedding});
    let large = vec![json!({"a": side, "b": side, "same": true}); 20];
    refused(&as_lines(&large), &[], "larger than the 6 MB that Lambda takes; send each pair's `similarity`").await;
    let bad_target = shell(&stack, folder.path(), "", &["--target", "recall"]).await;
    bad_target.failed(2, &["give f1, or max-wrong= and a share"]);
}
