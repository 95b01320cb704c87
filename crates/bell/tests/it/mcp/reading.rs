//! Resources, prompts and completions.

use serde_json::{Value, json};

use super::client::Client;
use crate::bench::Bench;

fn read(client: &mut Client, uri: &str) -> Value {
    let result = client.ask("resources/read", json!({ "uri": uri })).unwrap();
    let content = &result["contents"][0];
    assert_eq!(
        (&content["uri"], &content["mimeType"]),
        (&json!(uri), &json!("application/json"))
    );
    serde_json::from_str(content["text"].as_str().unwrap()).unwrap()
}

// proves: DESIGN 9
#[test]
fn the_queue_tasks_runs_and_graphs_are_read() {
    let bench = Bench::new();
    bench.write(
        "p.yaml",
        "name: p\ntasks:\n  a: { prompt: do a }\n  src/b: { prompt: do b, after: [a] }\n",
    );
    let run = bench.json(&["submit", "p.yaml"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut client = Client::start(&bench, &["--tools", "core"]);
    let listed = client.ask("resources/list", json!({})).unwrap();
    let uris: Vec<&str> = listed["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["uri"].as_str().unwrap())
        .collect();
    let (of_run, of_graph) = (format!("bell://run/{run}"), format!("bell://graph/{run}"));
    assert_eq!(
        uris,
        [
            "bell://queue",
            "bell://awaiting",
            "bell://problems",
            &of_run,
            &of_graph
        ]
    );

    assert_eq!(
        read(&mut client, "bell://queue"),
        bench.json(&["queue", "status"])
    );
    assert_eq!(
        read(&mut client, "bell://task/a"),
        bench.json(&["task", "show", "a"])
    );
    assert_eq!(read(&mut client, "bell://task/src%2Fb")["key"], "src/b");
    assert_eq!(read(&mut client, &of_run)["counts"]["ready"], 1);
    let graph = read(&mut client, &of_graph);
    assert_eq!(graph["edges"], json!([[0, 1, "success"]]));
    assert_eq!(graph["tasks"][1]["key"], "src/b");
    assert_eq!(read(&mut client, "bell://awaiting")["count"], 0);

    for uri in ["bell://task/zzz", "bell://nothing", "file:///etc/passwd"] {
        let error = client.ask("resources/read", json!({ "uri": uri })).unwrap_err();
        assert_eq!(error["code"], -32002, "{uri}: {error}");
    }
    let templates = client.ask("resources/templates/list", json!({})).unwrap();
    assert_eq!(templates["resourceTemplates"].as_array().unwrap().len(), 3);
    let typed = json!({ "ref": { "type": "ref/resource", "uri": "bell://task/{id}" }, "argument": { "name": "id", "value": "src" } });
    let completed = client.ask("completion/complete", typed).unwrap();
    assert_eq!(completed["completion"]["values"], json!(["src/b"]));
}

// proves: DESIGN 9
#[test]
fn prompts_take_what_they_are_told() {
    let bench = Bench::new();
    let mut client = Client::start(&bench, &["--tools", "core"]);
    let listed = client.ask("prompts/list", json!({})).unwrap();
    let names: Vec<&str> = listed["prompts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["work_loop", "plan_from_goal"]);
    let text = |got: Value| got["messages"][0]["content"]["text"].as_str().unwrap().to_owned();
    let got = client
        .ask(
            "prompts/get",
            json!({ "name": "plan_from_goal", "arguments": { "goal": "fewer bugs" } }),
        )
        .unwrap();
    assert!(text(got).contains("fewer bugs"));
    let error = client
        .ask("prompts/get", json!({ "name": "plan_from_goal" }))
        .unwrap_err();
    assert!(error["message"].as_str().unwrap().contains("`goal`"));
}

#[test]
fn prime_is_short() {
    let bench = Bench::new();
    let said = bench.bell(&["prime"]);
    assert_eq!(said.exit, 0);
    assert!(said.out.len() / 4 < 1_500, "{} tokens", said.out.len() / 4);
    assert_eq!(bench.json(&["prime"])["text"], said.out);
}
