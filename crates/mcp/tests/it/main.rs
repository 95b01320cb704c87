//! Sessions over HTTP, on a loopback socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod mount;

use mcp::Set;
use serde_json::{Value, json};

use client::Client;

/// A store of its own, and the address of its tools.
async fn tools() -> (tempfile::TempDir, std::net::SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("bell.db").display());
    let address = mount::start(&url, Set::Core, 0).await;
    (folder, address)
}

// proves: DESIGN 9
#[tokio::test]
async fn a_session_holds_its_leases_as_one_over_stdio_does() {
    let (_folder, address) = tools().await;
    let mut ann = Client::new(address).begin().await;
    let mut bob = Client::new(address).begin().await;
    let task = ann.call("task_add", json!({ "prompt": "a" })).await.unwrap()["task"].clone();
    let claimed = ann.call("task_claim", json!({})).await.unwrap();
    assert_eq!(claimed["leases"][0]["task"], task);
    assert_eq!(
        bob.call("task_claim", json!({})).await.unwrap(),
        json!({ "leases": [] })
    );
    let refused = bob
        .call("task_complete", json!({ "task": task }))
        .await
        .unwrap_err();
    assert_eq!(refused["code"], "token-needed");
    let done = ann
        .call("task_complete", json!({ "task": task, "result": 1 }))
        .await
        .unwrap();
    assert_eq!(done["task"], task);
    assert!(ann.delete().await.status < 300);
    assert_eq!(
        ann.post("tools/list", json!({})).await.status,
        404,
        "the session is over"
    );
}

/// The newest version has no sessions: what was claimed is known by its token alone.
#[tokio::test]
async fn without_a_session_the_token_is_what_counts() {
    let (_folder, address) = tools().await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "new", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let call = async |tool: &str, arguments: Value| {
        let mut client = Client::new(address)
            .with("mcp-protocol-version", "2026-07-28")
            .with("mcp-method", "tools/call")
            .with("mcp-name", tool);
        let said = client
            .post(
                "tools/call",
                json!({ "name": tool, "arguments": arguments, "_meta": meta }),
            )
            .await;
        said.messages.last().unwrap_or_else(|| panic!("{said:?}"))["result"]["structuredContent"].clone()
    };
    let task = call("task_add", json!({ "prompt": "a" })).await["task"].clone();
    let lease = call("task_claim", json!({})).await["leases"][0].clone();
    assert_eq!(lease["task"], task);
    assert_eq!(
        call("task_complete", json!({ "task": task })).await["code"],
        "token-needed"
    );
    let done = call("task_complete", json!({ "task": task, "token": lease["token"] })).await;
    assert_eq!(done, json!({ "task": task, "unblocked": [] }));
}

#[tokio::test]
async fn a_caller_does_what_it_may() {
    let (_folder, address) = tools().await;
    let mut reader = Client::new(address).with("x-caller", "reader").begin().await;
    assert_eq!(
        reader
            .call("task_add", json!({ "prompt": "a" }))
            .await
            .unwrap_err()["code"],
        "forbidden"
    );
    assert_eq!(
        reader.call("task_why", json!({})).await.unwrap()["queue"]["total_tasks"],
        0
    );
    let mut worker = Client::new(address).with("x-caller", "ci").begin().await;
    assert!(worker.call("task_add", json!({ "prompt": "a" })).await.is_ok());
}

#[tokio::test]
async fn strangers_in_a_browser_are_turned_away() {
    let (_folder, address) = tools().await;
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } });
    for (name, value) in [("origin", "https://evil.example"), ("host", "evil.example")] {
        let said = Client::new(address)
            .with(name, value)
            .post("initialize", hello.clone())
            .await;
        assert_eq!(said.status, 403, "{name}: {said:?}");
    }
    let said = Client::new(address)
        .with("origin", "http://localhost:5173")
        .post("initialize", hello)
        .await;
    assert_eq!(said.status, 200);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let (_folder, address) = tools().await;
    let mut client = Client::new(address).begin().await;
    let said = client
        .post("tools/call", json!({ "name": "x".repeat(5 << 20) }))
        .await;
    assert_eq!(said.status, 413);
}
