//! Rules, agents, settings, signals, locks and age of a project, each operation by its effect.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::lab::{Lab, refused, told};

async fn send(lab: &Lab, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    told(lab.request(method, path).json(&body)).await
}

async fn done(lab: &Lab, method: Method, path: &str, body: Value) -> Value {
    let (status, answer) = send(lab, method, path, body).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

// proves: DESIGN 13
#[tokio::test]
async fn rules_are_added_shown_replaced_and_removed() {
    let lab = Lab::new().await;
    let qa = json!({"rules": {
        "qa": {"on": "task.completed", "if": "task.kind == \"dev\"", "submit": {"tasks": {"test": {"run": "true"}}}},
        "page": {"on": "task.escalated", "webhook": {"url": "https://example.org/x", "headers": {"authorization": "secret"}}},
    }});
    assert_eq!(lab.ok("/v1/rules", &qa).await["added"], json!(["qa", "page"]));
    assert_eq!(lab.ok("/v1/rules", &qa).await["unchanged"], json!(["qa", "page"]));
    let listed = lab.see("/v1/rules").await;
    assert_eq!(listed["count"], 2);
    let page = lab.see("/v1/rules/page").await;
    assert_eq!(page["webhook"]["headers"]["authorization"], "***");
    let other = |replace: bool| json!({"rules": {"page": {"on": "run.finished", "pause": "kind=dev"}}, "replace": replace});
    let refusal = lab.post("/v1/rules", &other(false)).await;
    assert_eq!(refused(refusal).0, "rule-exists");
    assert_eq!(
        lab.ok("/v1/rules", &other(true)).await["replaced"],
        json!(["page"])
    );
    let wrong = lab
        .post("/v1/rules", &json!({"rules": {"x": {"on": "task.*", "no": 1}}}))
        .await;
    assert_eq!(wrong.0, StatusCode::BAD_REQUEST, "{}", wrong.1);
    assert_eq!(
        lab.see("/v1/rule-letters").await,
        json!({"letters": [], "count": 0})
    );
    let none = lab.post("/v1/rule-letters/retry", &json!({"rule": "qa"})).await;
    assert_eq!(none.0, StatusCode::BAD_REQUEST);
    assert_eq!(
        lab.ok("/v1/rule-letters/drop", &json!({"all": true})).await,
        json!({"count": 0})
    );
    let removed = done(&lab, Method::DELETE, "/v1/rules/page", json!({})).await;
    assert_eq!(removed["removed"], "page");
    assert_eq!(
        refused(lab.get("/v1/rules/page").await),
        ("rule-not-found".to_owned(), 404)
    );
}

#[tokio::test]
async fn an_agent_registers_is_found_gets_work_and_leaves() {
    let lab = Lab::new().await;
    let ann = json!({"name": "ann", "profile": {"capabilities": ["review"], "languages": ["rust"],
        "specialisations": {"auth": "expert", "sql": null}, "capacity": 2}, "prior": {"success_rate": 0.9, "tasks": 10}});
    let (status, shown) = lab.post("/v1/agents", &ann).await;
    assert_eq!((status, &shown["capacity"]), (StatusCode::CREATED, &json!(2)));
    assert_eq!(refused(lab.post("/v1/agents", &ann).await).0, "agent-exists");
    lab.ok("/v1/agents", &json!({"name": "bob"})).await;
    let found = lab
        .see("/v1/agents?specialisation=auth:expert&capability=review")
        .await;
    assert_eq!(
        (&found["count"], &found["agents"][0]["name"]),
        (&json!(1), &json!("ann"))
    );
    let wrong = lab.get("/v1/agents?max_load=2").await;
    assert_eq!(refused(wrong).1, 400);
    let edited = done(
        &lab,
        Method::PATCH,
        "/v1/agents/bob",
        json!({"capabilities": ["review"]}),
    )
    .await;
    assert_eq!(edited["capabilities"], json!(["review"]));
    assert_eq!(
        send(&lab, Method::PATCH, "/v1/agents/bob", json!({})).await.0,
        400
    );
    let learned = lab
        .ok(
            "/v1/agents/bob/learn",
            &json!({"capability": "k8s", "confidence": 0.6}),
        )
        .await;
    assert_eq!(
        learned["learned"][0],
        json!({"name": "k8s", "confidence": 0.6, "how": "told"})
    );
    let told = lab
        .ok(
            "/v1/agents/bob/report",
            &json!({"success": false, "duration": "90s"}),
        )
        .await;
    assert_eq!(told["record"]["failed"], 1);
    lab.ok("/v1/agents/bob/heartbeat", &json!({})).await;
    assert_eq!(lab.see("/v1/agents/ann/health").await["status"], "healthy");
    assert_eq!(lab.see("/v1/flock").await["total_agents"], 2);

    lab.ok(
        "/v1/tasks",
        &json!({"id": "a", "name": "look", "needs": ["review"]}),
    )
    .await;
    let asked = lab.ok("/v1/tasks/a/route", &json!({})).await;
    assert_eq!(
        (&asked["selected"], &asked["assigned"]),
        (&json!("ann"), &json!(false))
    );
    let given = lab
        .ok("/v1/tasks/a/route", &json!({"assign": true, "exclude": ["ann"]}))
        .await;
    assert_eq!(
        (&given["selected"], &given["assigned"]),
        (&json!("bob"), &json!(true))
    );
    assert_eq!(lab.ok("/v1/flock/rebalance", &json!({})).await["count"], 0);
    let gone = done(&lab, Method::DELETE, "/v1/agents/bob", json!({})).await;
    assert_eq!(gone["freed"], json!(["a"]));
    assert_eq!(refused(lab.get("/v1/agents/bob").await).1, 404);
}

#[tokio::test]
async fn teams_are_named_and_what_agents_did_is_told() {
    let lab = Lab::new().await;
    lab.ok(
        "/v1/agents",
        &json!({"name": "ann", "profile": {"capabilities": ["css"]}}),
    )
    .await;
    let web = done(
        &lab,
        Method::PUT,
        "/v1/teams/web",
        json!({"members": ["ann", "bob"]}),
    )
    .await;
    assert_eq!(
        (&web["found"], &web["skills"][0]["name"]),
        (&json!(false), &json!("css"))
    );
    let web = done(
        &lab,
        Method::PUT,
        "/v1/teams/web",
        json!({"remove": ["bob"], "about": "pages"}),
    )
    .await;
    assert_eq!(web["members"].as_array().map(Vec::len), Some(1));
    assert_eq!(send(&lab, Method::PUT, "/v1/teams/web", json!({})).await.0, 400);
    lab.ok("/v1/tasks", &json!({"id": "a", "name": "look", "team": "web"}))
        .await;
    let leases = lab.ok("/v1/leases", &json!({"worker": "eve"})).await;
    assert_eq!(leases["leases"], json!([]));
    let leases = lab.ok("/v1/leases", &json!({"worker": "ann"})).await;
    let token = &leases["leases"][0]["token"];
    lab.ok("/v1/tasks/a/complete", &json!({ "token": token })).await;
    assert_eq!(lab.see("/v1/teams/web").await["record"]["completed"], 1);
    assert_eq!(lab.see("/v1/teams").await["count"], 1);
    let told = lab.see("/v1/performance?anonymous=true").await;
    assert_eq!(told["stats"]["by"]["task_execution"], 1);
    assert_eq!(lab.see("/v1/flock/advice").await["count"], 0);
    assert_eq!(lab.see("/v1/plans/mined?support=2").await["count"], 0);
    done(&lab, Method::DELETE, "/v1/teams/web", json!({})).await;
    assert_eq!(
        refused(lab.get("/v1/teams/web").await),
        ("team-not-found".to_owned(), 404)
    );
}

#[tokio::test]
async fn settings_of_a_project_are_changed_together() {
    let lab = Lab::new().await;
    let patch = |body| send(&lab, Method::PATCH, "/v1/settings", body);
    let value = |settings: &Value, name: &str| {
        let all = settings["settings"].as_array().unwrap();
        let found = all.iter().find(|setting| setting["name"] == name).unwrap();
        (found["value"].clone(), found["origin"].clone())
    };
    let (_, changed) = patch(json!({"order.profile": "boosts", "retry": 5, "retention": "90d"})).await;
    assert_eq!(
        value(&changed, "order.profile"),
        (json!("boosts"), json!("project default"))
    );
    assert_eq!(value(&changed, "retry").0, "5");
    let (status, _) = patch(json!({"retry": null, "order.weights.base": 0.9})).await;
    assert_eq!(status, 400, "weights that are not 1 together");
    assert_eq!(value(&lab.see("/v1/settings").await, "retry").0, "5");
    let (_, back) = patch(json!({"retry": null})).await;
    assert_eq!(value(&back, "retry"), (json!("1"), json!("default")));
    let (status, problem) = patch(json!({"retri": 1})).await;
    assert_eq!(
        (status.as_u16(), &problem["help"]),
        (400, &json!("did you mean `retry`?"))
    );
}

#[tokio::test]
async fn signals_locks_and_age() {
    let lab = Lab::new().await;
    let sent = lab.ok("/v1/signals/go", &json!({"payload": {"by": "ann"}})).await;
    assert_eq!((&sent["signal"], &sent["count"]), (&json!("go"), &json!(1)));
    assert_eq!(lab.ok("/v1/signals/go", &json!({})).await["count"], 2);

    lab.ok("/v1/tasks", &json!({"id": "a", "name": "a", "locks": ["db"]}))
        .await;
    lab.ok("/v1/leases", &json!({"worker": "w"})).await;
    let none = json!({"name": "dbx", "reason": "x"});
    assert_eq!(
        refused(lab.post("/v1/locks/break", &none).await).0,
        "lock-not-held"
    );
    let silent = json!({"name": "db", "reason": " "});
    assert_eq!(refused(lab.post("/v1/locks/break", &silent).await).1, 400);
    let broken = lab
        .ok(
            "/v1/locks/break",
            &json!({"name": "db", "reason": "it hangs", "now": true}),
        )
        .await;
    assert_eq!(broken["holders"][0], json!({"task": "a", "free_at": null}));
    lab.ok("/v1/tasks/a/cancel", &json!({})).await;

    let counted = lab
        .ok("/v1/prune", &json!({"older": "1h", "dry_run": true}))
        .await;
    assert_eq!(
        (&counted["dry_run"], &counted["tasks"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(
        refused(lab.post("/v1/prune", &json!({"oder": "1d"})).await).1,
        400
    );
    assert_eq!(lab.see("/v1/queue/stats").await["total"]["cancelled"], 1);
    let proven = lab.see("/v1/audit").await;
    assert_eq!(
        (&proven["intact"], &proven["projects"][0]["intact"]),
        (&json!(true), &json!(true))
    );
    let anchor = lab.see("/v1/audit/anchor").await["anchors"][0]["anchor"].clone();
    let through = lab
        .see(&format!("/v1/audit?anchor={}", anchor.as_str().unwrap()))
        .await;
    assert_eq!(through["projects"][0]["anchors"].as_array().unwrap().len(), 1);
    assert_eq!(lab.see("/v1/store/check").await["sound"], true);
}

#[tokio::test]
async fn plans_and_errors_are_looked_at_without_being_stored() {
    let lab = Lab::new().await;
    let plan = json!({"name": "p", "tasks": {"one": {"run": "true", "estimate": "2s"}, "two": {"run": "true", "after": ["one"]}}});
    let told = lab.ok("/v1/plans/check", &json!({ "plan": plan })).await;
    assert_eq!(told["batches"], json!([["one"], ["two"]]));
    let drawn = lab
        .ok("/v1/plans/graph", &json!({"plan": plan, "format": "mermaid"}))
        .await;
    assert!(drawn.as_str().unwrap().contains("one"), "{drawn}");
    let (status, problem) = lab
        .post("/v1/plans/check", &json!({"text": "tasks:\n  a: {after: [b]}\n"}))
        .await;
    assert_eq!(status, 400, "{problem}");
    assert_eq!(lab.see("/v1/plans/schema").await["type"], "object");
    assert_eq!(lab.see("/v1/queue").await["total_tasks"], 0);
    assert_eq!(lab.see("/v1/errors/lease-lost").await["status"], 409);
    let (status, problem) = lab.get("/v1/errors/lease-lots").await;
    assert_eq!(
        (status.as_u16(), &problem["help"]),
        (400, &json!("did you mean `lease-lost`?"))
    );
}

#[tokio::test]
async fn a_schedule_is_changed_where_something_is_said() {
    let lab = Lab::new().await;
    lab.ok(
        "/v1/schedules",
        &json!({"name": "n", "cron": "0 5 * * *", "tz": "Europe/Berlin", "task": {"name": "a", "run": "true"}}),
    )
    .await;
    let edit = |body| send(&lab, Method::PATCH, "/v1/schedules/n", body);
    let (_, moved) = edit(json!({"tz": "UTC", "overlap": "skip"})).await;
    assert_eq!(
        (&moved["cron"], &moved["tz"], &moved["overlap"]),
        (&json!("0 5 * * *"), &json!("UTC"), &json!("skip"))
    );
    let (_, every) = edit(json!({"every": "1h", "task": {"name": "b", "prompt": "look"}})).await;
    assert_eq!(
        (&every["every"], &every["cron"], &every["task"]["name"]),
        (&json!(3600.0), &Value::Null, &json!("b"))
    );
    assert_eq!(edit(json!({"every": "1h", "cron": "0 0 * * *"})).await.0, 400);
    assert_eq!(edit(json!({"tz": "UTC"})).await.0, 400, "there is no expression");
}
