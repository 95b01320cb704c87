//! One measurement.

use std::collections::BTreeMap;

use domain::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MetricType {
    TaskProgress,
    SystemHealth,
    Performance,
    QueueStatus,
    WorkerStatus,
    Error,
    Deployment,
}

impl MetricType {
    pub(crate) const ALL: [MetricType; 7] = [
        MetricType::TaskProgress,
        MetricType::SystemHealth,
        MetricType::Performance,
        MetricType::QueueStatus,
        MetricType::WorkerStatus,
        MetricType::Error,
        MetricType::Deployment,
    ];

    pub(crate) fn bit(self) -> u8 {
        1 << self as u8
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Priority {
    Low = 1,
    #[default]
    Normal,
    High,
    Critical,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    pub(crate) metric_type: MetricType,
    pub(crate) timestamp: Timestamp,
    pub(crate) data: Value,
    pub(crate) priority: Priority,
    /// `system`, or who sent it.
    pub(crate) source: String,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Metric {
    pub(crate) fn new(metric_type: MetricType, timestamp: Timestamp, data: Value) -> Metric {
        Metric {
            metric_type,
            timestamp,
            data,
            priority: Priority::Normal,
            source: "system".to_owned(),
            tags: BTreeMap::new(),
        }
    }

    /// How an attempt that has ended went; the latency in milliseconds.
    pub(crate) fn performance(at: Timestamp, latency: f64, success: bool, details: &Value) -> Metric {
        let data = json!({
            "latency": latency,
            "success_count": u8::from(success),
            "error_count": u8::from(!success),
            "details": details,
        });
        Metric::new(MetricType::Performance, at, data)
    }

    pub(crate) fn error(at: Timestamp, kind: &str, message: &str, context: &Value) -> Metric {
        let data = json!({
            "error_type": kind,
            "error_message": message,
            "stack_trace": null,
            "context": context,
        });
        Metric {
            priority: Priority::High,
            ..Metric::new(MetricType::Error, at, data)
        }
    }

    /// As it is sent.
    pub(crate) fn message(&self) -> String {
        let message = json!({
            "type": "metric",
            "metric_type": self.metric_type,
            "timestamp": self.timestamp.to_string(),
            "data": self.data,
            "priority": self.priority as u8,
            "source": self.source,
            "tags": self.tags,
        });
        message.to_string()
    }
}
