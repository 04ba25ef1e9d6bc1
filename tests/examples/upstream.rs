//! Runs the fake service with OpenAI's API until its standard input ends. Prints its base URL. The model's name chooses
//! what it does: `mneme_tests::upstream::of_model`. `GET /calls` says how many requests it has received.

use std::io::Read as _;

use mneme_tests::upstream::{Behavior, Upstream};

#[tokio::main]
async fn main() {
    let upstream = Upstream::start().await;
    upstream.set(Behavior::ByModel);
    println!("{}", upstream.base_url());
    // The end of the input is the end of the caller.
    let waited = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    drop(waited);
}
