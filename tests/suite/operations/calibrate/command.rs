//! `mneme-local calibrate`: runs the real function from a shell.

use std::path::Path;
use std::process::Command;

use mneme_tests::Stack;
use serde_json::{Value, json};

use super::example;

/// Runs `mneme-local calibrate` on a file with these lines. Returns exit code, stdout and stderr.
fn shell(folder: &Path, lines: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let file = folder.join("pairs.jsonl");
    std::fs::write(&file, lines).unwrap();
    let binaries = mneme_local::build_functions().unwrap();
    let output = Command::new(binaries.join("mneme-local"))
        .args(["calibrate", "--binaries"])
        .arg(&binaries)
        .arg(&file)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
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
    let (code, stdout, stderr) = shell(folder.path(), &lines, &[&chosen[..], &["--json"]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), expected);

    let curve = folder.path().join("curve.csv");
    let arguments = [&chosen[..], &["--curve", curve.to_str().unwrap()]].concat();
    let (code, stdout, stderr) = shell(folder.path(), &lines, &arguments);
    assert_eq!(code, Some(0), "{stderr}");
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

#[test]
fn calibrate_command_with_invalid_lines_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut pairs = example();
    pairs[2]["similarity"] = json!(7);
    let refused = |lines: &str, arguments: &[&str], says: &str| {
        let (code, stdout, stderr) = shell(folder.path(), lines, arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(says), "{says}\n{stderr}");
    };
    // The third pair is on the fourth line.
    let lines = as_lines(&pairs).replacen('\n', "\n\n", 1);
    refused(&lines, &[], "pairs.jsonl, line 4: similarity: 7 is not a cosine similarity; send a number from -1 to 1");
    refused("{\"a\": }\n", &[], "pairs.jsonl, line 1: expected value");
    refused("", &[], "pairs.jsonl: pairs: 0 pairs are too few; send at least 20");
    refused(&as_lines(&example()), &["--cutoff", "7"], "cutoff: 7 is not a confidence");
    refused(&as_lines(&example()), &["--curve", "/no/such/folder/curve.csv"], "cannot write /no/such/folder/curve.csv");
    let embedding: Vec<f32> = (0..24_000u16).map(f32::from).collect();
    let side = json!({"query": "What?", "embedding": embedding});
    let large = vec![json!({"a": side, "b": side, "same": true}); 20];
    refused(&as_lines(&large), &[], "larger than the 6 MB that Lambda takes; send each pair's `similarity`");
    let (code, _, stderr) = shell(folder.path(), "", &["--target", "recall"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("give f1, or max-wrong= and a share"), "{stderr}");
}
