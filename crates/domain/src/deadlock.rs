//! Tasks that wait for each other in a circle, over edges, locks and subtasks.
//!
//! Edges alone never form one, since none is admitted. But a running task that waits for its subtask, in whatever way its
//! program does so, may hold the lock that the subtask needs, or that something needs which the subtask waits for.

use std::fmt;

use rustc_hash::FxHashMap;

use crate::graph::Graph;
use crate::id::TaskId;
use crate::problem::{Kind, Problem};

/// One task that cannot go on before another does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub task: TaskId,
    pub on: TaskId,
    pub how: How,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// For its end.
    Edge,
    /// For the end of what it submitted.
    Subtask,
    /// For this lock, which the other holds.
    Lock(String),
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            How::Edge => f.write_str("waits for the end of"),
            How::Subtask => f.write_str("waits for its subtask"),
            How::Lock(name) => write!(f, "waits for the lock {name} of"),
        }
    }
}

/// One problem for each group of tasks that wait for each other, with a way out.
pub fn deadlocks(waiting: &[Waiting]) -> Vec<Problem> {
    let mut number: FxHashMap<&TaskId, u32> = FxHashMap::default();
    let mut tasks = Vec::new();
    for id in waiting.iter().flat_map(|wait| [&wait.task, &wait.on]) {
        number.entry(id).or_insert_with(|| {
            tasks.push(id);
            tasks.len() as u32 - 1
        });
    }
    let edges = waiting.iter().map(|wait| (number[&wait.on], number[&wait.task]));
    let graph = Graph::build(tasks.len() as u32, edges);
    let circle = |path: &[u32]| -> Vec<&Waiting> {
        let next = path.iter().cycle().skip(1);
        let pairs = path.iter().zip(next);
        pairs
            .filter_map(|(from, to)| {
                let (from, to) = (tasks[*from as usize], tasks[*to as usize]);
                waiting.iter().find(|wait| wait.task == *from && wait.on == *to)
            })
            .collect()
    };
    let cycles = graph.cycles();
    cycles
        .iter()
        .filter_map(|cycle| problem(&circle(&cycle.path)))
        .collect()
}

fn problem(circle: &[&Waiting]) -> Option<Problem> {
    let first = circle.first()?;
    let steps: Vec<String> = circle
        .iter()
        .map(|wait| format!("{} {} {}", wait.task, wait.how, wait.on))
        .collect();
    let lock = circle.iter().find_map(|wait| match &wait.how {
        How::Lock(name) => Some((name, &wait.on)),
        _ => None,
    });
    let cure = match lock {
        Some((name, holder)) => format!(
            "end {holder} with `bell task cancel {holder}`, or take its lock: `bell lock break '{name}' --reason deadlock`"
        ),
        None => format!("`bell task cancel {}`", first.task),
    };
    Some(Problem {
        problem: Kind::Deadlock,
        since: None,
        tasks: circle.iter().map(|wait| wait.task.clone()).collect(),
        subject: first.task.to_string(),
        cause: format!("a circle: {}", steps.join(", ")),
        cure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(task: &str, how: How, on: &str) -> Waiting {
        Waiting {
            task: TaskId::new(task).unwrap(),
            on: TaskId::new(on).unwrap(),
            how,
        }
    }

    // proves: SPEC 4.1
    #[test]
    fn a_circle_is_told_with_its_way_out() {
        let waiting = [
            wait("parent", How::Subtask, "report"),
            wait("report", How::Edge, "build"),
            wait("build", How::Lock("path:src".to_owned()), "parent"),
            wait("build", How::Edge, "lint"),
            wait("other", How::Lock("path:src".to_owned()), "parent"),
        ];
        let told = deadlocks(&waiting);
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].cause,
            "a circle: parent waits for its subtask report, report waits for the end of build, \
             build waits for the lock path:src of parent"
        );
        assert!(
            told[0].cure.contains("task cancel parent") && told[0].cure.contains("lock break 'path:src'")
        );
        assert_eq!(deadlocks(&waiting[1..]), []);
        assert_eq!(deadlocks(&[]), []);
    }
}
