//! The measurements of the last hour, so many of each type, and what they come to.

use std::collections::VecDeque;
use std::time::Duration;

use api::time::Time;
use domain::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::metric::{Metric, MetricType};

/// Of one type.
pub(super) const WINDOW: usize = 100;
const RETENTION: Duration = Duration::from_secs(3_600);

#[derive(Debug, Default)]
pub(super) struct Collector {
    kept: [VecDeque<Metric>; MetricType::ALL.len()],
}

/// What the kept measurements of a type come to. What does not apply to the type is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Aggregate {
    pub(crate) metric_type: MetricType,
    pub(crate) count: usize,
    pub(crate) latest: Option<Value>,
    pub(crate) updated_at: Option<Time>,
    /// Milliseconds.
    pub(crate) avg_latency: Option<f64>,
    pub(crate) p50_latency: Option<f64>,
    pub(crate) p95_latency: Option<f64>,
    pub(crate) total_success: Option<u64>,
    pub(crate) total_errors: Option<u64>,
    pub(crate) error_rate: Option<f64>,
    pub(crate) current_depth: Option<f64>,
    pub(crate) avg_depth: Option<f64>,
    pub(crate) peak_depth: Option<f64>,
}

impl Collector {
    pub(super) fn keep(&mut self, metric: Metric) {
        let now = metric.timestamp;
        let kept = &mut self.kept[metric.metric_type as usize];
        kept.push_back(metric);
        while kept.len() > WINDOW {
            kept.pop_front();
        }
        forget(kept, now);
    }

    pub(super) fn count(&self) -> usize {
        self.kept.iter().map(VecDeque::len).sum()
    }

    pub(super) fn aggregates(&mut self, now: Timestamp) -> Vec<Aggregate> {
        let aggregate = |metric_type: MetricType| {
            let kept = &mut self.kept[metric_type as usize];
            forget(kept, now);
            aggregate(metric_type, kept)
        };
        MetricType::ALL.into_iter().map(aggregate).collect()
    }
}

fn forget(kept: &mut VecDeque<Metric>, now: Timestamp) {
    while kept
        .front()
        .is_some_and(|oldest| now.since(oldest.timestamp) > RETENTION)
    {
        kept.pop_front();
    }
}

fn aggregate(metric_type: MetricType, kept: &VecDeque<Metric>) -> Aggregate {
    let numbers = |name: &str| -> Vec<f64> {
        let number = |metric: &Metric| metric.data[name].as_f64();
        kept.iter().filter_map(number).collect()
    };
    let mut told = Aggregate {
        metric_type,
        count: kept.len(),
        latest: kept.back().map(|metric| metric.data.clone()),
        updated_at: kept.back().map(|metric| Time(metric.timestamp)),
        avg_latency: None,
        p50_latency: None,
        p95_latency: None,
        total_success: None,
        total_errors: None,
        error_rate: None,
        current_depth: None,
        avg_depth: None,
        peak_depth: None,
    };
    match metric_type {
        MetricType::Performance => {
            let mut latencies = numbers("latency");
            latencies.sort_by(f64::total_cmp);
            told.avg_latency = mean(&latencies);
            told.p50_latency = rank(&latencies, 50);
            told.p95_latency = rank(&latencies, 95);
            let sum = |name: &str| numbers(name).iter().sum::<f64>().round() as u64;
            let (success, errors) = (sum("success_count"), sum("error_count"));
            told.total_success = Some(success);
            told.total_errors = Some(errors);
            let all = success + errors;
            told.error_rate = (all > 0).then(|| errors as f64 / all as f64);
        }
        MetricType::QueueStatus => {
            let depths = numbers("depth");
            told.current_depth = depths.last().copied();
            told.avg_depth = mean(&depths);
            told.peak_depth = depths.iter().copied().max_by(f64::total_cmp);
        }
        _ => {}
    }
    told
}

fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// The nearest rank of a percentile, among numbers in order.
fn rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn performance(latency: f64, success: u64, errors: u64, at: i64) -> Metric {
        let data = json!({"latency": latency, "success_count": success, "error_count": errors});
        Metric::new(MetricType::Performance, Timestamp(at), data)
    }

    fn of(collector: &mut Collector, metric_type: MetricType, now: i64) -> Aggregate {
        collector.aggregates(Timestamp(now)).remove(metric_type as usize)
    }

    // proves: SPEC 5.10
    #[test]
    fn latencies_come_to_mean_and_ranks() {
        let mut collector = Collector::default();
        for latency in [100.0, 150.0, 200.0, 120.0, 180.0] {
            collector.keep(performance(latency, 10, 2, 0));
        }
        let told = of(&mut collector, MetricType::Performance, 0);
        assert_eq!(
            (told.avg_latency, told.p50_latency, told.p95_latency),
            (Some(150.0), Some(150.0), Some(200.0))
        );
        assert_eq!((told.total_success, told.total_errors), (Some(50), Some(10)));
        assert!((told.error_rate.unwrap() - 0.1667).abs() < 0.0001);
        assert_eq!(told.count, 5);
        assert_eq!(of(&mut collector, MetricType::Error, 0).count, 0);
    }

    #[test]
    fn depths_come_to_now_mean_and_peak() {
        let mut collector = Collector::default();
        for depth in [5, 15, 10] {
            let data = json!({"depth": depth});
            collector.keep(Metric::new(MetricType::QueueStatus, Timestamp(0), data));
        }
        let told = of(&mut collector, MetricType::QueueStatus, 0);
        assert_eq!(
            (told.current_depth, told.avg_depth, told.peak_depth),
            (Some(10.0), Some(10.0), Some(15.0))
        );
    }

    #[test]
    fn window_and_retention_drop_the_oldest() {
        let mut collector = Collector::default();
        for n in 0..150 {
            collector.keep(performance(f64::from(n), 1, 0, i64::from(n)));
        }
        let told = of(&mut collector, MetricType::Performance, 150);
        assert_eq!((told.count, told.p50_latency), (100, Some(99.0)));
        let hour = 3_600_000;
        assert_eq!(of(&mut collector, MetricType::Performance, hour + 100).count, 50);
        assert_eq!(of(&mut collector, MetricType::Performance, 2 * hour).count, 0);
    }
}
