//! One measurement.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::id::TaskId;
use domain::task::spec::Json;
use domain::task::state::State;
use domain::time::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
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

/// Said as a number or by its name, told as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Priority {
    Low = 1,
    #[default]
    Normal,
    High,
    Critical,
}

impl Priority {
    const ALL: [(Priority, &str); 4] = [
        (Priority::Low, "low"),
        (Priority::Normal, "normal"),
        (Priority::High, "high"),
        (Priority::Critical, "critical"),
    ];
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Priority, D::Error> {
        let said = Value::deserialize(d)?;
        let meant = Priority::ALL
            .into_iter()
            .find(|(priority, name)| said.as_u64() == Some(*priority as u64) || said.as_str() == Some(*name));
        meant.map(|(priority, _)| priority).ok_or_else(|| {
            D::Error::custom(format!(
                "`priority` is {said}; send a number from 1 to 4, or low, normal, high or critical"
            ))
        })
    }
}

impl JsonSchema for Priority {
    fn schema_name() -> Cow<'static, str> {
        "MetricPriority".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [
            { "type": "integer", "minimum": 1, "maximum": 4 },
            { "type": "string", "enum": ["low", "normal", "high", "critical"] },
        ] })
    }
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

    /// How far an attempt says that it is. The share is what it tells as a number: from 0 to 1, or as `percent`.
    pub(crate) fn progress(at: Timestamp, task: &TaskId, state: State, said: &Json, actor: &str) -> Metric {
        let said: Value = serde_json::from_str(said.get()).unwrap_or_default();
        let share = match &said {
            Value::Number(share) => share.as_f64(),
            said => said["percent"].as_f64().map(|percent| percent / 100.0),
        };
        let data = json!({
            "task_id": task,
            "status": state,
            "progress": share.filter(|share| (0.0..=1.0).contains(share)),
            "details": { "said": said, "actor": actor },
        });
        Metric::new(MetricType::TaskProgress, at, data)
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
