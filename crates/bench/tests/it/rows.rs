use bench::{Options, Report};

fn tiny(store: &str) -> Options {
    Options {
        store: Some(store.to_owned()),
        quick: true,
        samples: Some(2),
        at_most: Some(40),
        ..Options::default()
    }
}

fn check(report: &Report, missing: &[&str]) {
    let measured: Vec<&str> = report.rows.iter().map(|row| row.name).collect();
    let asked: Vec<&str> = bench::names().filter(|name| !missing.contains(name)).collect();
    assert_eq!(measured, asked, "every row of the catalogue, in its order");
    for row in &report.rows {
        let figures = [Some(row.value), row.p50_ms, row.p99_ms, row.raw, row.ratio];
        assert!(
            figures.into_iter().flatten().all(f64::is_finite),
            "{} has a figure that is none: {row:?}",
            row.name
        );
        assert!(
            row.n > 0 && row.batch > 0 && !row.workload.is_empty() && !row.spec.is_empty(),
            "{row:?}"
        );
    }
    let table = report.to_string();
    let json = serde_json::to_value(report).unwrap();
    for name in asked {
        assert!(table.contains(name), "the table lacks {name}");
    }
    assert_eq!(json["rows"].as_array().unwrap().len(), measured.len());
    assert!(json["machine"]["fsync_us"].as_f64().unwrap() > 0.0);
}

/// A queue of at most forty tasks has no longer lengths to compare.
const LONGER: [&str; 8] = [
    "cost_10k",
    "cost_100k",
    "cost_1m",
    "cost_growth",
    "cost_random_10k",
    "cost_random_100k",
    "cost_random_1m",
    "cost_random_growth",
];

// proves: SPEC 1.8, DESIGN 14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_measured_in_memory() {
    let mut told = Vec::new();
    let report = bench::run(tiny("memory:"), &mut |line| told.push(line.to_owned()))
        .await
        .unwrap();
    // Without a disk there is nothing to compare with.
    check(&report, &[&LONGER[..], &["enqueue_bulk_table"]].concat());
    assert!(
        report
            .rows
            .iter()
            .all(|row| row.name != "drain" || row.raw.is_none())
    );
    assert!(told[0].contains(" s left"), "{told:?}");
}

// proves: SPEC 1.8, DESIGN 14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_measured_on_a_disk_beside_the_raw_limit() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("mine.db").display());
    let report = bench::run(tiny(&url), &mut |_| {}).await.unwrap();
    check(&report, &LONGER);
    for name in [
        "enqueue_single",
        "enqueue_bulk",
        "drain",
        "drain_10",
        "drain_1000",
        "start_latency",
        "dag_10000",
    ] {
        let row = report.rows.iter().find(|row| row.name == name).unwrap();
        assert!(row.raw.is_some() && row.ratio.is_some(), "{row:?}");
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "neither a store nor a scratch file is left behind");
}

#[tokio::test]
async fn a_name_that_fits_nothing_is_refused_with_the_names_there_are() {
    let options = Options {
        only: vec!["enqeue".into()],
        ..tiny("memory:")
    };
    let refusal = bench::run(options, &mut |_| {}).await.unwrap_err();
    assert!(refusal.help.unwrap().contains("enqueue_single"));
}

#[tokio::test]
async fn rows_can_be_asked_for_by_name_or_part_of_it() {
    let options = Options {
        only: vec!["depth_10".into(), "topological".into()],
        ..tiny("memory:")
    };
    let report = bench::run(options, &mut |_| {}).await.unwrap();
    let names: Vec<&str> = report.rows.iter().map(|row| row.name).collect();
    assert_eq!(
        names,
        ["topological_sort_100", "topological_sort_1000", "depth_10"]
    );
}

// proves: DESIGN 14
#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_measured_beside_its_own_raw_loop_and_left_as_it_was() {
    for server in [rig::postgres::shared(), rig::redis::shared()] {
        let options = Options {
            accept_volatile: true,
            only: ["enqueue_single", "enqueue_bulk", "drain_10"]
                .map(str::to_owned)
                .into(),
            ..tiny(&server)
        };
        let report = bench::run(options, &mut |_| {}).await.unwrap();
        assert_eq!(report.rows.len(), 3);
        let kept = match &*report.store {
            "redis" => "relaxed",
            _ => "full",
        };
        assert_eq!(
            report.durability, kept,
            "what the server does, not what was asked for"
        );
        for row in &report.rows {
            assert!(row.raw.is_some() && row.ratio.is_some(), "{row:?}");
        }
        assert!(server.starts_with(&report.store));
    }
    let mine = format!("bench_{}_", std::process::id());
    let schemas = format!("SELECT count(*) FROM pg_namespace WHERE nspname LIKE '{mine}%'");
    assert_eq!(
        rig::postgres::sql_at(&rig::postgres::shared(), &schemas).unwrap(),
        "0"
    );
    let keys = rig::redis::command_at(&rig::redis::shared(), &["KEYS", &format!("*{mine}*")]);
    assert_eq!(keys.unwrap(), "*0\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_through_a_server_is_told_by_tenths() {
    for server in [rig::postgres::shared(), rig::redis::shared()] {
        let options = Options {
            accept_volatile: true,
            ..tiny(&server)
        };
        let mut told = 0;
        let churned = bench::churn(options, 5_000, &mut |_| told += 1).await.unwrap();
        assert_eq!((told, churned.slices.len()), (10, 10));
        let last = churned.slices.last().unwrap();
        assert_eq!(last.done, 5_000);
        assert_eq!(last.hot_bytes.is_some(), server.starts_with("postgres"));
    }
    assert!(bench::churn(tiny("memory:"), 5_000, &mut |_| {}).await.is_err());
}
