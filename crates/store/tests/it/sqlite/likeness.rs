//! The same commands on memory and on SQLite must come to the same rows, answers and digests.

use std::sync::Arc;
use std::time::Duration;

use domain::code::Code;
use domain::event::Event;
use domain::id::{Key, Token, WorkerId};
use domain::store::{
    Admission, AdmitLimits, Claim, Command, Filter, IntoRun, NewEdge, NewTask, On, Reply, Request, Target,
    View, Wants,
};
use domain::task::lock::{Lock, Mode};
use domain::task::record::{Failure, Outcome};
use domain::task::retry::Retry;
use domain::task::spec::{Concurrency, Json, Moment, Spec, When, Work};
use domain::task::state::Reason;
use domain::time::Now;
use proptest::prelude::*;
use store::driver::Driver;
use store::kernel;
use store::memory::MemoryDriver;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Admit { flavour: u8, after: Vec<(u8, u8)> },
    Claim { max: usize, start: bool },
    Hold { which: u8, what: u8 },
    Ask { which: u8, what: u8 },
    Tick { ms: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let edges = prop::collection::vec((any::<u8>(), 0u8..3), 0..3);
    prop_oneof![
        4 => (any::<u8>(), edges).prop_map(|(flavour, after)| Step::Admit { flavour, after }),
        3 => (1usize..4, any::<bool>()).prop_map(|(max, start)| Step::Claim { max, start }),
        6 => (any::<u8>(), any::<u8>()).prop_map(|(which, what)| Step::Hold { which, what }),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(which, what)| Step::Ask { which, what }),
        2 => (1i64..40_000).prop_map(|ms| Step::Tick { ms }),
    ]
}

/// One store, driven through the kernel as the engine would.
struct Side<D> {
    driver: D,
    ids: Vec<TaskId>,
    tokens: Vec<Token>,
    now: Now,
}

impl<D: Driver> Side<D> {
    fn new(driver: D) -> Side<D> {
        let wall = Timestamp(1_700_000_000_000);
        Side {
            driver,
            ids: Vec::new(),
            tokens: Vec::new(),
            now: Now { wall, mono: 5 },
        }
    }

    fn run(&mut self, step: &Step) -> String {
        match step {
            Step::Admit { flavour, after } => self.admit(*flavour, after),
            Step::Claim { max, start } => self.claim(*max, *start),
            Step::Hold { which, what } => self.hold(*which, *what),
            Step::Ask { which, what } => self.ask(*which, *what),
            Step::Tick { ms } => {
                self.now.wall.0 += ms;
                self.now.mono += ms;
                let now = self.now;
                self.write(|tx| kernel::tick(tx, &Project::default(), now))
            }
        }
    }

    /// The answer, or the refusal, as text.
    fn write<T: std::fmt::Debug>(&mut self, mut work: impl FnMut(&mut dyn Tx) -> Result<T>) -> String {
        let mut answer = None;
        let done = self.driver.write(&mut |tx| {
            answer = Some(work(tx)?);
            Ok(())
        });
        match done {
            Ok(()) => format!("{answer:?}"),
            Err(refusal) => {
                assert_ne!(refusal.code, Code::Internal, "{refusal}");
                format!("{refusal:?}")
            }
        }
    }

    fn admit(&mut self, flavour: u8, after: &[(u8, u8)]) -> String {
        let n = self.ids.len();
        let work = if flavour % 9 == 8 {
            Work::Breakpoint("ok?".into())
        } else {
            Work::Shell("true".into())
        };
        let mut spec = Spec::new(&format!("task {n}"), work);
        spec.priority = Priority::try_from(flavour % 11).unwrap();
        spec.needs = (flavour % 4 == 1)
            .then(|| "gpu".parse().unwrap())
            .into_iter()
            .collect();
        spec.deadline = (flavour % 5 == 1).then_some(Moment::In(Duration::from_secs(90)));
        spec.run_at = (flavour % 7 == 3).then_some(Moment::In(Duration::from_secs(20)));
        spec.retry = flavour.is_multiple_of(3).then(Retry::event);
        if flavour % 4 == 2 {
            spec.locks = vec![Lock::new(["path:a", "path:a/b", "db"][n % 3], Mode::Exclusive).unwrap()];
        }
        let limit = 1 + u32::from(flavour % 2);
        spec.concurrency = (flavour % 6 == 5).then(|| Concurrency {
            key: "api".into(),
            limit,
            rate: None,
        });
        let id = TaskId::new(&format!("id{n}")).unwrap();
        let key = flavour
            .is_multiple_of(2)
            .then(|| Key::new(&format!("key{}", n % 5)).unwrap());
        let mut task = NewTask::new(id.clone(), key, &spec, self.now.wall);
        if n > 0 {
            let edge = |(on, when): &(u8, u8)| NewEdge {
                on: On::Task(self.ids[*on as usize % n].clone()),
                when: When::ALL[*when as usize],
            };
            task.after = after.iter().map(edge).collect();
            task.parent = (flavour % 8 == 7).then(|| self.ids[n / 2].clone());
        }
        let admission = Admission {
            tasks: vec![task],
            run: IntoRun::None,
            supersede: Vec::new(),
            limits: AdmitLimits::AGENT,
            actor: "user:test".into(),
            idempotency_key: (flavour % 3 == 1).then(|| format!("once{}", flavour % 30)),
        };
        let now = self.now;
        let answer = self.write(|tx| kernel::admit(tx, &Project::default(), &admission, now));
        if answer.contains("repeated: false") {
            self.ids.push(id);
        }
        answer
    }

    fn claim(&mut self, max: usize, start: bool) -> String {
        let claim = Claim {
            worker: WorkerId::new("w").unwrap(),
            wants: Wants {
                capabilities: vec!["gpu".parse().unwrap()],
                ..Wants::default()
            },
            max,
            ahead: 0,
            ttl: Duration::from_secs(30),
            start,
            seed: 42,
        };
        let now = self.now;
        let mut tokens = Vec::new();
        let answer = self.write(|tx| {
            let leased = kernel::claim(tx, &Project::default(), &claim, now)?;
            tokens = leased.iter().map(|leased| leased.token).collect();
            Ok(leased)
        });
        self.tokens.extend(tokens);
        answer
    }

    fn hold(&mut self, which: u8, what: u8) -> String {
        let Some(token) = self
            .tokens
            .get(which as usize % self.tokens.len().max(1))
            .copied()
        else {
            return String::new();
        };
        let command = match what % 7 {
            0 => Command::Start { at: None },
            1 => Command::Renew {
                ttl: None,
                progress: Some(Json::of(&what)),
            },
            2 => Command::Release,
            3 => Command::Fail {
                failure: Failure::new("it broke"),
                usage: None,
                timed_out: what > 100,
                no_retry: what > 200,
            },
            _ => Command::Complete {
                outcome: Outcome {
                    result: Some(Json::of(&what)),
                    ..Outcome::default()
                },
                cached: false,
                children: None,
            },
        };
        self.change(Target::Holder(token, None), command)
    }

    fn ask(&mut self, which: u8, what: u8) -> String {
        let Some(id) = self.ids.get(which as usize % self.ids.len().max(1)).cloned() else {
            return String::new();
        };
        let command = match what % 7 {
            0 => Command::Cancel {
                reason: Reason::Cancelled,
            },
            1 => Command::Suspend,
            2 | 3 => Command::Resume,
            4 => Command::Retry { at: None },
            5 => Command::Resolve {
                accept: what < 128,
                outcome: Outcome::default(),
            },
            _ => Command::DropLetter,
        };
        self.change(Target::Id(id), command)
    }

    fn change(&mut self, target: Target, command: Command) -> String {
        let request = Request {
            target,
            command,
            actor: Arc::from("user:test"),
            idempotency_key: None,
        };
        let now = self.now;
        self.write(|tx| -> Result<Vec<Result<Reply>>> {
            kernel::change(tx, &Project::default(), std::slice::from_ref(&request), now)
        })
    }

    fn seen(&self) -> (Vec<View>, Vec<Event>, String) {
        let project = Project::default();
        let mut reader = self.driver.reader().unwrap();
        let views = reader.list(&project, &Filter::default(), Seq(0), 1_000).unwrap();
        let events = reader.events(&project, EventNo(0), 10_000).unwrap();
        let mut rest = format!(
            "{:?}\n{:?}\n{:?}\n",
            reader.status(&project).unwrap(),
            reader.locks(&project).unwrap(),
            reader.leased(&project, None).unwrap()
        );
        for view in &views {
            let id = &view.task.id;
            rest += &format!(
                "{:?}\n{:?}\n{:?}\n",
                reader.neighbours(&project, id, 2).unwrap(),
                reader.history(&project, id, 3).unwrap(),
                reader.ahead(&project, id, 5).unwrap()
            );
        }
        let seqs: Vec<Seq> = views.iter().map(|view| view.task.seq).collect();
        rest += &format!(
            "{:?}\n{:?}",
            reader.edges(&project, &seqs).unwrap(),
            reader.results(&project, &seqs).unwrap()
        );
        for state in State::ALL {
            let states = vec![state];
            let filter = Filter {
                states,
                ..Filter::default()
            };
            let page = reader.list(&project, &filter, Seq(1), 7).unwrap();
            rest += &format!(
                "\n{state}: {:?}",
                page.iter().map(|view| view.task.seq).collect::<Vec<_>>()
            );
        }
        for n in 0..5 {
            rest += &format!(
                "{:?}",
                reader
                    .by_key(&project, &Key::new(&format!("key{n}")).unwrap())
                    .unwrap()
            );
        }
        // What a check finds is told differently, but both must find something or neither.
        rest += &format!("\nsound: {}", reader.check(&project).unwrap().is_empty());
        (views, events.into_iter().map(|seen| seen.event).collect(), rest)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_sqlite_agree(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let mut memory = Side::new(MemoryDriver::default());
        let mut sqlite = Side::new(open(&dir.path().join("bell.db")));
        for (n, step) in steps.iter().enumerate() {
            prop_assert_eq!(memory.run(step), sqlite.run(step), "step {}: {:?}", n, step);
        }
        let (memory, sqlite) = (memory.seen(), sqlite.seen());
        prop_assert_eq!(memory.0, sqlite.0);
        prop_assert_eq!(memory.1, sqlite.1);
        prop_assert_eq!(memory.2, sqlite.2);
    }
}
