//! Mermaid, DOT and JSON.

use draw::{Cluster, Graph, Status, dot, json, mermaid};
use insta::assert_snapshot;

use crate::{edge, graph, hostile, release};

#[test]
fn mermaid_shows_statuses_as_classes() {
    assert_snapshot!(mermaid(&release()), @r#"
---
title: "release"
---
graph LR
  n0["test<br/>3m · high"]
  n1["ship<br/>1m"]
  n2["alert<br/>on failure"]
  n0 ==> n1
  n1 -.->|"failure"| n2
  linkStyle 0 stroke:#2563eb,stroke-width:3px
  classDef blocked fill:#fff5c2,stroke:#d4a72c,color:#1f2328
  class n2 blocked
  classDef running fill:#ffe3c7,stroke:#e8790c,color:#1f2328
  class n1 running
  classDef completed fill:#d2f0d9,stroke:#2a8f47,color:#1f2328
  class n0 completed
  classDef critical stroke:#2563eb,stroke-width:3px
  class n0,n1 critical
"#);
}

#[test]
fn dot_fills_nodes_by_status() {
    assert_snapshot!(dot(&release()), @r##"
digraph "release" {
  label="release" labelloc=t
  rankdir=LR
  node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=11]
  edge [color="#6e7781" fontname="Helvetica" fontsize=9]
  "test" [label="test\n3m · high" fillcolor=green fontcolor=white color="#2563eb" penwidth=2.5]
  "ship" [label="ship\n1m" fillcolor=orange color="#2563eb" penwidth=2.5]
  "alert" [label="alert\non failure" fillcolor=yellow]
  "test" -> "ship" [color="#2563eb" penwidth=2.5]
  "ship" -> "alert" [style=dashed label="failure"]
}
"##);
}

#[test]
fn json_names_nodes_by_id() {
    assert_snapshot!(serde_json::to_string_pretty(&json(&release())).unwrap(), @r#"
{
  "clusters": [],
  "edges": [
    {
      "back": false,
      "critical": true,
      "from": "test",
      "style": "solid",
      "to": "ship"
    },
    {
      "back": false,
      "critical": false,
      "from": "ship",
      "label": "failure",
      "style": "dashed",
      "to": "alert"
    }
  ],
  "nodes": [
    {
      "critical": true,
      "id": "test",
      "label": "test",
      "status": "completed",
      "sublabel": "3m · high"
    },
    {
      "critical": true,
      "id": "ship",
      "label": "ship",
      "status": "running",
      "sublabel": "1m"
    },
    {
      "critical": false,
      "id": "alert",
      "label": "alert",
      "status": "blocked",
      "sublabel": "on failure"
    }
  ],
  "title": "release"
}
"#);
}

#[test]
fn clusters_hold_each_node_once() {
    let mut graph = graph(4, [(0, 1), (2, 3), (0, 1)]);
    graph.clusters = vec![
        Cluster {
            label: "src/a".to_owned(),
            nodes: vec![1, 1, 2],
        },
        Cluster {
            label: "src/b".to_owned(),
            nodes: vec![2, 3],
        },
    ];
    graph.edges[2].back = true;
    assert_snapshot!(mermaid(&graph), @r#"
graph LR
  subgraph c0["src/a"]
    n1["t1"]
    n2["t2"]
  end
  subgraph c1["src/b"]
    n3["t3"]
  end
  n0["t0"]
  n0 --> n1
  n2 --> n3
  n0 --> n1
"#);
    assert_snapshot!(dot(&graph), @r##"
digraph "graph" {
  rankdir=LR
  node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=11]
  edge [color="#6e7781" fontname="Helvetica" fontsize=9]
  "t0" [label="t0" fillcolor=white]
  "t1" [label="t1" fillcolor=white]
  "t2" [label="t2" fillcolor=white]
  "t3" [label="t3" fillcolor=white]
  subgraph cluster_0 {
    label="src/a" color="#afb8c1"
    "t1"
    "t2"
  }
  subgraph cluster_1 {
    label="src/b" color="#afb8c1"
    "t3"
  }
  "t0" -> "t1"
  "t2" -> "t3"
  "t0" -> "t1" [constraint=false color="#c2410c"]
}
"##);
}

#[test]
fn hostile_texts_stay_in_their_quotes() {
    assert_snapshot!(mermaid(&hostile()), @r##"
---
title: "</text></svg><script>alert(1)</script>\"]; evil --> n0[\"ab[31mc\\\" onload=\\\"x]]> <!-- & &amp; #quot; `md` --日本語のとても長い名前のタスクです、はい"
---
graph LR
  subgraph c0["#60;/text#62;#60;/svg#62;#60;script#62;alert(1)#60;/script#62;#34;]; evil --#62; n0[#34;ab[31mc#92;#34; onload=#92;#34;x]]#62; #60;!-- #38; #38;amp; #35;quot; #96;md#96; --日本語のとても長い名前のタスクです、はい"]
    n0["#60;/text#62;#60;/svg#62;#60;script#62;alert(1)#60;/script#62;<br/>#60;/text#62;#60;/svg#62;#60;script#62;alert(1)#60;/script#62;"]
    n2["ab[31mc<br/>ab[31mc"]
  end
  n1["#34;]; evil --#62; n0[#34;<br/>#34;]; evil --#62; n0[#34;"]
  n3["#92;#34; onload=#92;#34;x<br/>#92;#34; onload=#92;#34;x"]
  n4["]]#62; #60;!-- #38; #38;amp; #35;quot; #96;md#96; --<br/>]]#62; #60;!-- #38; #38;amp; #35;quot; #96;md#96; --"]
  n5["日本語のとても長い名前のタスクです、はい<br/>日本語のとても長い名前のタスクです、はい"]
  n6[" "]
  n0 -->|"#60;/text#62;#60;/svg#62;#60;script#62;alert(1)#60;/script#62;"| n1
  n1 -->|"#34;]; evil --#62; n0[#34;"| n2
  n2 -->|"ab[31mc"| n0
  n3 -->|"#92;#34; onload=#92;#34;x"| n3
  n4 --> n5
"##);
    assert_snapshot!(dot(&hostile()), @r##"
digraph "</text></svg><script>alert(1)</script>\"]; evil --> n0[\"ab[31mc\\\" onload=\\\"x]]> <!-- & &amp; #quot; `md` --日本語のとても長い名前のタスクです、はい" {
  label="</text></svg><script>alert(1)</script>\"]; evil --> n0[\"ab[31mc\\\" onload=\\\"x]]> <!-- & &amp; #quot; `md` --日本語のとても長い名前のタスクです、はい" labelloc=t
  rankdir=LR
  node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=11]
  edge [color="#6e7781" fontname="Helvetica" fontsize=9]
  "</text></svg><script>alert(1)</script>t0" [label="</text></svg><script>alert(1)</script>\n</text></svg><script>alert(1)</script>" fillcolor=white tooltip="</text></svg><script>alert(1)</script>"]
  "\"]; evil --> n0[\"t1" [label="\"]; evil --> n0[\"\n\"]; evil --> n0[\"" fillcolor=white tooltip="\"]; evil --> n0[\""]
  "ab[31mct2" [label="ab[31mc\nab[31mc" fillcolor=white tooltip="ab[31mc"]
  "\\\" onload=\\\"xt3" [label="\\\" onload=\\\"x\n\\\" onload=\\\"x" fillcolor=white tooltip="\\\" onload=\\\"x"]
  "]]> <!-- & &amp; #quot; `md` --t4" [label="]]> <!-- & &amp; #quot; `md` --\n]]> <!-- & &amp; #quot; `md` --" fillcolor=white tooltip="]]> <!-- & &amp; #quot; `md` --"]
  "日本語のとても長い名前のタスクです、はいt5" [label="日本語のとても長い名前のタスクです、はい\n日本語のとても長い名前のタスクです、はい" fillcolor=white tooltip="日本語のとても長い名前のタスクです、はい"]
  "t6" [label="" fillcolor=white tooltip=""]
  subgraph cluster_0 {
    label="</text></svg><script>alert(1)</script>\"]; evil --> n0[\"ab[31mc\\\" onload=\\\"x]]> <!-- & &amp; #quot; `md` --日本語のとても長い名前のタスクです、はい" color="#afb8c1"
    "</text></svg><script>alert(1)</script>t0"
    "ab[31mct2"
  }
  "</text></svg><script>alert(1)</script>t0" -> "\"]; evil --> n0[\"t1" [label="</text></svg><script>alert(1)</script>"]
  "\"]; evil --> n0[\"t1" -> "ab[31mct2" [label="\"]; evil --> n0[\""]
  "ab[31mct2" -> "</text></svg><script>alert(1)</script>t0" [label="ab[31mc"]
  "\\\" onload=\\\"xt3" -> "\\\" onload=\\\"xt3" [label="\\\" onload=\\\"x"]
  "]]> <!-- & &amp; #quot; `md` --t4" -> "日本語のとても長い名前のタスクです、はいt5"
}
"##);
}

#[test]
fn nothing_is_drawn_of_nothing() {
    assert_eq!(mermaid(&Graph::default()), "graph LR\n");
    assert_eq!(
        json(&Graph::default()).to_string(),
        r#"{"clusters":[],"edges":[],"nodes":[]}"#
    );
}

#[test]
fn repeated_edges_are_one_and_stay_critical() {
    let mut graph = graph(2, []);
    graph.edges = vec![
        edge(0, 1),
        draw::Edge {
            critical: true,
            ..edge(0, 1)
        },
        edge(0, 1),
    ];
    assert_eq!(mermaid(&graph).matches("==>").count(), 1);
    assert_eq!(dot(&graph).matches("->").count(), 1);
}

#[test]
fn dot_has_the_agreed_colours() {
    let colours = [
        (Status::Pending, "lightblue"),
        (Status::Blocked, "yellow"),
        (Status::Ready, "lightgreen"),
        (Status::Running, "orange"),
        (Status::Completed, "green"),
        (Status::Failed, "red"),
        (Status::Cancelled, "gray"),
    ];
    for (status, colour) in colours {
        let mut graph = graph(1, []);
        graph.nodes[0].status = status;
        assert!(dot(&graph).contains(&format!("fillcolor={colour}")), "{status:?}");
    }
}
