//! Every operation once, by its effect.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::lab::{Lab, options, refused, told};

fn ids(list: &Value, of: &str, name: &str) -> Vec<String> {
    let items = list[of].as_array().unwrap().iter();
    items
        .map(|item| item[name].as_str().unwrap().to_owned())
        .collect()
}

// proves: DESIGN 13
#[tokio::test]
async fn a_task_goes_its_way() {
    let lab = Lab::new().await;
    let (status, task) = lab
        .post(
            "/v1/tasks",
            &json!({"name": "review", "id": "a", "priority": "high"}),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(
        (&task["id"], &task["state"], &task["priority"]),
        (&json!("a"), &json!("ready"), &json!(8))
    );
    lab.ok("/v1/tasks", &json!({"id": "b", "run": "true", "after": ["a"]}))
        .await;
    let why = lab.see("/v1/tasks/b/why").await;
    assert_eq!(why["waits_for"][0]["task"], "a");

    let leases = lab.ok("/v1/leases", &json!({"worker": "w"})).await;
    let lease = &leases["leases"][0];
    assert_eq!(
        (&lease["task"], &lease["prompt"]),
        (&json!("a"), &json!("review"))
    );
    let token = lease["token"].clone();
    lab.ok(
        "/v1/tasks/a/progress",
        &json!({"token": token, "progress": {"percent": 40}}),
    )
    .await;
    assert_eq!(lab.see("/v1/tasks/a").await["progress"]["percent"], 40);
    let done = lab
        .ok(
            "/v1/tasks/a/complete",
            &json!({"token": token, "result": {"good": true}}),
        )
        .await;
    assert_eq!(done, json!({"task": "a", "unblocked": ["b"]}));
    assert_eq!(lab.see("/v1/tasks/a").await["result"]["good"], true);

    let again = lab.post("/v1/tasks/a/complete", &json!({"token": token})).await;
    assert_eq!(refused(again), ("lease-lost".to_owned(), 409));
    let history = lab.see("/v1/tasks/a/history").await;
    assert_eq!(ids(&history, "events", "type").last().unwrap(), "task.completed");
    let cancelled = lab.ok("/v1/tasks/b/cancel", &json!({})).await;
    assert_eq!(cancelled["cancelled"], json!(["b"]));
    assert_eq!(lab.see("/v1/queue").await["total_tasks"], 2);
}

#[tokio::test]
async fn a_batch_goes_in_whole_or_not_at_all_and_once() {
    let lab = Lab::new().await;
    let tasks: Vec<Value> = (0..10_000)
        .map(|n| match n {
            0 => json!({"key": "t0", "name": "first"}),
            n => json!({"key": format!("t{n}"), "name": "next", "after": [format!("t{}", n / 2)]}),
        })
        .collect();
    let batch = json!({ "tasks": tasks });
    let send = || {
        lab.request(Method::POST, "/v1/tasks")
            .header("Idempotency-Key", "k")
            .json(&batch)
    };
    let (status, added) = told(send()).await;
    assert_eq!((status, &added["count"]), (StatusCode::CREATED, &json!(10_000)));
    let (_, repeated) = told(send()).await;
    assert_eq!(repeated["repeated"], true);
    assert_eq!(repeated["tasks"], added["tasks"]);
    assert_eq!(lab.see("/v1/queue").await["blocked"], 9_999);

    let circle = json!({"tasks": [{"key": "a", "name": "a", "after": ["b"]}, {"key": "b", "name": "b", "after": ["a"]}]});
    assert_eq!(
        refused(lab.post("/v1/tasks", &circle).await),
        ("dependency-cycle".to_owned(), 400)
    );
    let twice = json!({"tasks": [{"key": "a", "name": "a"}, {"key": "a", "name": "b"}]});
    assert_eq!(
        refused(lab.post("/v1/tasks", &twice).await),
        ("plan-duplicate".to_owned(), 400)
    );
    assert_eq!(lab.see("/v1/queue").await["total_tasks"], 10_000);
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let lab = Lab::new().await;
    let tasks: Vec<Value> = (0..25)
        .map(|n| json!({"id": format!("t{n}"), "name": "n", "kind": if n % 2 == 0 { "x" } else { "y" }}))
        .collect();
    lab.ok("/v1/tasks", &json!({ "tasks": tasks })).await;
    lab.ok("/v1/tasks/t3/cancel", &json!({})).await;
    let mut seen = Vec::new();
    let mut path = "/v1/tasks?limit=10&kind=y&state=ready&state=blocked".to_owned();
    loop {
        let page = lab.see(&path).await;
        seen.extend(ids(&page, "tasks", "id"));
        let Some(cursor) = page["cursor"].as_str() else {
            break;
        };
        path = format!("/v1/tasks?limit=10&kind=y&state=ready&state=blocked&cursor={cursor}");
    }
    let expected: Vec<String> = (0..25)
        .filter(|n| n % 2 == 1 && *n != 3)
        .map(|n| format!("t{n}"))
        .collect();
    assert_eq!(seen, expected);
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "state=redy",
        "cursor=x",
        "knid=y",
        "project=a/b",
    ] {
        let (code, status) = refused(lab.get(&format!("/v1/tasks?{bad}")).await);
        assert_eq!((code.as_str(), status), ("invalid-argument", 400), "{bad}");
    }
    let (_, problem) = lab.get("/v1/tasks?knid=y").await;
    assert_eq!(problem["help"], "did you mean `kind`?");
    assert_eq!(lab.see("/v1/tasks?project=other").await["count"], 0);
}

#[tokio::test]
async fn a_plan_becomes_a_run_that_is_shown_drawn_and_cancelled() {
    let lab = Lab::new().await;
    let plan = "name: release\ntasks:\n  a: { prompt: one }\n  b: { prompt: two, after: [a] }\n";
    let run = lab.ok("/v1/runs", &json!({ "text": plan })).await;
    assert_eq!((&run["plan"], &run["total"]), (&json!("release"), &json!(2)));
    let same = lab.ok("/v1/runs", &json!({"plan": {"name": "release", "tasks": {"a": {"prompt": "one"}, "b": {"prompt": "two", "after": ["a"]}}}})).await;
    assert_eq!(same["id"], run["id"]);
    let shown = lab.see("/v1/runs/release").await;
    assert_eq!(ids(&shown, "tasks", "key"), ["a", "b"]);
    let mermaid = lab.get("/v1/runs/release/graph?format=mermaid").await.1;
    assert!(mermaid.as_str().unwrap().contains("n0 --> n1"), "{mermaid}");
    let ended = lab.ok("/v1/runs/release/cancel", &json!({})).await;
    assert_eq!(ended["cancelled"].as_array().unwrap().len(), 2);
    assert_eq!(lab.see("/v1/runs").await["runs"][0]["state"], "cancelled");

    let faulty = lab
        .post("/v1/runs", &json!({"text": "name: x\ntasks: { a: { rnu: x } }"}))
        .await;
    assert_eq!(refused(faulty), ("plan-unknown-key".to_owned(), 400));
    assert_eq!(refused(lab.post("/v1/runs", &json!({})).await).1, 400);
    assert_eq!(
        refused(lab.get("/v1/runs/nothing").await),
        ("run-not-found".to_owned(), 404)
    );
}

#[tokio::test]
async fn curbs_are_set_listed_and_removed() {
    let lab = Lab::new().await;
    let put = |path: &'static str, body: Value| told(lab.request(Method::PUT, path).json(&body));
    let delete = |path: &'static str| told(lab.request(Method::DELETE, path));
    let (_, breakers) = put(
        "/v1/breakers/kind:deploy",
        json!({"failures": 3, "timeout": "5m"}),
    )
    .await;
    assert_eq!(breakers["breakers"][0]["settings"]["timeout"], 300_000);
    assert_eq!(
        refused(put("/v1/breakers/kind:deploy", json!({"threshold": 7})).await).1,
        400
    );
    let (_, limits) = put("/v1/limits/project", json!({"rate": "10/1m"})).await;
    assert_eq!(limits["limits"][0]["name"], "project");
    let (_, budgets) = put("/v1/budgets/project", json!({"hard": {"money": 5}})).await;
    assert_eq!(budgets["budgets"][0]["budget"]["hard"]["money"], 5.0);
    for path in [
        "/v1/breakers/kind:deploy",
        "/v1/limits/project",
        "/v1/budgets/project",
    ] {
        assert_eq!(delete(path).await.0, StatusCode::OK);
        assert_eq!(refused(delete(path).await), ("curb-not-found".to_owned(), 404));
    }
}

#[tokio::test]
async fn schedules_pools_breakpoints_and_letters() {
    let lab = Lab::new().await;
    let schedule = json!({"name": "nightly", "cron": "30 4 * * *", "task": {"name": "sweep", "run": "true"}});
    let (status, made) = lab.post("/v1/schedules", &schedule).await;
    assert_eq!(
        (status, &made["task"]["name"]),
        (StatusCode::CREATED, &json!("sweep"))
    );
    assert_eq!(
        refused(lab.post("/v1/schedules", &schedule).await),
        ("schedule-exists".to_owned(), 409)
    );
    assert_eq!(
        lab.see("/v1/schedules/nightly/times?count=3").await["times"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(lab.see("/v1/schedules").await["count"], 1);
    told(lab.request(Method::DELETE, "/v1/schedules/nightly")).await;
    assert_eq!(
        refused(lab.get("/v1/schedules/nightly").await),
        ("schedule-not-found".to_owned(), 404)
    );

    let (_, pool) = told(
        lab.request(Method::PUT, "/v1/pools/dev")
            .json(&json!({"max": 20})),
    )
    .await;
    assert_eq!((&pool["max"], &pool["preset"]), (&json!(20), &json!(false)));
    assert_eq!(lab.see("/v1/pools").await["count"], 3);

    lab.ok(
        "/v1/tasks",
        &json!({"id": "ask", "breakpoint": {"ask": "go?", "owner": "ann"}}),
    )
    .await;
    assert_eq!(
        lab.see("/v1/breakpoints?owner=ann").await["breakpoints"][0]["asks"],
        "go?"
    );
    assert_eq!(lab.see("/v1/breakpoints?owner=bob").await["count"], 0);
    lab.ok(
        "/v1/breakpoints/ask/resolve",
        &json!({"accept": true, "answer": {"go": 1}}),
    )
    .await;
    assert_eq!(lab.see("/v1/tasks/ask").await["result"]["go"], 1);

    lab.ok("/v1/tasks", &json!({"id": "bad", "name": "bad"})).await;
    let lease = lab.ok("/v1/leases", &json!({"worker": "w"})).await["leases"][0].clone();
    lab.ok(
        "/v1/tasks/bad/fail",
        &json!({"token": lease["token"], "error": "no"}),
    )
    .await;
    assert_eq!(lab.see("/v1/letters").await["tasks"][0]["id"], "bad");
    assert_eq!(lab.see("/v1/letters/groups").await["count"], 1);
    assert_eq!(refused(lab.post("/v1/letters/requeue", &json!({})).await).1, 400);
    assert_eq!(
        lab.ok("/v1/letters/requeue", &json!({"all": true})).await["count"],
        1
    );
    assert_eq!(lab.see("/v1/tasks/bad").await["state"], "ready");
    assert_eq!(lab.see("/v1/locks").await["count"], 0);
    assert_eq!(lab.see("/v1/queue/problems").await["count"], 0);
    assert_eq!(lab.see("/v1/queue/stale?older=1").await["count"], 0);
    let order = lab.ok("/v1/queue/order", &json!({"tasks": ["bad", "ask"]})).await;
    assert_eq!(order["total_batches"], 1);
    assert_eq!(lab.see("/v1/projects").await["projects"], json!(["default"]));
}

#[tokio::test]
async fn events_are_paged_and_waited_for() {
    let lab = Lab::new().await;
    lab.ok("/v1/tasks", &json!({"id": "a", "name": "a"})).await;
    let first = lab.see("/v1/events?after=0").await;
    assert_eq!(ids(&first, "events", "type"), ["task.submitted"]);
    let cursor = first["cursor"].as_str().unwrap();
    let path = format!("/v1/events?after={cursor}&type=task.cancelled&wait=20s");
    let (next, _) = tokio::join!(lab.see(&path), async {
        lab.ok("/v1/tasks/a/cancel", &json!({})).await;
    });
    assert_eq!(ids(&next, "events", "type"), ["task.cancelled"]);
    assert_eq!(refused(lab.get("/v1/events?after=99").await).1, 400);
    assert_eq!(refused(lab.get("/v1/events?type=task.finnished").await).1, 400);
}

#[tokio::test]
async fn the_server_tells_how_it_is_and_what_it_offers() {
    let lab = Lab::new().await;
    assert_eq!(lab.get("/livez").await, (StatusCode::OK, json!("ok\n")));
    let ready = lab.see("/readyz").await;
    assert_eq!(
        (&ready["ready"], &ready["engine"]),
        (&json!(true), &json!("memory"))
    );
    let described = lab.see("/v1/openapi.json").await;
    assert_eq!(described["openapi"], "3.1.0");
    assert!(described["paths"]["/v1/tasks"]["post"]["operationId"].is_string());
    assert!(
        lab.get("/")
            .await
            .1
            .as_str()
            .unwrap()
            .contains("<title>Bellwether</title>")
    );
    assert_eq!(
        refused(lab.get("/v1/nothing").await),
        ("route-not-found".to_owned(), 404)
    );
    let wrong = told(lab.request(Method::PATCH, "/v1/tasks")).await;
    assert_eq!(refused(wrong), ("method-not-allowed".to_owned(), 405));
}

// proves: DESIGN 13
#[tokio::test]
async fn plans_are_played_through_and_proved() {
    let lab = Lab::with(server::Options {
        toil: std::time::Duration::from_secs(60),
        ..options()
    })
    .await;
    let plan = json!({"tasks": {
        "test": {"prompt": "x", "estimate": "2m"},
        "ship": {"prompt": "y", "estimate": "1m", "after": ["test"]},
    }});
    let told = lab
        .ok(
            "/v1/plans/simulate",
            &json!({"plan": plan, "samples": 5, "workers": 2}),
        )
        .await;
    assert_eq!(
        (
            &told["samples"],
            &told["succeeded"],
            &told["workers"],
            &told["p50_seconds"]
        ),
        (&json!(5), &json!(5), &json!(2), &json!(180.0))
    );
    let failing = json!({"plan": plan, "samples": 3, "fail": ["test"], "profile": "critical-path"});
    assert_eq!(lab.ok("/v1/plans/simulate", &failing).await["succeeded"], 0);
    assert_eq!(
        lab.see("/v1/queue").await["total_tasks"],
        0,
        "nothing of it is kept"
    );

    let never = json!({"plan": plan, "never": ["ship before test", "test before ship"]});
    let told = lab.ok("/v1/plans/verify", &never).await;
    assert_eq!(
        (&told["sound"], &told["rules"][0]["result"]["verdict"]),
        (&json!(false), &json!("holds"))
    );
    assert_eq!(
        told["rules"][1]["result"]["course"],
        json!([{"task": "test", "what": "begins"}])
    );
    for (path, bad) in [
        ("simulate", json!({"plan": plan, "samples": 1_001})),
        ("simulate", json!({"plan": plan, "workers": 0})),
        ("simulate", json!({"plan": plan, "without": ["tset"]})),
        (
            "simulate",
            json!({"plan": {"tasks": {"a": {"prompt": "x", "after": ["a"]}}}}),
        ),
        ("simulate", json!({})),
        ("verify", json!({"plan": plan, "never": ["ship first"]})),
        (
            "verify",
            json!({"plan": plan, "never": vec!["ship before test"; 101]}),
        ),
    ] {
        let (status, problem) = lab.post(&format!("/v1/plans/{path}"), &bad).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}: {problem}");
    }
}

#[tokio::test]
async fn what_computes_for_long_is_given_up() {
    let lab = Lab::with(server::Options {
        toil: std::time::Duration::ZERO,
        ..options()
    })
    .await;
    let tasks: serde_json::Map<String, Value> = (0..2_000)
        .map(|n| (format!("t{n}"), json!({"prompt": "x", "estimate": "1m"})))
        .collect();
    let plan = json!({"plan": {"tasks": tasks}, "samples": 100});
    let (code, status) = refused(lab.post("/v1/plans/simulate", &plan).await);
    assert_eq!((code.as_str(), status), ("request-timeout", 408));
}

type Condition = Option<(&'static str, String)>;

/// Status, version and document of an answer.
async fn asked(
    lab: &Lab,
    method: Method,
    path: &str,
    condition: Condition,
    body: Value,
) -> (u16, Option<String>, Value) {
    let mut request = lab.request(method, path).json(&body);
    if let Some((name, value)) = condition {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    let tag = answer
        .headers()
        .get("etag")
        .map(|tag| tag.to_str().unwrap().to_owned());
    (answer.status().as_u16(), tag, answer.json().await.unwrap())
}

// proves: DESIGN 13
#[tokio::test]
async fn changes_may_depend_on_a_version() {
    let lab = Lab::new().await;
    let ask = |method, path, condition, body| asked(&lab, method, path, condition, body);
    let matching = |tag: &str| Some(("if-match", tag.to_owned()));
    let new = || Some(("if-none-match", "*".to_owned()));
    let (path, size) = (
        "/v1/pools/build",
        |max: u32| json!({"kinds": ["build"], "min": 1, "max": max}),
    );
    assert_eq!(
        ask(Method::PUT, path, matching("*"), size(2)).await.0,
        412,
        "there is none"
    );
    let (status, first, _) = ask(Method::PUT, path, new(), size(2)).await;
    assert_eq!(status, 200);
    let first = first.unwrap();
    assert_eq!(ask(Method::PUT, path, new(), size(2)).await.0, 412, "it is there");
    let (status, second, _) = ask(Method::PUT, path, matching(&first), size(3)).await;
    assert_eq!(status, 200);
    assert_ne!(second.as_deref(), Some(&*first));
    let (status, _, problem) = ask(Method::PUT, path, matching(&first), size(4)).await;
    assert_eq!(
        (status, &problem["status"], &problem["code"]),
        (412, &json!(412), &json!("entry-changed"))
    );
    let either = format!("{first}, {}", second.unwrap());
    assert_eq!(ask(Method::PUT, path, matching(&either), size(5)).await.0, 200);

    lab.ok(
        "/v1/schedules",
        &json!({"name": "s", "every": "1h", "task": {"name": "x", "prompt": "x"}}),
    )
    .await;
    let (_, tag, _) = ask(Method::GET, "/v1/schedules/s", None, json!({})).await;
    let edit = json!({"every": "2h"});
    let (status, then, told) = ask(Method::PATCH, "/v1/schedules/s", matching(&tag.unwrap()), edit).await;
    assert_eq!(status, 200, "{told}");
    let (_, now, _) = ask(Method::GET, "/v1/schedules/s", None, json!({})).await;
    assert_eq!(then, now);
    let gone = |tag: &str| ask(Method::DELETE, "/v1/schedules/s", matching(tag), json!({}));
    assert_eq!(gone(&first).await.0, 412);
    assert_eq!(gone(&now.unwrap()).await.0, 200);

    let (_, tag, _) = ask(Method::GET, "/v1/settings", None, json!({})).await;
    let tag = tag.unwrap();
    let keep = |days: &str| json!({"retention": days});
    assert_eq!(
        ask(Method::PATCH, "/v1/settings", matching(&tag), keep("10d"))
            .await
            .0,
        200
    );
    assert_eq!(
        ask(Method::PATCH, "/v1/settings", matching(&tag), keep("20d"))
            .await
            .0,
        412
    );
    let limit = json!({"concurrency": 2});
    let (status, tag, told) = ask(Method::PUT, "/v1/limits/kind:build", new(), limit.clone()).await;
    assert_eq!((status, tag.is_some()), (200, true), "{told}");
    assert_eq!(
        ask(Method::PUT, "/v1/limits/kind:build", new(), limit).await.0,
        412
    );
}

// proves: DESIGN 13
#[tokio::test]
async fn what_is_made_has_a_version_and_is_made_only_once() {
    let lab = Lab::new().await;
    let ask = |method, path, condition, body| asked(&lab, method, path, condition, body);
    let new = || Some(("if-none-match", "*".to_owned()));
    let ann = json!({"name": "ann"});
    let schedule = json!({"name": "s", "every": "1h", "task": {"name": "x", "prompt": "x"}});
    for (path, shown, body) in [
        ("/v1/agents", "/v1/agents/ann", ann),
        ("/v1/schedules", "/v1/schedules/s", schedule),
    ] {
        let (status, tag, told) = ask(Method::POST, path, new(), body.clone()).await;
        assert_eq!((status, tag.is_some()), (201, true), "{path}: {told}");
        assert_eq!(ask(Method::GET, shown, None, json!({})).await.1, tag, "{path}");
        assert_eq!(
            ask(Method::POST, path, new(), body.clone()).await.0,
            412,
            "{path}"
        );
        assert_eq!(ask(Method::POST, path, None, body).await.0, 409, "{path}");
    }
    let (_, tag, _) = ask(Method::GET, "/v1/agents/ann", None, json!({})).await;
    let old = || Some(("if-match", tag.clone().unwrap()));
    let skill = |name: &str| json!({"capability": name});
    let learn = "/v1/agents/ann/learn";
    let (status, then, _) = ask(Method::POST, learn, old(), skill("sql")).await;
    assert_eq!((status, then.is_some()), (200, true));
    assert_eq!(ask(Method::POST, learn, old(), skill("go")).await.0, 412);
    let learned = lab.see("/v1/agents/ann").await["learned"].clone();
    assert_eq!(learned.as_array().unwrap().len(), 1, "{learned}");
}

// proves: DESIGN 13
#[tokio::test]
async fn all_faults_of_a_plan_are_told() {
    let lab = Lab::new().await;
    let text = "name: p\ntasks:\n  a: { rnu: x }\n  c: { rnu: y }\n";
    let asked = json!({"text": text, "file": "p.yaml"});
    for path in ["/v1/plans/check", "/v1/runs"] {
        let (status, problem) = lab.post(path, &asked).await;
        assert_eq!(
            (status.as_u16(), &problem["file"]),
            (400, &json!("p.yaml")),
            "{path}"
        );
        let faults = problem["faults"].as_array().unwrap();
        assert!(faults.len() >= 2, "{path}: {problem}");
        assert_eq!(problem["more"], 0);
        assert_eq!(faults[0]["code"], problem["code"]);
        assert_eq!(faults[0]["line"], 3, "{problem}");
    }
    let tasks = json!({"tasks": [{"name": "a", "rnu": 1}, {"name": "b", "afetr": []}]});
    let (_, problem) = lab.post("/v1/tasks", &tasks).await;
    assert!(problem["faults"].as_array().unwrap().len() >= 2, "{problem}");
    assert!(lab.get("/v1/tasks/none").await.1.get("faults").is_none());
}

#[tokio::test]
async fn the_nearest_of_all_names_is_proposed() {
    let lab = Lab::new().await;
    let help = |told: (StatusCode, Value)| {
        assert_eq!(told.0, StatusCode::BAD_REQUEST, "{}", told.1);
        told.1["help"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(
        help(lab.get("/v1/queue?projet=x").await),
        "did you mean `project`?"
    );
    let none = json!({});
    assert_eq!(
        help(lab.post("/v1/leases?projet=x", &none).await),
        "did you mean `project`?"
    );
    assert_eq!(
        help(lab.post("/v1/tasks/a/cancel", &json!({"projet": "x"})).await),
        "did you mean `?project=NAME` in the address?"
    );
    let agent = json!({"name": "ann", "profile": {"capabilites": []}});
    assert_eq!(
        help(lab.post("/v1/agents", &agent).await),
        "did you mean `capabilities`?"
    );
}

#[tokio::test]
async fn the_description_has_the_stream() {
    let lab = Lab::new().await;
    let described = lab.see("/v1/openapi.json").await;
    let listen = &described["paths"]["/v1/stream"]["get"];
    assert_eq!(listen["operationId"], "listen");
    assert!(listen["responses"]["101"].is_object(), "{listen}");
}
