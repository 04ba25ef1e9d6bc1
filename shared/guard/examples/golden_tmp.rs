use mneme_guard::Conversation;
use serde_json::{Map, Value, json};
use std::io::BufRead;
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
fn main() {
    for line in std::io::stdin().lock().lines() {
        let v: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let messages: Vec<(String, String)> = serde_json::from_value(v["messages"].clone()).unwrap();
        let m: Vec<(&str, &str)> = messages.iter().map(|(a, b)| (&**a, &**b)).collect();
        let context: Option<Map<String, Value>> = serde_json::from_value(v["context"].clone()).unwrap();
        let c = Conversation::of(&m, context.as_ref()).unwrap();
        println!(
            "{{\"messages\": {}, \"context\": {}, \"context_key\": {}, \"exact_text\": {}, \"fingerprint\": {}, \"signature\": {}}}",
            v["messages"],
            v["context"],
            json!(c.context_key.map(|k| hex(&k))),
            json!(c.exact_text),
            json!(c.signature.number_fingerprint().map(|f| f.to_bits())),
            json!(hex(&c.signature.to_bytes()))
        );
    }
}
