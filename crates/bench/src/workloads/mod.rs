//! The workloads, one file per subject.

mod agent;
mod graphs;
mod queue;
mod scale;
mod service;
mod system;
mod workers;

use std::future::Future;
use std::pin::Pin;

use crate::bed::Result;
use crate::lab::Lab;
use crate::report::Row;

pub(crate) struct Workload {
    /// The rows that it makes, the first one standing for all.
    pub(crate) rows: &'static [&'static str],
    /// Roughly how long it takes, in full and quick, for telling how long there is still to wait.
    estimate: (f64, f64),
    pub(crate) run: for<'a> fn(&'a Lab) -> Measuring<'a>,
}

type Measuring<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>>> + 'a>>;

impl Workload {
    pub(crate) fn seconds(&self, quick: bool) -> f64 {
        if quick { self.estimate.1 } else { self.estimate.0 }
    }
}

macro_rules! workloads {
    ($($run:path, $full:literal, $quick:literal: $($row:literal)+;)*) => {
        &[$(Workload {
            rows: &[$($row),+],
            estimate: ($full, $quick),
            run: |lab| Box::pin($run(lab)),
        }),*]
    };
}

/// In the order of the report. What tells of memory comes first, before the process has grown for other reasons.
pub(crate) const ALL: &[Workload] = workloads! {
    scale::first_in_first_out, 60.0, 8.0: "memory_1m" "cost_1k" "cost_10k" "cost_100k" "cost_1m" "cost_growth";
    scale::random_scores, 90.0, 10.0: "cost_random_1k" "cost_random_10k" "cost_random_100k" "cost_random_1m"
        "cost_random_growth";
    system::memory_10000, 3.0, 3.0: "memory_10000" "memory_growth_10000";
    system::memory_cycles, 2.0, 2.0: "memory_cycles";
    graphs::plan_1m, 3.0, 3.0: "plan_1m";
    queue::enqueue_single, 2.0, 1.0: "enqueue_single";
    queue::enqueue_bulk, 6.0, 3.0: "enqueue_bulk" "enqueue_bulk_table";
    queue::drain, 6.0, 3.0: "drain";
    queue::drain_10, 6.0, 3.0: "drain_10";
    queue::drain_1000, 8.0, 3.0: "drain_1000";
    workers::start_latency, 6.0, 2.0: "start_latency" "start_latency_beyond";
    workers::dag_1000, 2.0, 1.0: "dag_1000";
    workers::dag_10000, 12.0, 4.0: "dag_10000" "dag_10000_wide";
    workers::commands, 60.0, 6.0: "commands_10000";
    service::enqueue_with_deps, 0.5, 0.5: "enqueue_with_deps";
    service::enqueue_throughput, 0.3, 0.3: "enqueue_throughput";
    service::get_next, 1.0, 1.0: "get_next_task" "get_next_large_queue";
    service::complete_no_deps, 0.5, 0.5: "complete_no_deps";
    service::cascades, 2.0, 2.0: "complete_cascade" "fail_cascade" "cancel_cascade";
    service::status, 0.5, 0.5: "queue_status" "queue_status_1000" "queue_status_large";
    service::execution_plan, 0.5, 0.5: "execution_plan" "execution_plan_complex";
    service::full_workflow, 0.5, 0.5: "full_workflow_throughput";
    service::scalability, 1.0, 1.0: "scalability_1000_enqueue" "scalability_1000_status" "scalability_1000_dequeue";
    service::levels, 0.5, 0.5: "cascade_10x5";
    graphs::cycle_check, 0.1, 0.1: "cycle_check_chain" "cycle_check_random";
    graphs::sorts, 0.1, 0.1: "topological_sort_100" "topological_sort_1000" "depth_10" "graph_build_50"
        "graph_build_1000";
    graphs::scores, 0.1, 0.1: "score_single" "score_batch_100" "score_blocking_50";
    system::enqueue_10000, 1.0, 1.0: "enqueue_10000";
    system::workers_10, 2.0, 2.0: "workers_10";
    system::workers_100, 5.0, 2.0: "workers_100";
    system::dequeue_p99, 0.5, 0.5: "dequeue_p99";
    system::mixed_1000, 1.5, 1.5: "mixed_1000";
    system::writes_100, 0.2, 0.2: "concurrent_writes_100";
    system::chains, 2.0, 2.0: "chains_10x100";
    agent::single_calls, 2.0, 2.0: "mcp_enqueue" "mcp_enqueue_5" "mcp_get" "mcp_next" "mcp_list_50";
    agent::status, 1.0, 1.0: "mcp_status_100" "mcp_status_500" "mcp_status_1000" "mcp_status_5000";
    agent::cancel, 1.0, 1.0: "mcp_cancel_10";
    agent::plan, 0.5, 0.5: "mcp_plan_100";
    agent::rates, 2.0, 2.0: "mcp_enqueue_rate" "mcp_query_rate" "mcp_agents_50x5" "mcp_dequeue_concurrent" "mcp_mixed";
    agent::depths, 0.3, 0.3: "mcp_depth_10" "mcp_depth_20" "mcp_depth_50";
};
