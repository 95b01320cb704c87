//! SVG: well formed whatever it is given, and bounded.

use draw::{Cluster, Graph, Status, svg};
use insta::assert_snapshot;

use crate::xml::elements;
use crate::{edge, graph, hostile, release};

const BYTES_MAX: usize = 3_000_000;

/// Checks the document, returns how often each of the given texts occurs.
fn check<const N: usize>(graph: &Graph, texts: [&str; N]) -> [usize; N] {
    let document = svg(graph);
    let names = elements(&document);
    assert_eq!(names[0], "svg");
    assert!(
        !names
            .iter()
            .any(|name| name == "script" || name == "image" || name == "foreignObject")
    );
    assert!(document.len() < BYTES_MAX, "{} bytes", document.len());
    assert!(
        !document.contains("NaN") && !document.contains("inf"),
        "a coordinate without a value"
    );
    assert_eq!(document, svg(graph), "drawn differently the second time");
    texts.map(|text| document.matches(text).count())
}

#[test]
fn a_small_plan() {
    let document = svg(&release());
    elements(&document);
    let (_, drawn) = document.split_once("</defs>\n").unwrap();
    assert_snapshot!(drawn, @r##"
<rect class="page" width="100%" height="100%"/>
<g transform="translate(28 28)">
<text class="title" y="15">release</text>
<text class="legend" y="37">3 tasks · 2 edges · 2 on the critical path</text>
<g transform="translate(0 64)"><use class="blocked" href="#bell-blocked" x="7"/><text class="legend" x="18" y="4.2">blocked 1</text></g>
<g transform="translate(95.3 64)"><use class="running" href="#bell-running" x="7"/><text class="legend" x="18" y="4.2">running 1</text></g>
<g transform="translate(188.4 64)"><use class="completed" href="#bell-completed" x="7"/><text class="legend" x="18" y="4.2">completed 1</text></g>
<g transform="translate(299.8 64)"><path class="wire critical" d="M0 0H28"/><text class="legend" x="34" y="4.2">critical path</text></g>
<g transform="translate(0 86)"><path class="wire dashed" d="M0 0H28"/><text class="legend" x="34" y="4.2">conditional</text></g>
</g>
<g transform="translate(28 144)">
<path class="wire dashed" d="M266 25H352" marker-end="url(#bell-head-plain)"/>
<path class="wire critical" d="M105 25H155" marker-end="url(#bell-head-critical)"/>
<g class="completed critical" transform="translate(0 0)"><title>test
completed · 3m · high
on the critical path</title><rect class="card" width="105" height="50" rx="9"/><rect class="stripe" x="4" y="9" width="3.5" height="32" rx="1.7"/><use href="#bell-completed" x="22" y="25"/><text class="label" x="36" y="21">test</text><text class="sub" x="36" y="38">3m · high</text></g>
<g class="running critical" transform="translate(161 0)"><title>ship
running · 1m
on the critical path</title><rect class="card" width="105" height="50" rx="9"/><rect class="stripe" x="4" y="9" width="3.5" height="32" rx="1.7"/><use href="#bell-running" x="22" y="25"/><text class="label" x="36" y="21">ship</text><text class="sub" x="36" y="38">1m</text></g>
<g class="blocked" transform="translate(358 0)"><title>alert
blocked · on failure</title><rect class="card" width="105" height="50" rx="9"/><rect class="stripe" x="4" y="9" width="3.5" height="32" rx="1.7"/><use href="#bell-blocked" x="22" y="25"/><text class="label" x="36" y="21">alert</text><text class="sub" x="36" y="38">on failure</text></g>
<rect class="tag-back" x="286.5" y="17" width="44.9" height="16" rx="4"/><text class="tag" x="309" y="28.8" text-anchor="middle">failure</text>
</g>
</svg>
"##);
}

#[test]
fn every_text_is_escaped() {
    check(&hostile(), []);
    assert!(!svg(&hostile()).contains('\u{202e}'));
}

#[test]
fn odd_graphs() {
    assert_eq!(check(&Graph::default(), ["0 tasks · 0 edges"]), [3]);
    assert_eq!(check(&graph(1, []), ["class=\"card\""]), [1]);
    assert_eq!(check(&graph(1, [(0, 0)]), ["#bell-head-cycle"]), [1]);
    assert_eq!(
        check(
            &graph(2, [(0, 1), (1, 0)]),
            ["class=\"wire\" d", "#bell-head-cycle"]
        ),
        [1, 1]
    );
    assert_eq!(
        check(&graph(2, [(0, 1), (0, 1), (7, 1)]), ["class=\"wire\" d"]),
        [1]
    );
}

#[test]
fn the_legend_names_only_what_occurs() {
    let texts = [
        "completed 1<",
        "failed",
        ">critical path</text>",
        "conditional</text>",
        "closes a cycle</text>",
    ];
    assert_eq!(check(&release(), texts), [1, 0, 1, 1, 0]);
}

#[test]
fn up_to_150_nodes_are_full_cards_and_up_to_2000_compact_ones() {
    let with_sublabels = |nodes| {
        let mut graph = graph(nodes, (1..nodes).map(|to| ((to - 1) / 3, to)));
        graph
            .nodes
            .iter_mut()
            .for_each(|node| node.sublabel = Some("1m".to_owned()));
        graph
    };
    assert_eq!(
        check(&with_sublabels(150), ["class=\"card\"", "class=\"sub\""]),
        [150, 150]
    );
    assert_eq!(
        check(&with_sublabels(151), ["class=\"card\"", "class=\"sub\""]),
        [151, 0]
    );
    assert_eq!(check(&with_sublabels(2_000), ["class=\"card\""]), [2_000]);
}

#[test]
fn large_graphs_are_folded_by_layer() {
    let mut fan = graph(
        5_002,
        (1..=5_000).flat_map(|middle| [(0, middle), (middle, 5_001)]),
    );
    fan.nodes[7].status = Status::Failed;
    let texts = [
        "class=\"card\"",
        ">layer 2<",
        ">5,000 tasks<",
        ">t5001</text>",
        "shown as 3 boxes</text>",
        "share failed",
    ];
    assert_eq!(check(&fan, texts), [3, 1, 1, 1, 1, 1]);
    let chain = graph(100_000, (1..100_000).map(|to| (to - 1, to)));
    assert_eq!(check(&chain, ["class=\"card\"", ">layers 1–1,667<"]), [60, 1]);
}

#[test]
fn large_graphs_with_clusters_are_folded_by_cluster() {
    let mut files = graph(3_000, (1..3_000).map(|to| (to - 1, to)));
    files.noun = Some("file".to_owned());
    files.clusters = (0..100)
        .map(|folder| Cluster {
            label: format!("src/{folder}"),
            nodes: (folder * 29..folder * 29 + 29).collect(),
        })
        .collect();
    let texts = ["class=\"card\"", ">src/3<", ">29 files<", ">42 more groups<"];
    let [cards, folder, files, rest] = check(&files, texts);
    assert_eq!((cards, folder, rest), (60, 1, 1));
    assert_eq!(files, 58);
}

#[test]
fn tangled_graphs_are_folded_too() {
    // Few nodes and edges, but nearly every edge crosses nearly every layer.
    let mut tangle = graph(1_500, (1..1_500).map(|to| (to - 1, to)));
    tangle.edges.extend((0..600).map(|from| draw::Edge {
        back: true,
        ..edge(1_499 - from, from)
    }));
    let [cards] = check(&tangle, ["class=\"card\""]);
    assert!(cards <= 60, "{cards}");
}

#[test]
fn the_worst_texts_keep_to_the_bound() {
    let mut graph = graph(
        2_000,
        (1..8_001).map(|edge| (edge * 7 % 1_000, 1_000 + edge * 13 % 1_000)),
    );
    for node in &mut graph.nodes {
        let long = "\"'&<>".repeat(2_000);
        (node.label, node.sublabel, node.tooltip) = (long.clone(), Some(long.clone()), Some(long));
    }
    graph
        .edges
        .iter_mut()
        .for_each(|edge| edge.label = Some("&".repeat(1_000)));
    graph.title = Some("&".repeat(100_000));
    graph.noun = Some("&".repeat(1_000));
    graph.clusters = vec![Cluster {
        label: "<".repeat(100_000),
        nodes: (0..500).collect(),
    }];
    check(&graph, []);
}

#[test]
fn a_million_nodes_make_a_small_picture() {
    let width = 1_000;
    let edges = (width..1_000 * width)
        .flat_map(|to| (0..3).map(move |near| ((to / width - 1) * width + (to + near * 7) % width, to)));
    let texts = ["class=\"card\"", "1,000,000 tasks · 2,997,000 edges"];
    let [cards, _] = check(&graph(1_000 * width, edges), texts);
    assert!(cards <= 60);
}
