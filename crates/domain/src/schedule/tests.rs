use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::task::spec;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text, Timestamp(0)).unwrap()
}

fn cron(expression: &str, zone: &str) -> Timing {
    Timing::Cron(Cron::new(expression, zone).unwrap())
}

fn every(seconds: u64) -> Timing {
    Timing::every(Duration::from_secs(seconds), Timestamp(0)).unwrap()
}

fn schedule(when: Timing, now: Timestamp) -> Schedule {
    let work = Work::Task(Box::new(Spec::new("t", spec::Work::Shell("true".into()))));
    Schedule::new(when, work, now)
}

#[track_caller]
fn times(when: &Timing, after: &str, expected: &[&str]) {
    let first = when.next(time(after)).unwrap();
    let found: Vec<String> = when
        .from(first)
        .take(expected.len())
        .map(|at| at.to_string().replace(":00.000Z", "Z"))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn cron_fires_by_the_clock_on_the_wall_of_its_zone() {
    times(
        &cron("30 4 * * *", "Europe/Berlin"),
        "2026-01-10T00:00:00Z",
        &["2026-01-10T03:30Z", "2026-01-11T03:30Z"],
    );
    times(
        &cron("0 9 * * MON-FRI", "America/New_York"),
        "2026-07-03T13:00:00Z",
        &["2026-07-06T13:00Z", "2026-07-07T13:00Z"],
    );
    times(
        &cron("0 0 29 2 *", "UTC"),
        "2026-01-01T00:00:00Z",
        &["2028-02-29T00:00Z"],
    );
    times(
        &cron("0 12 L * *", "UTC"),
        "2026-02-01T00:00:00Z",
        &["2026-02-28T12:00Z"],
    );
}

#[test]
fn a_time_that_the_spring_leaves_out_comes_right_after_the_gap() {
    times(
        &cron("30 2 * * *", "Europe/Berlin"),
        "2026-03-28T00:00:00Z",
        &["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"],
    );
}

#[test]
fn a_time_that_the_autumn_has_twice_fires_once() {
    times(
        &cron("30 2 * * *", "Europe/Berlin"),
        "2026-10-24T12:00:00Z",
        &["2026-10-25T00:30Z", "2026-10-26T01:30Z"],
    );
}

#[test]
fn steady_expressions_run_through_both_changes() {
    times(
        &cron("*/30 * * * *", "Europe/Berlin"),
        "2026-10-25T00:00:00Z",
        &[
            "2026-10-25T00:30Z",
            "2026-10-25T01:00Z",
            "2026-10-25T01:30Z",
            "2026-10-25T02:00Z",
        ],
    );
    times(
        &cron("*/30 * * * *", "Europe/Berlin"),
        "2026-03-29T00:00:00Z",
        &["2026-03-29T00:30Z", "2026-03-29T01:00Z", "2026-03-29T01:30Z"],
    );
}

#[test]
fn what_cannot_fire_is_refused_with_a_cure() {
    for (expression, zone) in [
        ("", "UTC"),
        ("* * *", "UTC"),
        ("61 * * * *", "UTC"),
        ("0 0 30 2 *", "UTC"),
        ("0 0 * * *", "Europe/Berln"),
        ("0 0 * * *", ""),
    ] {
        let refusal = Cron::new(expression, zone).unwrap_err();
        assert!(refusal.help.is_some(), "{expression} {zone}: {refusal}");
    }
    let refusal = Cron::new("0 0 * * *", "Europe/Berln").unwrap_err();
    assert_eq!(refusal.help.as_deref(), Some("did you mean `Europe/Berlin`?"));
    assert!(Timing::every(Duration::from_millis(999), Timestamp(0)).is_err());
}

#[test]
fn a_punctual_time_fires_and_names_the_next() {
    let schedule = schedule(every(60), Timestamp(0));
    assert_eq!(schedule.step(Timestamp(MINUTE - 1)), None);
    let fire = Step::Fire {
        at: Timestamp(MINUTE),
        next: Some(Timestamp(2 * MINUTE)),
    };
    assert_eq!(schedule.step(Timestamp(MINUTE)), Some(fire));
    assert_eq!(schedule.step(Timestamp(2 * MINUTE - 1)), Some(fire));
}

/// All steps at one moment: the times fired, and how many were missed.
fn walk(mut schedule: Schedule, now: Timestamp) -> (Vec<i64>, usize, Schedule) {
    let (mut fired, mut missed) = (Vec::new(), 0);
    while let Some(step) = schedule.step(now) {
        match step {
            Step::Fire { at, next } => {
                fired.push(at.0);
                let id = TaskId::new("t").unwrap();
                schedule = schedule.after_fire(at, next, Made::Task(id));
            }
            Step::Miss(times) => {
                assert!(times.first <= times.last && times.last <= now && times.count > 0);
                missed += times.count;
                schedule = schedule.after_miss(&times);
            }
        }
    }
    (fired, missed, schedule)
}

#[test]
fn an_absence_is_made_up_for_as_asked() {
    // From 10:30 the clock stands at 14:45: 11, 12, 13 and 14 o'clock have passed.
    let now = Timestamp(14 * HOUR + 45 * MINUTE);
    let after = |catch_up| {
        let schedule = schedule(cron("0 * * * *", "UTC"), Timestamp(10 * HOUR + 30 * MINUTE));
        let (fired, missed, left) = walk(Schedule { catch_up, ..schedule }, now);
        assert_eq!(left.next, Some(Timestamp(15 * HOUR)));
        assert_eq!((left.fired, left.missed), (fired.len() as u64, missed as u64));
        (fired.iter().map(|at| at / HOUR).collect::<Vec<_>>(), missed)
    };
    assert_eq!(after(CatchUp::Skip), (vec![], 4));
    assert_eq!(after(CatchUp::One), (vec![14], 3));
    assert_eq!(after(CatchUp::All), (vec![11, 12, 13, 14], 0));
}

#[test]
fn who_skips_still_fires_what_is_hardly_late() {
    let schedule = Schedule {
        catch_up: CatchUp::Skip,
        ..schedule(every(10), Timestamp(0))
    };
    let (fired, missed, _) = walk(schedule, Timestamp(35_000));
    assert_eq!((fired, missed), (vec![30_000], 2));
}

#[test]
fn a_long_absence_is_bounded() {
    let year = 365 * 24 * HOUR;
    let schedule = Schedule {
        catch_up: CatchUp::All,
        ..schedule(cron("* * * * * *", "UTC"), Timestamp(0))
    };
    let Some(Step::Miss(missed)) = schedule.step(Timestamp(year)) else {
        panic!("most is missed");
    };
    assert!(missed.more && missed.count == COUNT_MAX);
    let (fired, _, left) = walk(schedule, Timestamp(year));
    assert_eq!(fired.len(), CATCH_UP_MAX);
    assert_eq!(fired.last(), Some(&year));
    assert_eq!(left.next, Some(Timestamp(year + 1_000)));
}

#[test]
fn one_moment_is_over_after_it() {
    let at = Timestamp(5_000);
    let (fired, missed, left) = walk(schedule(Timing::At(at), Timestamp(0)), Timestamp(HOUR));
    assert_eq!((fired, missed, left.next), (vec![5_000], 0, None));
    let skipping = Schedule {
        catch_up: CatchUp::Skip,
        ..schedule(Timing::At(at), Timestamp(0))
    };
    let (fired, missed, left) = walk(skipping, Timestamp(HOUR));
    assert_eq!((fired, missed, left.next), (vec![], 1, None));
}

#[test]
fn schedules_survive_their_entry() {
    for when in [
        cron("0 6 * * *", "Asia/Kolkata"),
        every(90),
        Timing::At(Timestamp(7)),
    ] {
        let schedule = schedule(when, Timestamp(0));
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(
            serde_json::from_str::<Schedule>(&text).unwrap(),
            schedule,
            "{text}"
        );
    }
    assert!(serde_json::from_str::<Cron>(r#"{"expression":"nonsense","zone":"UTC"}"#).is_err());
}

fn timings() -> impl Strategy<Value = Timing> {
    let field = |max: u32| {
        prop_oneof![
            Just("*".to_owned()),
            (0..max).prop_map(|n| n.to_string()),
            (1..max).prop_map(|n| format!("*/{n}")),
        ]
    };
    let zones = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
    ];
    let crons = (field(60), field(24), prop::sample::select(zones.to_vec()))
        .prop_map(|(minute, hour, zone)| cron(&format!("{minute} {hour} * * *"), zone));
    let intervals = (1u64..200_000, 0i64..1_000_000).prop_map(|(seconds, from)| Timing::Every {
        ms: seconds * 1_000,
        from: Timestamp(from),
    });
    prop_oneof![crons, intervals]
}

proptest! {
    #[test]
    fn times_only_grow(when in timings(), after in 1_750_000_000_000i64..1_830_000_000_000) {
        let first = when.next(Timestamp(after)).unwrap();
        prop_assert!(first.0 > after);
        let times: Vec<_> = when.from(first).take(20).collect();
        prop_assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        // Nothing lies between two neighbours, wherever one starts to look.
        for pair in times.windows(2) {
            let between = Timestamp(pair[0].0 + (pair[1].0 - pair[0].0) / 2);
            prop_assert_eq!(when.next(between), Some(pair[1]));
        }
    }

    #[test]
    fn every_time_is_fired_or_missed_once(
        when in timings(),
        start in 1_750_000_000_000i64..1_830_000_000_000,
        absence in 0i64..3 * 24 * HOUR,
        policy in prop::sample::select(CatchUp::ALL.to_vec()),
    ) {
        let schedule = Schedule { catch_up: policy, ..schedule(when.clone(), Timestamp(start)) };
        let now = Timestamp(start + absence);
        let passed = when.from(schedule.next.unwrap()).take_while(|at| *at <= now).count();
        prop_assume!(passed <= COUNT_MAX);
        let (fired, missed, left) = walk(schedule, now);
        prop_assert_eq!(fired.len() + missed, passed);
        prop_assert!(fired.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(left.next, when.next(now));
        match policy {
            CatchUp::Skip | CatchUp::One => prop_assert!(fired.len() <= 1),
            CatchUp::All => prop_assert_eq!(fired.len(), passed.min(CATCH_UP_MAX)),
        }
    }
}
