//! `mneme-local reembed`: runs the real function from a shell.

use std::process::Command;

use mneme_tests::Stack;
use mneme_tests::models::{ALPHA, BETA};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::world::World;

/// Runs `mneme-local reembed` on a served cache. Returns exit code, stdout and stderr.
async fn shell(stack: &Stack, arguments: &[&str]) -> (Option<i32>, String, String) {
    let binaries = mneme_local::build_functions().unwrap();
    let mut command = Command::new(binaries.join("mneme-local"));
    command.args(["reembed", "--url", stack.server.api_url()]).args(arguments);
    let output = spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn reembed_command_moves_a_cache() {
    let world = World::start().await;
    world.fill().await;
    let run = async |arguments: &[&str]| {
        let (code, stdout, stderr) = shell(&world.moving, arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
        (stdout, stderr)
    };
    assert!(run(&["status"]).await.0.contains("no move is under way"));
    let (stdout, stderr) = run(&[]).await;
    for part in ["other      openai:beta/1, 96 dimensions", "24 of 24 gone through", "24 ready", "reembed switch:"] {
        assert!(stdout.contains(part), "{part}\n{stdout}");
    }
    assert!(stderr.contains("24/24 ids ") && stderr.contains(" a second, "), "{stderr}");
    world.check(ALPHA).await;
    let (stdout, _) = run(&["switch", "--json"]).await;
    let reply: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&reply["side"], &reply["active"]["fingerprint"]), (&"target".into(), &BETA.fingerprint().into()));
    world.check(BETA).await;
    assert!(run(&["switch-back"]).await.0.contains("active     openai:alpha/1"));
    assert!(run(&["switch"]).await.0.contains("active     openai:beta/1"));
    let (stdout, _) = run(&["finish"]).await;
    assert_eq!(stdout, "active     openai:beta/1, 96 dimensions\nno move is under way\n");
    world.check(BETA).await;
}

#[tokio::test]
async fn reembed_command_reports_refusals_and_retries_failures() {
    let world = World::start().await;
    world.fill().await;
    let (code, stdout, stderr) = shell(&world.moving, &["switch"]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("no move to another embedder is under way"), "{stderr}");
    world.act("start").await;
    world.models.fail([401]);
    let (code, _, stderr) = shell(&world.moving, &[]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("refused the API key") && stderr.contains("trying again"), "{stderr}");
    let (code, ..) = shell(&world.moving, &["swap"]).await;
    assert_eq!(code, Some(2));
}
