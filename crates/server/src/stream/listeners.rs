//! Who listens to a project, and for what.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::time::Time;
use axum::extract::ws::Utf8Bytes;
use domain::time::Timestamp;
use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::mpsc;

use super::metric::MetricType;

/// Measurements that wait for one connection; beyond, it is too slow for them.
const QUEUE: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Listeners {
    connections: Mutex<FxHashMap<String, Arc<Listener>>>,
    /// What anybody has asked for.
    wanted: AtomicU8,
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) id: String,
    connected_at: Timestamp,
    wanted: AtomicU8,
    queue: mpsc::Sender<Utf8Bytes>,
    /// Measurements left out since it was told last.
    pub(crate) dropped: AtomicU64,
    alive: AtomicBool,
}

/// A connection, as others see it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Connection {
    pub(crate) connection_id: String,
    pub(crate) connected_at: Time,
    pub(crate) subscriptions: Vec<MetricType>,
    pub(crate) is_alive: bool,
}

impl Listeners {
    pub(crate) fn enter(&self, id: String, now: Timestamp) -> (Arc<Listener>, mpsc::Receiver<Utf8Bytes>) {
        let (queue, queued) = mpsc::channel(QUEUE);
        let listener = Arc::new(Listener {
            id: id.clone(),
            connected_at: now,
            wanted: AtomicU8::new(0),
            queue,
            dropped: AtomicU64::new(0),
            alive: AtomicBool::new(true),
        });
        self.lock().insert(id, Arc::clone(&listener));
        (listener, queued)
    }

    pub(crate) fn leave(&self, id: &str) {
        let mut connections = self.lock();
        connections.remove(id);
        self.sum_up(&connections);
    }

    /// Changes what a connection asks for, and tells what that now is.
    pub(crate) fn subscribe(
        &self,
        listener: &Listener,
        add: &[MetricType],
        drop: &[MetricType],
    ) -> Vec<MetricType> {
        let bits = |types: &[MetricType]| types.iter().fold(0, |bits, kind| bits | kind.bit());
        let connections = self.lock();
        let wanted = (listener.wanted.load(Ordering::Relaxed) | bits(add)) & !bits(drop);
        listener.wanted.store(wanted, Ordering::Relaxed);
        self.sum_up(&connections);
        types(wanted)
    }

    pub(super) fn wanted(&self, metric_type: MetricType) -> bool {
        self.wanted.load(Ordering::Relaxed) & metric_type.bit() != 0
    }

    /// Sends to all who asked. Nobody is waited for: who has no room is told later, who is gone is removed.
    pub(super) fn send(&self, metric_type: MetricType, text: &Utf8Bytes) {
        let mut connections = self.lock();
        connections.retain(|_, listener| {
            if listener.wanted.load(Ordering::Relaxed) & metric_type.bit() == 0 {
                return true;
            }
            match listener.queue.try_send(text.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    listener.dropped.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    listener.alive.store(false, Ordering::Relaxed);
                    false
                }
            }
        });
        self.sum_up(&connections);
    }

    pub(crate) fn connections(&self) -> Vec<Connection> {
        let connection = |listener: &Arc<Listener>| Connection {
            connection_id: listener.id.clone(),
            connected_at: Time(listener.connected_at),
            subscriptions: types(listener.wanted.load(Ordering::Relaxed)),
            is_alive: listener.alive.load(Ordering::Relaxed),
        };
        let mut all: Vec<Connection> = self.lock().values().map(connection).collect();
        all.sort_by(|a, b| a.connection_id.cmp(&b.connection_id));
        all
    }

    fn sum_up(&self, connections: &FxHashMap<String, Arc<Listener>>) {
        let wanted = connections
            .values()
            .map(|listener| listener.wanted.load(Ordering::Relaxed));
        let wanted = wanted.fold(0, |all, wanted| all | wanted);
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<String, Arc<Listener>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn types(bits: u8) -> Vec<MetricType> {
    let asked = |kind: &MetricType| bits & kind.bit() != 0;
    MetricType::ALL.into_iter().filter(asked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_miss_some_and_the_gone_are_removed() {
        let listeners = Listeners::default();
        let (slow, mut queued) = listeners.enter("slow".to_owned(), Timestamp(0));
        let (gone, left) = listeners.enter("gone".to_owned(), Timestamp(0));
        listeners.send(MetricType::Error, &"nobody asked".into());
        for listener in [&slow, &gone] {
            let asked = listeners.subscribe(listener, &[MetricType::Error, MetricType::Performance], &[]);
            assert_eq!(asked, [MetricType::Performance, MetricType::Error]);
        }
        drop(left);
        for n in 0..QUEUE + 3 {
            listeners.send(MetricType::Error, &n.to_string().into());
        }
        assert_eq!(slow.dropped.load(Ordering::Relaxed), 3);
        assert!(!gone.alive.load(Ordering::Relaxed));
        assert_eq!(listeners.connections().len(), 1);
        assert_eq!(queued.try_recv().unwrap().as_str(), "0");
        listeners.subscribe(&slow, &[], &MetricType::ALL);
        assert!(!listeners.wanted(MetricType::Error));
    }
}
