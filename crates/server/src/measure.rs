//! What is measured for monitoring: names, units and what they mean, in one table; and the text that is scraped.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::event::Kind;
use domain::id::Project;
use domain::store::Status;
use domain::task::state::State;

/// A metric as it is scraped. Labels are names of states, events, classes of answers and projects, so their number is
/// bounded; see [`crate::keep`] for projects.
#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) name: &'static str,
    kind: &'static str,
    help: &'static str,
}

const fn name(name: &'static str, kind: &'static str, help: &'static str) -> Name {
    Name { name, kind, help }
}

pub(crate) const TASKS: Name = name("bellwether_tasks", "gauge", "Tasks by project and state.");
pub(crate) const DEAD_LETTERS: Name = name(
    "bellwether_dead_letters",
    "gauge",
    "Failed tasks that somebody should look at.",
);
pub(crate) const OLDEST: Name = name(
    "bellwether_oldest_pending_timestamp_seconds",
    "gauge",
    "When the first task that waits for others was handed in.",
);
pub(crate) const LAST_EVENT: Name = name(
    "bellwether_log_events_total",
    "counter",
    "Events in the log of a project.",
);
pub(crate) const EVENTS: Name = name(
    "bellwether_events_total",
    "counter",
    "Events that this server has seen, by type.",
);
pub(crate) const WAIT: Name = name(
    "bellwether_task_wait_seconds",
    "histogram",
    "From when a task might run to the start of its last attempt.",
);
pub(crate) const RUN: Name = name(
    "bellwether_task_run_seconds",
    "histogram",
    "From the start of an attempt to its end.",
);
pub(crate) const END_TO_END: Name = name(
    "bellwether_task_end_to_end_seconds",
    "histogram",
    "From handing a task in to its end.",
);
pub(crate) const REQUESTS: Name = name(
    "bellwether_http_requests_total",
    "counter",
    "Requests that were answered, by class of the answer's status.",
);
pub(crate) const REQUEST: Name = name(
    "bellwether_http_request_seconds",
    "histogram",
    "From a request to its answer, what it was asked to wait included.",
);
pub(crate) const UNDER_WAY: Name = name(
    "bellwether_http_requests_under_way",
    "gauge",
    "Requests that are not answered yet.",
);
pub(crate) const CONNECTIONS: Name = name(
    "bellwether_stream_connections",
    "gauge",
    "Connections that listen to the stream.",
);
pub(crate) const UP: Name = name(
    "bellwether_ready",
    "gauge",
    "1 while every part of the server works; see /readyz.",
);
pub(crate) const UNREAD: Name = name(
    "bellwether_store_errors",
    "gauge",
    "Projects whose state could not be read for this scrape.",
);

pub(crate) const DEGRADED: Name = name(
    "bellwether_degraded",
    "gauge",
    "1 while twice as much waits as this server works on at the same time.",
);

pub(crate) const OPEN: Name = name(
    "bellwether_http_connections",
    "gauge",
    "Connections that are open.",
);
pub(crate) const SPANS: Name = name(
    "bellwether_trace_spans_total",
    "counter",
    "Spans that the collector of traces has taken.",
);
pub(crate) const SPANS_DROPPED: Name = name(
    "bellwether_trace_spans_dropped_total",
    "counter",
    "Spans that were left out: there was no room, or the collector did not take them.",
);

/// Every one of them.
#[cfg(test)]
pub(crate) const ALL: [&Name; 18] = [
    &TASKS,
    &DEAD_LETTERS,
    &OLDEST,
    &LAST_EVENT,
    &EVENTS,
    &WAIT,
    &RUN,
    &END_TO_END,
    &REQUESTS,
    &REQUEST,
    &UNDER_WAY,
    &CONNECTIONS,
    &UP,
    &UNREAD,
    &DEGRADED,
    &OPEN,
    &SPANS,
    &SPANS_DROPPED,
];

/// From a millisecond to a day, in milliseconds.
const BOUNDS: [u64; 16] = [
    1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000,
    86_400_000,
];

#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// The last one holds what is beyond all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    pub(crate) fn observe(&self, span: Duration) {
        let at = BOUNDS.partition_point(|bound| Duration::from_millis(*bound) < span);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Histogram {
    /// How many there were, and their sum.
    pub(crate) fn total(&self) -> (u64, Duration) {
        let count = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .sum();
        (count, Duration::from_micros(self.micros.load(Ordering::Relaxed)))
    }
}

type OfMeasured = fn(&Measured) -> &Histogram;

/// What was seen of one project.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) wait: Histogram,
    pub(crate) run: Histogram,
    pub(crate) end_to_end: Histogram,
    kinds: [AtomicU64; 256],
    pub(crate) events: AtomicU64,
}

impl Default for Measured {
    fn default() -> Measured {
        Measured {
            wait: Histogram::default(),
            run: Histogram::default(),
            end_to_end: Histogram::default(),
            kinds: std::array::from_fn(|_| AtomicU64::new(0)),
            events: AtomicU64::new(0),
        }
    }
}

impl Measured {
    pub(crate) fn event(&self, kind: Kind) {
        self.kinds[usize::from(kind.number())].fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(1, Ordering::Relaxed);
    }
}

/// What was answered over HTTP.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    classes: [AtomicU64; 5],
    took: Histogram,
}

impl Answered {
    pub(crate) fn note(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.took.observe(took);
    }
}

/// The text format of Prometheus, one family after the other.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

impl Text {
    /// The head of a family; its samples follow.
    pub(crate) fn family(&mut self, name: &Name) {
        let Name { name, kind, help } = name;
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub(crate) fn sample(&mut self, name: &Name, labels: &[(&str, &str)], value: f64) {
        self.line(name.name, "", labels, value);
    }

    pub(crate) fn histogram(&mut self, name: &Name, labels: &[(&str, &str)], histogram: &Histogram) {
        let mut sum = 0;
        for (at, bucket) in histogram.buckets.iter().enumerate() {
            sum += bucket.load(Ordering::Relaxed);
            let bound = BOUNDS.get(at).map(|bound| *bound as f64 / 1e3);
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
            let with = [labels, &[("le", &*bound)]].concat();
            self.line(name.name, "_bucket", &with, sum as f64);
        }
        let seconds = histogram.micros.load(Ordering::Relaxed) as f64 / 1e6;
        self.line(name.name, "_sum", labels, seconds);
        self.line(name.name, "_count", labels, sum as f64);
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.0, "{name}{suffix}");
        let mut open = '{';
        for (label, text) in labels {
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
            open = ',';
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    pub(crate) fn answered(&mut self, answered: &Answered) {
        self.family(&REQUESTS);
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(&answered.classes) {
            self.sample(
                &REQUESTS,
                &[("status", class)],
                count.load(Ordering::Relaxed) as f64,
            );
        }
        self.family(&REQUEST);
        self.histogram(&REQUEST, &[], &answered.took);
    }

    /// How projects stand, as their store tells.
    pub(crate) fn projects(&mut self, projects: &[(Project, Status)]) {
        self.family(&TASKS);
        for (project, status) in projects {
            for state in State::ALL {
                let labels = [("project", project.as_str()), ("state", state.as_str())];
                self.sample(&TASKS, &labels, status.counts.of(state) as f64);
            }
        }
        let mut each = |name: &Name, value: fn(&Status) -> Option<f64>| {
            self.family(name);
            for (project, status) in projects {
                if let Some(value) = value(status) {
                    self.sample(name, &[("project", project.as_str())], value);
                }
            }
        };
        each(&DEAD_LETTERS, |status| Some(status.dead_letters as f64));
        each(&OLDEST, |status| {
            status.oldest_pending.map(|at| at.0 as f64 / 1e3)
        });
        each(&LAST_EVENT, |status| Some(status.last_event.0 as f64));
    }

    /// What this server has seen of projects.
    pub(crate) fn measured(&mut self, seen: &[(&Project, &Measured)]) {
        self.family(&EVENTS);
        for (project, measured) in seen {
            for kind in Kind::all() {
                let count = measured.kinds[usize::from(kind.number())].load(Ordering::Relaxed);
                if count > 0 {
                    let labels = [("project", project.as_str()), ("type", kind.as_str())];
                    self.sample(&EVENTS, &labels, count as f64);
                }
            }
        }
        let spans: [(&Name, OfMeasured); 3] = [
            (&WAIT, |measured| &measured.wait),
            (&RUN, |measured| &measured.run),
            (&END_TO_END, |measured| &measured.end_to_end),
        ];
        for (name, of) in spans {
            self.family(name);
            for (project, measured) in seen {
                self.histogram(name, &[("project", project.as_str())], of(measured));
            }
        }
    }

    pub(crate) fn gauge(&mut self, name: &Name, value: f64) {
        self.family(name);
        self.sample(name, &[], value);
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_adds_up() {
        let histogram = Histogram::default();
        for millis in [1, 2, 60_000, 100_000_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let sum = Duration::from_millis(100_060_003);
        assert_eq!(histogram.total(), (4, sum));
        let mut text = Text::default();
        text.histogram(&RUN, &[("project", "a")], &histogram);
        let has = |line: &str| assert!(text.0.lines().any(|had| had == line), "{line} in {}", text.0);
        has(r#"bellwether_task_run_seconds_bucket{project="a",le="0.001"} 1"#);
        has(r#"bellwether_task_run_seconds_bucket{project="a",le="0.005"} 2"#);
        has(r#"bellwether_task_run_seconds_bucket{project="a",le="60"} 3"#);
        has(r#"bellwether_task_run_seconds_bucket{project="a",le="+Inf"} 4"#);
        has(r#"bellwether_task_run_seconds_sum{project="a"} 100060.003"#);
        has(r#"bellwether_task_run_seconds_count{project="a"} 4"#);
    }

    /// Whatever a dashboard or an alert asks for has to be there.
    #[test]
    fn dashboards_and_alerts_name_what_is_measured() {
        let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let mut found = 0;
        for file in [
            "grafana/bellwether.json",
            "prometheus/alerts.yaml",
            "kubernetes/keda.yaml",
        ] {
            let text = std::fs::read_to_string(format!("{deploy}/{file}")).unwrap();
            for used in text
                .split(|c: char| !word(c))
                .filter(|used| used.starts_with("bellwether_"))
            {
                let base = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| used.strip_suffix(suffix))
                    .unwrap_or(used);
                let known =
                    |name: &&&Name| name.name == used || (name.name == base && name.kind == "histogram");
                assert!(ALL.iter().any(|name| known(&name)), "{file}: {used}");
                found += 1;
            }
        }
        assert!(found > 20, "{found}");
    }
}
