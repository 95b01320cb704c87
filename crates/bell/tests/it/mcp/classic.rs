//! The eighteen `orchestration_*` tools (SPEC 3.5).

use serde_json::{Value, json};

use super::client::Client;
use crate::bench::Bench;

struct Classic {
    bench: Bench,
    client: Client,
}

impl Classic {
    fn new() -> Classic {
        let bench = Bench::new();
        let client = Client::start(&bench, &[]);
        Classic { bench, client }
    }

    #[track_caller]
    fn does(&mut self, tool: &str, arguments: Value) -> Value {
        self.client.does(&format!("orchestration_{tool}"), arguments)
    }

    #[track_caller]
    fn error(&mut self, tool: &str, arguments: Value) -> String {
        let error = self
            .client
            .call(&format!("orchestration_{tool}"), arguments)
            .unwrap_err();
        error["error"].as_str().unwrap().to_owned()
    }

    fn create(&mut self, content: &str, mut arguments: Value) -> String {
        let mut all = json!({ "content": content, "task_type": "research" });
        all.as_object_mut()
            .unwrap()
            .append(arguments.as_object_mut().unwrap());
        let created = self.does("create_task", all);
        assert_eq!(created["status"], "pending");
        assert!(created["message"].is_string());
        created["task_id"].as_str().unwrap().to_owned()
    }

    fn begin(&mut self, task: &str, agent: &str) {
        self.does("assign_task", json!({ "task_id": task, "agent_id": agent }));
        self.does("start_task", json!({ "task_id": task }));
    }

    fn polled(&mut self, arguments: Value) -> Vec<String> {
        let polled = self.does("poll_tasks", arguments);
        let tasks = polled["tasks"].as_array().unwrap();
        assert_eq!(polled["count"], tasks.len());
        tasks
            .iter()
            .map(|task| task["content"].as_str().unwrap().to_owned())
            .collect()
    }

    fn shown(&self, task: &str) -> Value {
        self.bench.json(&["task", "show", task])
    }
}

// proves: SPEC 3.5
#[test]
fn the_default_set_has_the_eighteen_tools() {
    let mut classic = Classic::new();
    let mut names: Vec<String> = classic
        .client
        .tools()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().replacen("orchestration_", "", 1))
        .collect();
    names.sort_unstable();
    let expected = "assign_task complete_task create_task deregister_agent fail_task find_capable_agents \
                    get_agent_health get_health get_queue_metrics get_recommendations get_routing_stats get_task_status \
                    poll_tasks query_tasks register_agent route_task start_task update_agent_performance";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
}

// proves: SPEC 3.5, SPEC 3.2
#[test]
fn a_task_walks_from_create_to_complete() {
    let mut it = Classic::new();
    let task = it.create(
        "find papers",
        json!({ "priority": "high", "requirements": ["search"] }),
    );
    let shown = it.shown(&task);
    assert_eq!(
        (&shown["kind"], &shown["priority"], &shown["needs"]),
        (&json!("research"), &json!(8), &json!(["search"]))
    );

    let assigned = it.does("assign_task", json!({ "task_id": task, "agent_id": "ann" }));
    assert_eq!(
        (&assigned["assigned_to"], &assigned["status"]),
        (&json!("ann"), &json!("assigned"))
    );
    assert_eq!(
        (&it.shown(&task)["state"], &it.shown(&task)["lease"]["worker"]),
        (&json!("assigned"), &json!("ann"))
    );
    assert!(
        it.error("assign_task", json!({ "task_id": task, "agent_id": "bob" }))
            .contains("already assigned to ann")
    );

    assert_eq!(
        it.does("start_task", json!({ "task_id": task }))["status"],
        "running"
    );
    assert_eq!(it.shown(&task)["state"], "running");
    let done = it.does(
        "complete_task",
        json!({ "task_id": task, "result": "three", "metrics": { "duration_ms": 1200 } }),
    );
    assert_eq!(done["status"], "completed");
    assert_eq!(it.shown(&task)["result"], "three");
    assert_eq!(
        it.does("get_task_status", json!({ "task_id": task })),
        json!({
            "id": task, "content": "find papers", "type": "research", "status": "completed", "priority": "high",
            "assigned_to": "ann", "requirements": ["search"], "duration_ms": 1200,
            "result": "three", "error_message": null, "retry_count": 0,
        })
    );
    assert_eq!(
        it.error("get_task_status", json!({ "task_id": "zzz" })),
        "Task zzz not found"
    );
}

// proves: SPEC 3.6
#[test]
fn polling_goes_by_priority_and_hides_what_cannot_start() {
    let mut it = Classic::new();
    for priority in ["low", "high", "medium"] {
        it.create(priority, json!({ "priority": priority }));
    }
    assert_eq!(it.polled(json!({})), ["high", "medium", "low"]);
    assert_eq!(it.polled(json!({ "limit": 1 })), ["high"]);
    let first = it.create("first", json!({ "priority": "critical" }));
    it.create(
        "second",
        json!({ "priority": "critical", "dependencies": [first] }),
    );
    assert_eq!(it.polled(json!({})), ["first", "high", "medium", "low"]);
    it.begin(&first, "ann");
    assert_eq!(it.polled(json!({ "agent_id": "bob" })), ["high", "medium", "low"]);
    assert_eq!(
        it.polled(json!({ "agent_id": "ann", "status": "running" })),
        ["first"]
    );
    assert_eq!(
        it.polled(json!({ "agent_id": "bob", "status": "running" })),
        [""; 0]
    );
    let done = it.does("complete_task", json!({ "task_id": first, "result": "ok" }));
    assert!(done["message"].as_str().unwrap().contains("1 more can start"));
    assert_eq!(it.polled(json!({}))[0], "second");
    assert!(
        it.error(
            "create_task",
            json!({ "content": "x", "task_type": "t", "dependencies": ["zzz"] })
        )
        .contains("zzz")
    );
}

#[test]
fn what_cannot_start_is_kept_for_its_agent() {
    let mut it = Classic::new();
    let first = it.create("first", json!({}));
    let second = it.create("second", json!({ "dependencies": [first] }));
    let kept = it.does("assign_task", json!({ "task_id": second, "agent_id": "ann" }));
    assert_eq!(
        (&kept["status"], &kept["assigned_to"]),
        (&json!("pending"), &json!("ann"))
    );
    it.begin(&first, "bob");
    it.does("complete_task", json!({ "task_id": first, "result": null }));
    assert_eq!(it.polled(json!({ "agent_id": "bob" })), [""; 0]);
    assert_eq!(it.polled(json!({ "agent_id": "ann" })), ["second"]);
    assert!(
        it.error("assign_task", json!({ "task_id": second, "agent_id": "bob" }))
            .contains("not for bob")
    );
}

// proves: SPEC 3.2
#[test]
fn a_failure_is_tried_again_unless_it_should_not() {
    let mut it = Classic::new();
    let task = it.create("a", json!({}));
    it.begin(&task, "ann");
    let failed = it.does("fail_task", json!({ "task_id": task, "error": "boom" }));
    assert_eq!(failed["status"], "pending");
    let status = it.does("get_task_status", json!({ "task_id": task }));
    assert_eq!(
        (&status["retry_count"], &status["assigned_to"]),
        (&json!(1), &Value::Null)
    );
    it.bench.json(&["task", "retry", &task]);
    it.begin(&task, "ann");
    let failed = it.does(
        "fail_task",
        json!({ "task_id": task, "error": "boom", "should_retry": false }),
    );
    assert_eq!(failed["status"], "failed");
    assert_eq!(it.shown(&task)["state"], "failed");
    assert_eq!(it.shown(&task)["error"], "boom");
}

#[test]
fn queries_filter() {
    let mut it = Classic::new();
    let a = it.create("a", json!({}));
    it.does(
        "create_task",
        json!({ "content": "b", "task_type": "deep analysis" }),
    );
    it.begin(&a, "ann");
    let query = |it: &mut Classic, arguments: Value| {
        let found = it.does("query_tasks", arguments);
        assert_eq!(found["count"], found["tasks"].as_array().unwrap().len());
        found["tasks"].clone()
    };
    assert_eq!(query(&mut it, json!({})).as_array().unwrap().len(), 2);
    assert_eq!(
        query(&mut it, json!({ "status": "running" })),
        json!([{ "id": a, "type": "research", "status": "running", "priority": "medium", "assigned_to": "ann" }])
    );
    assert_eq!(query(&mut it, json!({ "agent_id": "ann" }))[0]["id"], json!(a));
    assert_eq!(
        query(&mut it, json!({ "task_type": "deep analysis" }))[0]["type"],
        "deep-analysis"
    );
    assert_eq!(query(&mut it, json!({ "limit": 1 })).as_array().unwrap().len(), 1);
    assert!(
        it.error("query_tasks", json!({ "status": "runing" }))
            .contains("runing")
    );
}

// proves: SPEC 3.3
#[test]
fn agents_are_registered_measured_and_removed() {
    let mut it = Classic::new();
    let ann = it.does(
        "register_agent",
        json!({ "agent_id": "ann", "capabilities": ["python", "java"] }),
    );
    assert_eq!(
        (&ann["registered"], &ann["capabilities"]),
        (&json!(true), &json!(["java", "python"]))
    );
    assert_eq!(
        it.error("register_agent", json!({ "agent_id": "ann", "capabilities": [] })),
        "Agent ann already registered"
    );
    it.does(
        "register_agent",
        json!({ "agent_id": "bob", "capabilities": ["python"], "max_concurrent": 2 }),
    );
    it.does(
        "register_agent",
        json!({ "agent_id": "cyd", "capabilities": ["javascript"] }),
    );

    for (success, ms) in [(true, 1_000), (true, 1_200), (false, 500)] {
        let told = json!({ "agent_id": "ann", "success": success, "duration_ms": ms });
        assert_eq!(it.does("update_agent_performance", told)["updated"], true);
    }
    let unknown = json!({ "agent_id": "zed", "success": true, "duration_ms": 1 });
    assert_eq!(it.does("update_agent_performance", unknown)["updated"], false);

    let health = it.does("get_agent_health", json!({ "agent_id": "ann" }));
    assert_eq!(
        (&health["total_completed"], &health["total_failed"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        (&health["avg_completion_ms"], &health["max_concurrent"]),
        (&json!(1100.0), &json!(5))
    );
    assert_eq!(health["status"], "degraded");
    assert!((health["success_rate"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9);
    assert_eq!(
        it.does("get_agent_health", json!({ "agent_id": "zed" }))["status"],
        "not_found"
    );
    let all = it.does("get_agent_health", json!({}));
    assert_eq!(all["total_agents"], 3);
    assert_eq!(
        all["skill_distribution"],
        json!({ "java": 1, "javascript": 1, "python": 2 })
    );

    let capable = |it: &mut Classic, needs: Value| {
        let found = it.does("find_capable_agents", json!({ "requirements": needs }));
        let agents = found["capable_agents"].as_array().unwrap().clone();
        assert_eq!(found["count"], agents.len());
        agents
            .iter()
            .map(|agent| agent["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        capable(&mut it, json!(["java"])),
        ["ann"],
        "a name is no part of another"
    );
    assert_eq!(capable(&mut it, json!(["python", "java"])), ["ann"]);
    assert_eq!(capable(&mut it, json!([])), ["ann", "bob", "cyd"]);

    assert_eq!(
        it.does("deregister_agent", json!({ "agent_id": "cyd" }))["deregistered"],
        true
    );
    assert_eq!(
        it.does("deregister_agent", json!({ "agent_id": "cyd" }))["deregistered"],
        false
    );
    assert_eq!(it.does("get_agent_health", json!({}))["total_agents"], 2);
}

#[test]
fn a_removed_agent_hands_its_work_back() {
    let mut it = Classic::new();
    it.does("register_agent", json!({ "agent_id": "ann", "capabilities": [] }));
    let task = it.create("a", json!({}));
    it.begin(&task, "ann");
    it.does("deregister_agent", json!({ "agent_id": "ann" }));
    assert_eq!(it.shown(&task)["state"], "ready");
    assert_eq!(it.shown(&task)["attempts"][0]["outcome"], "released");
}

// proves: SPEC 3.4
#[test]
fn routing_names_the_best_that_has_time() {
    let mut it = Classic::new();
    let task = it.create("a", json!({ "requirements": ["python"] }));
    let route = |it: &mut Classic, arguments: Value| {
        let mut all = json!({ "task_id": task });
        all.as_object_mut()
            .unwrap()
            .extend(arguments.as_object().unwrap().clone());
        it.client.call("orchestration_route_task", all)
    };
    let none = route(&mut it, json!({})).unwrap_err();
    assert_eq!(none["routed"], false);
    assert!(none["error"].as_str().unwrap().contains("No capable agent"));
    for agent in ["ann", "bob"] {
        it.does(
            "register_agent",
            json!({ "agent_id": agent, "capabilities": ["python"], "max_concurrent": 1 }),
        );
    }
    assert_eq!(
        route(&mut it, json!({})).unwrap(),
        json!({ "task_id": task, "selected_agent": "ann", "routed": true })
    );
    assert_eq!(
        route(&mut it, json!({ "exclude_agents": ["ann"] })).unwrap()["selected_agent"],
        "bob"
    );
    let other = it.create("b", json!({}));
    it.begin(&other, "ann");
    assert_eq!(
        route(&mut it, json!({})).unwrap()["selected_agent"],
        "bob",
        "ann is full"
    );
    let full = route(&mut it, json!({ "exclude_agents": ["bob"] })).unwrap_err();
    assert!(full["error"].as_str().unwrap().contains("No available agent"));
}

// proves: SPEC 3.5, SPEC 3.6
#[test]
fn numbers_add_up() {
    let mut it = Classic::new();
    assert_eq!(
        it.does("get_health", json!({}))["status"],
        "healthy",
        "nothing has gone wrong yet"
    );
    assert_eq!(
        it.does("get_recommendations", json!({})),
        json!({ "recommendations": [], "count": 0 })
    );
    let tasks: Vec<String> = (0..4).map(|n| it.create(&n.to_string(), json!({}))).collect();
    it.begin(&tasks[0], "ann");
    it.does(
        "complete_task",
        json!({ "task_id": tasks[0], "result": "x", "metrics": { "duration_ms": 300 } }),
    );
    let metrics = it.does("get_queue_metrics", json!({}));
    assert_eq!(
        metrics,
        json!({ "pending": 3, "assigned": 0, "running": 0, "completed": 1, "failed": 0,
                "success_rate": 1.0, "avg_execution_ms": 300.0, "total": 4 })
    );
    it.begin(&tasks[1], "ann");
    it.does("assign_task", json!({ "task_id": tasks[2], "agent_id": "bob" }));
    assert_eq!(
        it.does("get_routing_stats", json!({})),
        json!({ "total_tasks": 4, "assigned_count": 3, "assignment_rate": 0.75 })
    );
    it.does(
        "fail_task",
        json!({ "task_id": tasks[1], "error": "no", "should_retry": false }),
    );
    let health = it.does("get_health", json!({}));
    assert_eq!(
        health["queue"],
        json!({ "total_tasks": 4, "active_tasks": 1, "success_rate": 0.5 })
    );
    assert_eq!(health["status"], "degraded");
    let advice = it.does("get_recommendations", json!({}));
    assert_eq!(advice["count"], 1);
    assert!(advice["recommendations"][0].as_str().unwrap().contains("50 %"));
}
