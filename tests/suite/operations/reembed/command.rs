//! `mneme reembed`: runs the real function from a shell.

use mneme_tests::Stack;
use mneme_tests::models::{ALPHA, BETA};
use serde_json::Value;

use super::world::World;
use crate::command_line::{Run, mneme};

/// Runs `mneme reembed` on a served cache.
async fn shell(stack: &Stack, arguments: &[&str]) -> Run {
    mneme(stack, &[&["reembed"][..], arguments].concat()).await
}

#[tokio::test]
async fn reembed_command_moves_a_cache() {
    let world = World::start().await;
    world.fill().await;
    let run = async |arguments: &[&str]| {
        let Run { code, stdout, stderr } = shell(&world.moving, arguments).await;
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
    shell(&world.moving, &["switch"]).await.failed(1, &["no move to another embedder is under way"]);
    world.act("start").await;
    world.models.fail([401]);
    let run = shell(&world.moving, &[]).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("refused the API key") && run.stderr.contains("trying again"), "{}", run.stderr);
    shell(&world.moving, &["swap"]).await.failed(2, &["invalid value 'swap'"]);
}
